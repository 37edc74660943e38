"""The project's processes with a line between each of them and what it talks to, and the means to kill them."""

import http.client
import json
import os
import random
import signal
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil

from calls import journal
from calls.models import CallLog, JournalEntry
from crm import tenancy
from crm.local.child import Child
from crm.local.services import Services
from crm.local.stack import Stack
from tests.conftest import SPEED, Company, Twilio
from tests.faults.proxy import Line

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))  # how often each process is killed at each point
SECONDS = float(os.environ.get("FAULT_SECONDS", "3"))  # how long the broker is away
CUTS = int(os.environ.get("FAULT_CUTS", "20"))  # how often Twilio's answer is cut
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
# The promise is 100 ms, for the long form. In the short one other tests have the processors meanwhile: five times that.
STRICT = "FAULT_P99_MS" in os.environ
P99_MS = float(os.environ.get("FAULT_P99_MS", "500"))
SWEEPS = 10.0  # seconds: two of beat's intervals

NAMES = {"database": "DATABASE_URL", "broker": "CELERY_BROKER_URL", "twilio": "TWILIO_API_BASE_URL"}


class Stage(Stack):
    """The demo's processes, on ports of their own, over `services`; some of their connections pass a `Line`."""

    def __init__(self, services: Services) -> None:
        super().__init__(services, web_port=None, simulator_port=None, live_port=None, speed=SPEED)
        self.environment |= {"PUBLIC_BASE_URL": self.web_url}
        self.sample = {"organizations": []}
        self.twilio = Twilio(self.simulator_url)
        self.lines: dict[tuple[str, str], Line] = {}

    def line(self, what: str, *roles: str) -> Line:
        """Put a line between these processes, which are not started yet, and `what`: database, broker or twilio."""
        address = urlsplit(self.environment[NAMES[what]])
        line = Line((address.hostname or "", address.port or 0))
        self.lines |= {(role, what): line for role in roles}
        return line

    def launch(self, name: str) -> Child:
        """Start a process (again), whose addresses are those of its lines."""
        whole = self.environment
        wired = {NAMES[what]: self.through(line, what) for (role, what), line in self.lines.items() if role == name}
        self.environment = whole | wired
        try:
            return super().launch(name)
        finally:
            self.environment = whole

    def through(self, line: Line, what: str) -> str:
        """The address of `what` at this end of the line."""
        parts = urlsplit(self.environment[NAMES[what]])
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{line.port}"))

    def run(self, *names: str) -> None:
        """Start these and wait until each answers."""
        for name in names:
            self.launch(name)
        for name in names:
            self.wait_ready(name)

    def kill_owner(self, role: str, port: int) -> None:
        """`kill -9` the process of `role` whose connection has this port at its end."""
        for process in reversed(self.family(role)):  # a parent may hold a copy of its child's
            try:
                if any(one.laddr.port == port for one in process.net_connections("tcp")):
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait(5)
                    return
            except psutil.NoSuchProcess:
                continue
        raise AssertionError(f"No process of {role} has port {port}")

    def kill_main(self, role: str) -> None:
        """`kill -9` the process that was started as `role`; its children end with it, as in a container."""
        main = self.family(role)[0]
        os.kill(main.pid, signal.SIGKILL)

    def restart(self, role: str) -> None:
        """Start a killed process again, as whatever supervises it does; it may not answer yet."""
        self.children[role].stop()
        self.launch(role)

    def is_whole(self) -> bool:
        """Whether every worker of the web server listens, and may be killed without ending the others.

        granian ends when the same worker dies twice within 5.5 s, and leaves it to its supervisor to start it again.
        The age of a process is known to a second only.
        """
        if self.children["web"].poll() is not None:
            self.launch("web")
        try:
            born = [
                process.create_time()
                for process in self.family("web")
                if any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))
            ]
        except psutil.NoSuchProcess:
            return False
        return len(born) == 2 and max(born) < time.time() - 7

    def family(self, role: str) -> list[psutil.Process]:
        """The process of `role` and all that it has started."""
        main = psutil.Process(self.children[role].pid)
        return [main, *main.children(recursive=True)]

    def stop(self) -> None:
        """End the processes, then the lines."""
        super().stop()
        for line in self.lines.values():
            line.close()

    def welcome(self, company: Company) -> None:
        """Have the simulated Twilio know a company, and its phones pick up and talk for a moment."""
        self.twilio.knows(company)
        self.twilio.phone(company.rep.phone_number, does="answer", after=1, press="1", press_after=1)
        self.twilio.phone(company.contact_number, does="answer", after=1, talk=3)

    def click(self, token: str, contact: Any, key: str) -> str | None:
        """One POST to our API as a browser or machine does; the call's id, None if the connection broke."""
        where = urlsplit(self.web_url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
        body = json.dumps({"contact": str(contact)})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
        try:
            connection.request("POST", "/api/v1/calls/", body, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        assert answer.status == 201, (answer.status, told)
        return str(told["id"])


def posted(account_sid: str) -> bytes:
    """What `POST /Calls` of an account looks like on the wire."""
    return f"POST /2010-04-01/Accounts/{account_sid}/Calls.json".encode()


def calls_of(company: Company) -> list[CallLog]:
    """The company's calls, as they stand."""
    with tenancy.inside(company.id):
        return list(CallLog.objects.all())


def unapplied(company: Company) -> int:
    """How many facts of the company nobody has applied."""
    with tenancy.inside(company.id):
        return JournalEntry.objects.filter(applied_at=None).count()


def promised_and_missing(twilio: Twilio, company: Company) -> list[str]:
    """The webhooks that were answered 2xx, by the simulator's own account, and are not in our journal."""
    asked = twilio.ask("GET", f"requests?account_sid={company.account_sid}")["requests"]
    with tenancy.inside(company.id):
        stored = set(JournalEntry.objects.values_list("digest", flat=True))
    missing = []
    for one in asked:
        kind = one["url"].rsplit("/", 1)[1]
        if one["status"] in (200, 204) and journal.digest(kind, journal.written(one["params"])) not in stored:
            missing.append(f"{kind} {one['params'].get('CallStatus')}")
    assert any(one["status"] in (200, 204) for one in asked) or not asked
    return missing
