"""`make demo`, as a person or a script runs it: a call through every part, and nothing left however it ends."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from crm.local.folder import temporary_folder

from .conftest import GONE_SECONDS, PROJECT, User, still_there

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

START_SECONDS = 90
CONTRACT = {"call_id", "status", "stage", "legs", "duration_seconds", "recording", "callbacks", "elapsed_seconds"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder for the demos of this module, one after the other."""
    data_dir = temporary_folder()
    yield data_dir
    subprocess.run(["rm", "-rf", data_dir], check=True)


def make_demo(user: User, folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start `make demo` in a session of its own, on any free ports."""
    arguments = ["--data-dir", str(folder), "--web-port", "0", "--simulator-port", "0", "--live-port", "0", *options]
    return subprocess.Popen(
        ["make", "demo", f"ARGS={' '.join(arguments)}"],
        cwd=PROJECT,
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if "--once" not in options else subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def everything_below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that this one has started, directly or not."""
    return psutil.Process(process.pid).children(recursive=True)


def ready(process: subprocess.Popen[str], file: Path) -> dict[str, Any]:
    """Wait for the ready file, and return what it says."""
    until = time.monotonic() + START_SECONDS
    while not file.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            pytest.fail(f"The demo did not start: {process.communicate()[0]}")
        time.sleep(0.05)
    return json.loads(file.read_text())


def test_one_call_goes_through_every_part(ourselves: User, folder: Path) -> None:
    with make_demo(ourselves, folder, "--once") as process:
        out, told = process.communicate(timeout=START_SECONDS + 60)
    assert process.returncode == 0, told
    line = json.loads(out.splitlines()[-1])
    assert set(line) == CONTRACT
    assert (line["status"], line["stage"]) == ("completed", "ended")
    assert len(line["legs"]) == 2
    assert line["duration_seconds"] > 0
    assert line["recording"]["channels"] == 2
    assert line["callbacks"] >= 9, "four of each leg, the recording"


@pytest.mark.parametrize(
    ("number", "to"),
    [
        pytest.param(signal.SIGINT, "everybody", id="Ctrl-C"),
        pytest.param(signal.SIGINT, "make", id="SIGINT"),
        pytest.param(signal.SIGTERM, "make", id="SIGTERM"),
        pytest.param(signal.SIGKILL, "make", id="kill -9 of make"),
        pytest.param(signal.SIGKILL, "demo", id="kill -9 of the demo"),
    ],
)
def test_nothing_is_left_when_the_demo_is_ended(
    number: signal.Signals, to: str, ourselves: User, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ready.json"
    with make_demo(ourselves, folder, "--ready-file", str(file)) as process:
        said = ready(process, file)
        assert file.stat().st_mode & 0o077 == 0
        with urllib.request.urlopen(f"{said['web_url']}/healthz", timeout=5) as answer:
            assert answer.status == 200
        started = everything_below(process)
        assert len(started) > 10
        if to == "everybody":
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid if to == "make" else said["pid"], number)
        assert not still_there(started), f"within {GONE_SECONDS} s"
        process.communicate(timeout=5)
    assert file.exists() == (to == "demo")


def test_there_is_something_to_look_at_and_a_second_start_adds_nothing(
    ourselves: User, folder: Path, tmp_path: Path
) -> None:
    seen = []
    for name in ("first.json", "second.json"):
        file = tmp_path / name
        with make_demo(ourselves, folder, "--ready-file", str(file)) as process:
            said = ready(process, file)
            admins = [one for one in said["members"] if one["role"] == "admin"]
            seen.append([asked(said["web_url"], one["api_token"]) for one in admins])
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=15)
    assert seen[0] == seen[1]
    assert [len(pages) for pages in seen[0]] == [2, 2]
    assert all(all(pages) for pages in seen[0])


def asked(web_url: str, token: str) -> list[list[str]]:
    """The ids on the first pages of calls and contacts."""
    found = []
    for path in ("calls", "contacts"):
        request = urllib.request.Request(f"{web_url}/api/v1/{path}/", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found.append([one["id"] for one in json.load(answer)["results"]])
    return found


def test_a_process_that_dies_ends_the_demo_with_its_log(ourselves: User, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    with make_demo(ourselves, folder, "--ready-file", str(file)) as process:
        ready(process, file)
        started = everything_below(process)
        psutil.Process(int((folder / "run/beat.pid").read_text().split()[0])).kill()
        told, _ = process.communicate(timeout=15)
        assert process.returncode == 2, "make's word for a command that failed"
        assert "beat ended unexpectedly with status 137" in told
        assert "beat: Starting" in told
        assert not still_there(started)
