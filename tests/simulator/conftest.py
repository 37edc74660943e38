"""A simulator in a process of its own, an account in it for each test, and a small application that answers it."""

import itertools
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

ROOT = Path(__file__).parents[2]
SPEED = 20
PATIENCE = 20.0  # real seconds that a condition may take


def until(condition: Callable[[], object], what: str = "the condition"):
    """Ask `condition` until it is true, and return what it said."""
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"Waited {PATIENCE} s for {what}.")


class Simulator:
    """The running process, its address and its control API."""

    def __init__(self, folder: Path, config: dict | None = None, speed: float = SPEED) -> None:
        ready, log = folder / "ready.json", folder / "simulator.log"
        command = [sys.executable, "-m", "integrations.simulator", "--port", "0", "--speed", str(speed)]
        command += ["--ready-file", str(ready)]
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))
            command += ["--config", str(folder / "config.json")]
        with log.open("w") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        self.log = log
        until(lambda: ready.exists() or self.process.poll() is not None, "the simulator to listen")
        assert self.process.poll() is None, log.read_text()
        self.url = json.loads(ready.read_text())["url"]
        self.session = requests.Session()

    def stop(self) -> float:
        """End it; return how many seconds that took."""
        self.session.close()
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(timeout=10)
        return time.monotonic() - began

    def control(self, method: str, path: str, body: object = None, *, expect: int | None = None) -> dict:
        """Call the control API."""
        response = self.session.request(method, f"{self.url}/simulator/{path}", json=body, timeout=10)
        if expect is None:
            assert response.ok, response.text
        else:
            assert response.status_code == expect, response.text
        return response.json()

    def phone(self, number: str, **behaviour: object) -> str:
        """Set a phone's behaviour; return its number."""
        self.control("PUT", f"phones/{number}", behaviour)
        return number

    def state(self) -> dict:
        """GET /simulator/state."""
        return self.control("GET", "state")


class App:
    """An application's web server: answers by path, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[dict[str, str]], tuple[int, str, dict[str, str]]]] = {}
        self.received: list[dict] = []
        self.lock = threading.Lock()
        app = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                params = dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
                path = self.path.partition("?")[0]
                with app.lock:
                    app.received.append(
                        {
                            "path": path,
                            "url": f"http://{self.headers['Host']}{self.path}",
                            "method": self.command,
                            "params": params,
                            "query": dict(parse_qsl(self.path.partition("?")[2], keep_blank_values=True)),
                            "signature": self.headers.get("X-Twilio-Signature", ""),
                            "token": self.headers.get("I-Twilio-Idempotency-Token", ""),
                        }
                    )
                status, body, headers = app.answers.get(path, lambda _: (204, "", {}))(params)
                data = body.encode()
                self.send_response(status)
                for name, value in {"Content-Type": "text/xml", "Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A simulator that hung up on a late answer is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Close the server."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def says(self, path: str, twiml: str, status: int = 200, **headers: str) -> str:
        """Answer `path` with TwiML (only what is inside `<Response>`); return its address."""
        self.answers[path] = lambda _: (status, f"<Response>{twiml}</Response>", headers)
        return self.url + path

    def at(self, path: str) -> list[dict[str, str]]:
        """The parameters of all requests to `path` so far."""
        with self.lock:
            return [entry["params"] for entry in self.received if entry["path"] == path]


class Desk:
    """One test's account: Twilio's client for it, its phones, and shortcuts."""

    _numbers = itertools.count(1)

    def __init__(self, simulator: Simulator, app: App, **account: object) -> None:
        self.simulator, self.app = simulator, app
        self.sid, self.token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
        self.own = self.new_number()
        given = {"numbers": [self.own], **account}
        simulator.control("POST", "accounts", {"sid": self.sid, "auth_token": self.token, **given})
        self.http = TwilioHttpClient(timeout=10)
        self.client = Client(self.sid, self.token, http_client=self.http)
        self.client.api.base_url = simulator.url
        self.agent, self.contact = self.new_number(), self.new_number()

    def new_number(self) -> str:
        """A number that no other test uses."""
        return f"+1500{secrets.randbelow(10**7):07d}"

    def phones(self, agent: dict | None = None, contact: dict | None = None) -> None:
        """Set both phones; by default both answer, and the contact hangs up after five seconds of talk."""
        self.simulator.phone(self.agent, **(agent or {"does": "answer"}))
        self.simulator.phone(self.contact, **(contact or {"does": "answer", "talk": 5}))

    def bridge(self, before: str = "", **dial: str) -> str:
        """Serve `before` and a `<Dial>` of the contact with all callbacks; return the address to create calls with."""
        attributes = {"action": "/action", "timeout": "20", **dial}
        written = " ".join(f'{name}="{value}"' for name, value in attributes.items())
        self.app.says("/action", "<Hangup/>")
        return self.app.says(
            "/twiml",
            f'{before}<Dial {written}><Number statusCallback="/child" '
            f'statusCallbackEvent="initiated ringing answered completed">{self.contact}</Number></Dial>',
        )

    def call(self, url: str, **more: object):
        """Create the agent's call with callbacks for all events."""
        given = {
            "status_callback": f"{self.app.url}/parent",
            "status_callback_event": ["initiated", "ringing", "answered", "completed"],
            **more,
        }
        return self.client.calls.create(to=self.agent, from_=self.own, url=url, **given)

    def ended(self, sid: str):
        """Wait for the end of a call; return it."""
        return until(
            lambda: (
                (call := self.client.calls(sid).fetch()).status
                in ("completed", "busy", "failed", "no-answer", "canceled")
                and call
            ),
            "the end of the call",
        )

    def child(self, parent_sid: str):
        """The child leg, once there is one."""
        return until(lambda: self.client.calls.list(parent_call_sid=parent_sid), "a child leg")[0]

    def at(self, path: str, count: int = 1) -> list[dict[str, str]]:
        """The parameters sent to `path`, once there are `count` of them."""
        until(lambda: len(self.app.at(path)) >= count, f"{count} requests to {path}, not {self.app.at(path)}")
        return self.app.at(path)

    def statuses(self, path: str, count: int) -> list[str]:
        """The CallStatus of each callback to `path`, by sequence number."""
        rows = sorted(self.at(path, count), key=lambda row: int(row["SequenceNumber"]))
        return [row["CallStatus"] for row in rows]

    def live(self, number: str, status: str) -> dict:
        """Wait until the phone `number` has a leg with `status`; return the leg."""

        def found() -> dict | None:
            legs = self.simulator.control("GET", f"phones/{number}")["calls"]
            return next((leg for leg in legs if leg["status"] == status), None)

        return until(found, f"{number} to be {status}")

    def notes(self, sid: str) -> list[str]:
        """The error codes in the Debugger about a call."""
        return [note.error_code for note in self.client.calls(sid).notifications.list()]

    def check_signatures(self) -> int:
        """Validate every request the application received with Twilio's own validator; return how many."""
        validator = RequestValidator(self.token)
        for entry in self.app.received:
            assert validator.validate(entry["url"], entry["params"], entry["signature"]), entry
        return len(self.app.received)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory):
    """One simulator for all tests of this process; each test has an account and numbers of its own."""
    running = Simulator(tmp_path_factory.mktemp("simulator"))
    yield running
    assert running.stop() < 1.0
    text = running.log.read_text()
    assert "Traceback" not in text, text


@pytest.fixture
def app():
    """The application's web server."""
    running = App()
    yield running
    running.stop()


@pytest.fixture
def make_desk(simulator, app):
    """Make accounts for this test; faults and switches are put back afterwards."""
    desks: list[Desk] = []

    def make(**account: object) -> Desk:
        desks.append(Desk(simulator, app, **account))
        return desks[-1]

    yield make
    simulator.control("PUT", "faults", [])
    defaults = {
        "agent_left_child_status": "canceled",
        "dial_duration_on_no_answer": "absent",
        "media_range": "full",
        "in_progress_callback": "after_twiml",
    }
    simulator.control("PUT", "switches", defaults)
    for desk in desks:
        desk.http.session.close()


@pytest.fixture
def desk(make_desk):
    """An ordinary account with two phones that answer."""
    made = make_desk()
    made.phones()
    return made
