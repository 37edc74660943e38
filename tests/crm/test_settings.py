"""Settings from the environment, and from files that it names."""

from pathlib import Path

import pytest

from crm.settings import env


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("secret", "secret"),
        ("secret\n", "secret"),
        ("secret\r\n\n", "secret"),
        (" se cret \n", " se cret "),
        ("\n", ""),
    ],
)
def test_the_line_break_at_the_end_of_a_secrets_file_is_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, value: str
) -> None:
    name = f"TEST_SECRET_{tmp_path.name.upper()}"  # what was read once is remembered
    (tmp_path / "secret").write_bytes(content.encode())
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    assert env.str(name) == value


def test_a_variable_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", "secret\n")
    assert env.str("TEST_SECRET") == "secret\n"
