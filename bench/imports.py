"""How long an import and an export of contacts take, and what a click on a call button costs meanwhile.

`.venv/bin/python -m crm.local.run --fresh -- .venv/bin/python -m bench.imports`
"""

import argparse
import csv
import io
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from crm.local.services import Services
from crm.local.stack import Stack

LIMITS = ("member_per_minute", "member_per_day", "organization_per_minute", "organization_per_day", "number_per_day")


def main() -> None:
    """Start the demo's stack, measure, and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=30, help="before the import; meanwhile, as many as there is time")
    wanted = parser.parse_args()
    database, owner = os.environ["DATABASE_URL"], os.environ["DATABASE_OWNER_URL"]
    folder = Path(os.environ["STATIC_ROOT"]).parent
    stack = Stack(
        Services(database, owner, os.environ["CELERY_BROKER_URL"], folder), web_port=None, simulator_port=None, speed=10
    )
    stack.environment |= {"PUBLIC_BASE_URL": stack.web_url}
    try:
        stack.start()
        print(json.dumps(_Bench(stack).measure(wanted.rows, wanted.calls), indent=2))
    finally:
        stack.stop()


class _Bench:
    """A manager with a file, and members who click."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._api = stack, f"{stack.web_url}/api/v1"
        organization = stack.sample["organizations"][0]["id"]
        self._members = [one for one in stack.sample["members"] if one["organization"] == organization]
        self._contact = next(one["id"] for one in stack.sample["contacts"] if one["organization"] == organization)
        self._manager = next(one for one in self._members if one["role"] == "manager")
        self._turns = itertools.cycle(self._members)
        for member in self._members:
            path = f"{stack.simulator_url}/simulator/phones/{member['phone'].replace('+', '%2B')}"
            requests.put(path, json={"does": "busy"}, timeout=10).raise_for_status()
        requests.patch(
            f"{self._api}/organization/rules/",
            json=dict.fromkeys(LIMITS, 5_000),
            headers=self._as(next(one for one in self._members if one["role"] == "admin")),
            timeout=10,
        ).raise_for_status()

    def measure(self, rows: int, calls: int) -> dict[str, Any]:
        """Call; import while calling; export; import the same again."""
        self._clicks(lambda clicked: clicked < 3)
        quiet = self._clicks(lambda clicked: clicked < calls)
        began = time.monotonic()
        path = self._uploaded(_file(rows))
        uploaded = time.monotonic() - began
        began = time.monotonic()
        requests.post(f"{path}start/", headers=self._as(self._manager), timeout=30).raise_for_status()
        meanwhile = self._clicks(lambda _clicked: self._runs(path))
        imported, told = time.monotonic() - began, self._told(path)
        began = time.monotonic()
        exported = requests.get(f"{self._api}/contacts/export.csv", headers=self._as(self._manager), timeout=300)
        lines = exported.content.count(b"\n")
        export = time.monotonic() - began
        again = self._uploaded(_file(rows))
        began = time.monotonic()
        requests.post(f"{again}start/", headers=self._as(self._manager), timeout=30).raise_for_status()
        while self._runs(again):
            time.sleep(0.5)
        return {
            "rows": rows,
            "upload_seconds": round(uploaded, 1),
            "import_seconds": round(imported, 1),
            "made": told["made"],
            "refused": told["refused"],
            "again_seconds": round(time.monotonic() - began, 1),
            "again_unchanged": self._told(again)["unchanged"],
            "export_seconds": round(export, 1),
            "export_lines": lines,
            "click_ms_quiet": _summary(quiet),
            "click_ms_meanwhile": _summary(meanwhile),
        }

    def _as(self, member: dict[str, Any]) -> dict[str, str]:
        return {"Authorization": f"Bearer {member['api_token']}"}

    def _uploaded(self, content: bytes) -> str:
        answer = requests.post(
            f"{self._api}/contacts/imports/",
            files={"file": ("list.csv", content)},
            headers=self._as(self._manager),
            timeout=120,
        )
        answer.raise_for_status()
        return f"{self._api}/contacts/imports/{answer.json()['id']}/"

    def _told(self, path: str) -> dict[str, Any]:
        told: dict[str, Any] = requests.get(path, headers=self._as(self._manager), timeout=30).json()
        return told

    def _runs(self, path: str) -> bool:
        return bool(self._told(path)["status"] == "running")

    def _clicks(self, go_on: Callable[[int], bool]) -> list[float]:
        """Click, each member in turn, while told to; return the seconds that each answer took."""
        took: list[float] = []
        while go_on(len(took)):
            member = next(self._turns)
            began = time.monotonic()
            answer = requests.post(
                f"{self._api}/calls/", json={"contact": self._contact}, headers=self._as(member), timeout=30
            )
            if answer.status_code == 201:
                took.append(time.monotonic() - began)
            elif answer.status_code != 409:  # the member's last call is not over yet
                raise RuntimeError(answer.text)
            time.sleep(0.2)
        return took


def _file(rows: int) -> bytes:
    """A file of people with one or two numbers; every hundredth row is refused."""

    def lines() -> Iterator[list[str]]:
        yield ["Nome", "Empresa", "E-mail", "Telefone", "Celular", "Cidade"]
        for row in range(rows):
            phone = "12" if row % 100 == 99 else f"(11) 9{row + 10_000_000:08}"
            mobile = f"(21) 9{row + 10_000_000:08}" if row % 3 == 0 else ""
            yield [f"Pessoa {row}", f"Empresa {row % 5000}", f"p{row}@example.com", phone, mobile, "São Paulo"]

    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(lines())
    return out.getvalue().encode()


def _summary(seconds: list[float]) -> dict[str, float]:
    found = sorted(1000 * one for one in seconds)
    p95 = found[min(len(found) - 1, int(0.95 * len(found)))]
    return {"count": len(found), "p50": round(statistics.median(found)), "p95": round(p95), "max": round(found[-1])}


if __name__ == "__main__":
    main()
