"""What is measured: an organization with live calls, the web server as `make demo` starts it, and what they use up."""

import json
import os
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import redis
from django.conf import settings
from django.db import connections
from uuid_utils.compat import uuid7

from calls import addresses
from calls.models import CallLog, CallStatus, Stage
from crm import tenancy
from crm.local.folder import PROJECT
from crm.local.services import Services
from crm.local.stack import Stack
from crm.models import Organization
from integrations.services.connect import connect_twilio

QUEUE = "celery"


class Company:
    """One organization with a Twilio account, and as many live calls as a round needs."""

    def __init__(self) -> None:
        """Write the organization and its account."""
        tag = secrets.token_hex(6)
        self.account_sid, self.auth_token = f"AC{secrets.token_hex(16)}", secrets.token_hex(16)
        self.organization = Organization.objects.create(name=f"Bench {tag}", slug=f"bench-{tag}", region="BR")
        connect_twilio(
            organization=self.organization,
            account_sid=self.account_sid,
            auth_token=self.auth_token,
            default_caller_id="+551130000000",
        )
        self.id: UUID = self.organization.pk
        #: The ids of the calls are this and a running number, so that pgbench can make them up as well.
        self.prefix = str(uuid7())[:24]
        self._numbers = count(1)

    def ring(self, calls: int) -> list[UUID]:
        """Write this many calls that Twilio has accepted; return their ids."""
        rows = []
        for number in (next(self._numbers) for _ in range(calls)):
            rows.append(
                CallLog(
                    id=UUID(f"{self.prefix}{number:012x}"),
                    organization_id=self.id,
                    status=CallStatus.INITIATED,
                    stage=Stage.RINGING_AGENT,
                    confirmed=True,
                    from_number="+551130000000",
                    to_number="+5511912345678",
                    call_sid=f"CA{number:032x}",
                )
            )
        with tenancy.inside(self.id):
            CallLog.objects.bulk_create(rows, batch_size=500)
        # As autovacuum does in a database that has lived for a minute: plans made while the table was empty walk it.
        with connections["owner"].cursor() as cursor:
            cursor.execute("ANALYZE calls_calllog; ANALYZE calls_journalentry; ANALYZE calls_duecall")
        return [row.id for row in rows]

    def order(self, calls: Sequence[UUID]) -> dict[str, Any]:
        """Return what `bench.load` needs to sign these calls' callbacks as Twilio would."""
        origin = settings.PUBLIC_BASE_URL
        return {
            "account_sid": self.account_sid,
            "auth_token": self.auth_token,
            "origin": origin,
            "calls": [
                {
                    "path": addresses.callback_url(self.id, call, "agent").removeprefix(origin).removesuffix("agent"),
                    "agent_sid": f"CA{int(call.hex[-12:], 16):032x}",
                    "contact_sid": f"CAc{int(call.hex[-12:], 16):031x}",
                }
                for call in calls
            ],
        }

    def stored(self, calls: Sequence[UUID]) -> int:
        """Count the callbacks of these calls that are in the journal, seen by another connection than the web's."""
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM calls_journalentry WHERE call_id = ANY(%s) AND source = 'callback'", [list(calls)]
            )
            return int(cursor.fetchone()[0])

    def forgotten(self, calls: Sequence[UUID]) -> int:
        """Count those of these calls that have a callback in the journal and are not on the sweeper's list for it."""
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT count(DISTINCT call_id) FROM calls_journalentry WHERE call_id = ANY(%s) AND applied_at IS NULL"
                " AND call_id NOT IN (SELECT call_id FROM calls_duecall WHERE unapplied_since IS NOT NULL)",
                [list(calls)],
            )
            return int(cursor.fetchone()[0])

    def remove(self) -> None:
        """Remove everything that was written here, as the owner: the application may not."""
        with connections["owner"].cursor() as cursor:
            for table in ("calls_duecall", "calls_journalentry", "calls_leg", "calls_calllog"):
                cursor.execute(f"DELETE FROM {table} WHERE organization_id = %s", [self.id])
            for table in ("integrations_twilioaccount", "crm_auditentry"):
                cursor.execute(f"DELETE FROM {table} WHERE organization_id = %s", [self.id])
            cursor.execute("DELETE FROM crm_organization WHERE id = %s", [self.id])


class Server(Stack):
    """The demo's processes over the services in our environment; only what is launched runs."""

    def __init__(self, *, workers: int | None, threads: int | None) -> None:
        """Reserve a port. `workers` and `threads` replace the demo's, for whoever looks for better ones."""
        self._replaced = {"--workers": workers, "--blocking-threads": threads}
        self.application = "crm.wsgi:application"
        database, broker = os.environ["DATABASE_URL"], os.environ["CELERY_BROKER_URL"]
        folder = Path(os.environ["STATIC_ROOT"]).parent
        super().__init__(
            Services(database, os.environ["DATABASE_OWNER_URL"], broker, folder),
            web_port=None,
            simulator_port=None,
            live_port=None,
        )
        # Signatures are computed over the public address, which is not where we listen, as behind any proxy.
        self.environment["PUBLIC_BASE_URL"] = settings.PUBLIC_BASE_URL

    def _web(self) -> Sequence[str]:
        command = list(super()._web())
        for option, value in self._replaced.items():
            if value is not None:
                command[command.index(option) + 1] = str(value)
        command[-1] = self.application
        return command

    def serve(self, application: str) -> None:
        """(Re)start the web server with this WSGI application."""
        if "web" in self.children:
            self.children["web"].stop()
        self.application = application
        self.launch("web")
        self.wait_ready("web")

    @property
    def web_options(self) -> str:
        """How the web server was started, in its own words."""
        command = self._web()
        return " ".join(command[command.index("granian") :]).replace(f" --port {self._ports['web'].port}", "")

    def fire(
        self, order: dict[str, Any], *, seconds: float, clients: int, path: str = "", expect: int = 204
    ) -> dict[str, Any]:
        """Have a process of its own send what `order` says (or GETs of `path`); return what it tells.

        Adds `per_second`; `cpu`, the seconds of processor time that each part of the system took for it; and
        `others_cpu`, how many processors everything else on this machine kept busy meanwhile.
        """
        order |= {"host": "127.0.0.1", "port": self._ports["web"].port, "clients": clients, "seconds": seconds}
        order |= {"path": path, "expect": expect}
        with subprocess.Popen(
            [sys.executable, "-m", "bench.load"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin
            assert process.stdout
            print(json.dumps(order), file=process.stdin, flush=True)
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("The load process ended before it began.")
            before, busy_before = self._cpu_seconds(), _busy_seconds()
            print(file=process.stdin, flush=True)
            line = process.stdout.readline()
            after, busy_after = self._cpu_seconds(), _busy_seconds()
        told: dict[str, Any] = json.loads(line)
        told["answered"] = told["statuses"].get(str(expect), 0)
        told["per_second"] = told["answered"] / told["seconds"] if told["seconds"] else 0.0
        told["cpu"] = {name: after[name] - before[name] for name in after if name in before}
        told["cpu"]["load"] = told.pop("cpu_seconds")
        told["others_cpu"] = max(0.0, busy_after - busy_before - sum(told["cpu"].values())) / max(
            told["seconds"], 0.001
        )
        return told

    def beside(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `work`, which runs a program of its own to its end, returns; adds `others_cpu`."""
        ours, busy, children = self._cpu_seconds(), _busy_seconds(), _of_ended_children()
        began = time.monotonic()
        told = work()
        passed = time.monotonic() - began
        spent = _of_ended_children() - children + sum(self._cpu_seconds().values()) - sum(ours.values())
        return told | {"others_cpu": max(0.0, _busy_seconds() - busy - spent) / passed}

    def _cpu_seconds(self) -> dict[str, float]:
        """Return the processor time so far of each part that runs as a child of ours or of the run's."""
        found = {name: _of_tree(child.pid) for name, child in self.children.items() if child.poll() is None}
        for name in ("postgres", "valkey"):
            pid_file = self.services.data_dir / "run" / f"{name}.pid"
            if pid_file.exists():
                found[name] = _of_tree(int(pid_file.read_text().split()[0]))
        return found


def _of_tree(pid: int | None) -> float:
    """Return the processor seconds of a process and all below it; of those that have ended, too."""
    seconds = 0.0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return seconds
    for process in family:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _of_ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy_seconds() -> float:
    """Return the time that all processors have been busy, whoever kept them so; interrupts belong to nobody."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


class Broker:
    """The real broker, read as a worker would."""

    def __init__(self) -> None:
        self._client = redis.Redis.from_url(settings.CELERY_BROKER_URL) if _is_redis() else None

    def take_wakeups(self, *, within: float = 0.0) -> int | None:
        """Empty the queue, but wait for its first message up to `within` seconds; return how many there were.

        None: not this kind of broker.
        """
        if self._client is None:
            return None
        deadline = time.monotonic() + within
        while not self._client.llen(QUEUE) and time.monotonic() < deadline:
            time.sleep(0.01)
        waiting: int = self._client.llen(QUEUE)
        self._client.delete(QUEUE)
        return waiting


def _is_redis() -> bool:
    return settings.CELERY_BROKER_URL.startswith("redis")
