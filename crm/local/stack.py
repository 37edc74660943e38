"""Web, workers, beat and the simulated Twilio as processes of their own, over running services."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from signal import SIGTERM
from typing import Any
from urllib.parse import urljoin, urlsplit

from crm.local import watchdog
from crm.local.child import Child, ChildFailed, LocalError, stop_all
from crm.local.folder import HOST, PROJECT, Memory, Reservation, write_private
from crm.local.services import Services, given

WEB_PORT = 8000
SIMULATOR_PORT = 8001
LIVE_PORT = 8002
START_SECONDS = 60.0
STEP_SECONDS = 120.0

#: Ctrl-C has three seconds for everything: these get 1.2, the services after them 1.5 at most.
PLAN: watchdog.Plan = ((SIGTERM, 1.2),)


def environment(services: Services, *, web_url: str, twilio_url: str, live_url: str = "") -> dict[str, str]:
    """Return the environment of the project's own processes: the public contract's names, nothing of the owner's.

    `SECRET_KEY`, `FIELD_ENCRYPTION_KEYS`, `PUBLIC_BASE_URL` and the folders are taken from our own environment if it
    has them, else made up once per data folder.
    """
    memory = Memory(services.data_dir)
    public = given("PUBLIC_BASE_URL") or web_url
    hosts = dict.fromkeys([HOST, "localhost", *filter(None, [urlsplit(public).hostname])])
    names = {
        "DATABASE_URL": services.database_url,
        "CELERY_BROKER_URL": services.broker_url,
        "PUBLIC_BASE_URL": public,
        # Browsers that come by another address than this machine's would not find it.
        "LIVE_URL": given("LIVE_URL") or (live_url if public == web_url else ""),
        "TWILIO_API_BASE_URL": twilio_url,
        "SECRET_KEY": given("SECRET_KEY") or memory.secret("secret_key"),
        "FIELD_ENCRYPTION_KEYS": given("FIELD_ENCRYPTION_KEYS") or memory.encryption_keys(),
        "DEBUG": "false",
        "ALLOWED_HOSTS": given("ALLOWED_HOSTS") or ",".join(hosts),
        "RECORDINGS_ROOT": given("RECORDINGS_ROOT") or str(services.data_dir / "recordings"),
        "STATIC_ROOT": given("STATIC_ROOT") or str(services.data_dir / "static"),
        "DJANGO_SETTINGS_MODULE": "crm.settings",
        "PYTHONUNBUFFERED": "1",
    }
    return inherited({"DATABASE_OWNER_URL", *names}) | names


def inherited(replaced: Iterable[str]) -> dict[str, str]:
    """Return our own environment without the names that are `replaced`, nor the files that could stand for them."""
    left_out = {form for name in replaced for form in (name, f"{name}_FILE")}
    return {name: value for name, value in os.environ.items() if name not in left_out}


class Stack:
    """The project's processes: `start()` returns when all answer; `stop()` ends them, and so does our own end."""

    def __init__(
        self,
        services: Services,
        *,
        web_port: int | None = WEB_PORT,
        simulator_port: int | None = SIMULATOR_PORT,
        live_port: int | None = LIVE_PORT,
        speed: float = 1.0,
        history: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Take the ports, or others if somebody has them (None: any). `speed` is that of the simulator's clock.

        With `history` the sample has a past: contacts, opportunities and calls to look at.
        """
        self.services = services
        self.children: dict[str, Child] = {}
        self.sample: dict[str, Any] = {}
        self._static: Child | None = None
        self._say, self._speed, self._history = say, speed, history
        self._folder = services.data_dir
        self._ports = {"web": self._reserve("web", web_port), "live": self._reserve("live", live_port)}
        self.web_url = f"http://{HOST}:{self._ports['web'].port}"
        replacement = given("TWILIO_API_BASE_URL")
        self.simulated = replacement is None
        if replacement is None:
            self._ports["simulator"] = self._reserve("simulator", simulator_port)
            replacement = f"http://{HOST}:{self._ports['simulator'].port}"
        self.simulator_url = replacement.rstrip("/")
        self.live_url = f"http://{HOST}:{self._ports['live'].port}/live/"
        self.environment = environment(
            services, web_url=self.web_url, twilio_url=self.simulator_url, live_url=self.live_url
        )

    def _reserve(self, name: str, wanted: int | None) -> Reservation:
        reservation = Reservation(wanted)
        if wanted and reservation.port != wanted:
            self._say(f"Port {wanted} is taken: the {name} is at {reservation.port}.")
        return reservation

    # --- the steps --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Prepare the database and the sample data, start every process and wait until each answers.

        Raises: ChildFailed with the tail of the log of what failed; LocalError.
        """
        self.prepare()
        for name in ("web", "live", "worker", "asker", "beat"):  # they load while the sample data is written
            self.launch(name)
        self.load_sample()
        if self.simulated:
            self.launch("simulator")
        self._say("Waiting for web, live updates, workers, beat and simulator …")
        for name in list(self.children):
            self.wait_ready(name)

    def prepare(self) -> None:
        """Migrate as the owner, and collect the static files."""
        if self.services.owner_url is None:
            raise LocalError("DATABASE_URL is set but DATABASE_OWNER_URL is not: migrations run as the schema's owner.")
        owner = self.environment | {"DATABASE_OWNER_URL": self.services.owner_url}
        Path(self.environment["RECORDINGS_ROOT"]).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._say("Migrating the database, collecting static files …")
        command = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"]
        self._static = Child(
            "collectstatic", command, folder=self._folder, env=self.environment, cwd=PROJECT, plan=PLAN
        )
        self.manage("migrate", "--database", "owner", "-v1", env=owner)
        self._static.wait_end(seconds=STEP_SECONDS)

    def load_sample(self) -> None:
        """Write the sample data (renewing tokens) and keep what it says: `organizations`, `members`, `contacts`."""
        self._say("Loading sample data …")
        told = self.manage("load_sample", *(["--history"] if self._history else []))
        try:
            self.sample = json.loads(told)
        except ValueError:
            raise LocalError("manage.py load_sample printed something else than one JSON object.") from None

    def manage(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        """Run a management command to its end; return what it printed. Raises: ChildFailed."""
        try:
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=PROJECT,
                env=env or self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=STEP_SECONDS,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"manage.py {arguments[0]} took longer than {STEP_SECONDS:.0f} s") from None
        if done.returncode:
            said = "\n".join(f"    | {line}" for line in (done.stderr or done.stdout).splitlines()[-25:])
            raise ChildFailed(f"manage.py {arguments[0]} ended with status {done.returncode}:\n{said}")
        return done.stdout

    # --- the processes ----------------------------------------------------------------------------------------------

    def launch(self, name: str) -> Child:
        """Start `web`, `live`, `worker`, `asker`, `beat` or `simulator` (again); it may not answer yet."""
        command = getattr(self, f"_{name}")()
        env = self.environment if name != "simulator" else inherited(self.environment)
        self.children[name] = Child(name, command, folder=self._folder, env=env, cwd=PROJECT, plan=PLAN)
        return self.children[name]

    def _web(self) -> Sequence[str]:
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HOST]
        command += ["--port", str(self._ports["web"].port), "--workers", "2", "--blocking-threads", "4"]
        command += ["--respawn-failed-workers", "--respawn-interval", "0.5"]
        return [*command, "crm.wsgi:application"]

    def _live(self) -> Sequence[str]:
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", HOST]
        return [*command, "--port", str(self._ports["live"].port), "crm.asgi:application"]

    def _worker(self, name: str = "worker", queue: str = "celery") -> Sequence[str]:
        options = ["--hostname", f"{name}@%h", "--queues", queue, "--concurrency", "2"]
        options += ["--without-gossip", "--without-mingle", "-l", "INFO"]
        return [sys.executable, "-m", "celery", "-A", "crm", "worker", *options]

    def _asker(self) -> Sequence[str]:
        return self._worker("asker", "twilio")

    def _beat(self) -> Sequence[str]:
        schedule = self._folder / "beat-schedule"
        return [sys.executable, "-m", "celery", "-A", "crm", "beat", "-l", "INFO", "--schedule", str(schedule)]

    def _simulator(self) -> Sequence[str]:
        config, ready = self._folder / "simulator.json", self._folder / "simulator-ready.json"
        ready.unlink(missing_ok=True)
        write_private(config, json.dumps(simulator_config(self.sample)))
        command = [sys.executable, "-m", "integrations.simulator", "--host", HOST, "--config", str(config)]
        command += ["--port", str(self._ports["simulator"].port), "--speed", str(self._speed)]
        return [*command, "--ready-file", str(ready)]

    def wait_ready(self, name: str) -> None:
        """Return when this process answers. Raises: ChildFailed."""
        child = self.children[name]
        tests: dict[str, Callable[[], bool]] = {
            "web": lambda: answers(f"{self.web_url}/healthz"),
            "live": lambda: answers(urljoin(self.live_url, "/healthz")),
            "worker": lambda: " ready." in child.log.read_text(errors="replace"),
            "asker": lambda: " ready." in child.log.read_text(errors="replace"),
            "beat": lambda: "beat: Starting" in child.log.read_text(errors="replace"),
            "simulator": (self._folder / "simulator-ready.json").exists,
        }
        child.wait_until(tests[name], seconds=START_SECONDS)

    def check(self) -> None:
        """Raise ChildFailed if a process has ended that should run."""
        for child in self.children.values():
            if child.poll() is not None:
                raise child.failed(f"ended unexpectedly with status {child.poll()}")

    def watch(self, others: Sequence[Child] = (), *, over: Callable[[], bool] = lambda: False) -> None:
        """Stay until a process ends that should run, or `over()`. Raises: ChildFailed."""
        while not over():
            self.check()
            for child in others:
                if child.poll() is not None:
                    raise child.failed(f"ended unexpectedly with status {child.poll()}")
            time.sleep(0.2)

    def tails(self) -> str:
        """Return the last lines of every log, for an error message."""
        return "\n".join(str(child.failed("said")) for child in self.children.values())

    def stop(self) -> None:
        """End every process side by side; a second call does nothing."""
        stop_all([*self.children.values(), *filter(None, [self._static])])
        for reservation in self._ports.values():
            reservation.close()


def simulator_config(sample: dict[str, Any]) -> dict[str, Any]:
    """Return the simulator's configuration: the sample organizations' accounts, and phones that a person answers."""
    accounts = [
        {
            "sid": organization["account_sid"],
            "auth_token": organization["auth_token"],
            "friendly_name": organization["name"],
            "type": "Full",
            "status": "active",
            "numbers": organization["numbers"],
            "verified": [],
        }
        for organization in sample["organizations"]
        if organization.get("account_sid")
    ]
    return {"accounts": accounts, "default_phone": {"does": "manual"}, "phones": {}}


def answers(url: str) -> bool:
    """Say whether a GET of `url` succeeds now."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  our own http:// address
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
