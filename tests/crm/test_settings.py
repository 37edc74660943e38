"""Settings from the environment, and from files that it names."""

import os
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        ("", True),
        ("/live/", True),
        ("https://live.crm.example/", True),
        ("live/", False),
        ("https://live.crm.example", False),
        ("ftp://live.crm.example/", False),
        ("/live/?a=b", False),
    ],
)
def test_live_updates_have_an_address_that_a_browser_finds(address: str, is_good: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import crm.settings"],
        env=os.environ | {"LIVE_URL": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == is_good
    assert is_good or "LIVE_URL must be a path" in done.stderr
