"""The benchmark runs, finds every callback that it was told is stored, and keeps its word about the minimum."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from bench.__main__ import QUIET, quiet, verdict
from bench.load import sign
from crm.models import Organization


def run(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The shortest run there is, over this worker's test database."""
    env = dict(os.environ)
    for variable, alias in (("DATABASE_URL", "default"), ("DATABASE_OWNER_URL", "owner")):
        base, _, _ = env[variable].rpartition("/")
        env[variable] = f"{base}/{connections[alias].settings_dict['NAME']}"
    command = [sys.executable, "-m", "bench", "--seconds", "0.3", "--rounds", "1", "--clients", "2", "--no-breakdown"]
    return subprocess.run(
        [*command, "--json", str(file), *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.stack
def test_a_tiny_run_measures_both_sides_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = Organization.objects.count()
    done = run(tmp_path / "bench.json", "--minimum", "0")
    assert done.returncode == 0, done.stderr
    assert "ratio" in done.stdout
    result = json.loads((tmp_path / "bench.json").read_text())
    assert result["pgbench"]["per_second"] > 0
    assert result["ratio"] > 0
    found = result["checks"]
    assert found["answered"] == found["stored"] > 0
    assert found["other_answers"] == found["forgotten"] == found["turns_without_message"] == 0
    assert found["messages"] > 0
    assert not result["database"]["durable"]  # as the tests' own PostgreSQL is
    assert Organization.objects.count() == before
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('bench_journalentry')")
        assert cursor.fetchone() == (None,)


def result(**changes: Any) -> dict[str, Any]:
    """A run in which everything was well."""
    checks = {
        "stored": 9,
        "answered": 9,
        "other_answers": 0,
        "forgotten": 0,
        "turns_without_message": 0,
        "ran_dry": False,
    }
    return {
        "ratio": changes.pop("ratio", 0.2),
        "database": {"durable": changes.pop("durable", True)},
        "checks": checks | changes,
    }


def test_a_good_run_is_zero() -> None:
    assert verdict(result(), minimum=0.15) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"ratio": 0.14},
        {"durable": False},
        {"stored": 8},
        {"other_answers": 1},
        {"forgotten": 1},
        {"turns_without_message": 1},
        {"ran_dry": True},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_whatever_breaks_the_promise_is_told_and_is_status_one(
    wrong: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(result(**wrong), minimum=0.15) == 1
    assert capsys.readouterr().err


def test_rounds_beside_other_programs_do_not_count() -> None:
    calm, busy = {"others_cpu": QUIET}, {"others_cpu": QUIET + 0.1}
    assert quiet([calm, busy]) == [calm]


def test_the_load_signs_as_twilios_page_says() -> None:
    said = "https://crm.example.com/x" + "A1" + "B2"
    expected = b64encode(hmac.new(b"token", said.encode(), hashlib.sha1).digest()).decode()
    assert sign("token", "https://crm.example.com/x", {"B": "2", "A": "1"}) == expected
