"""The broker is a wake-up and not a store: whatever it does, clicks and callbacks go on."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from crm import tenancy, wake
from crm.celery import app
from tests.calls.driving import own_queue, send_callback
from tests.conftest import Company, World, callbacks_of, eventually, read_call

SOON = 0.1  # seconds; what a click or a callback may take with a broker in trouble, the database's work included


@contextlib.contextmanager
def broker(url: str) -> Iterator[None]:
    """Point this process at another broker by the environment, as an operator does."""
    assert wake.flush(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERY_BROKER_URL", url)  # Celery reads it before its settings, each time
        _forget_connections()
        try:
            yield
        finally:
            wake.flush(5)
    _forget_connections()


def _forget_connections() -> None:
    app.amqp._producer_pool = None
    app._pool = None


@pytest.fixture
def closed() -> Iterator[None]:
    """A port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with broker(f"redis://127.0.0.1:{taken.getsockname()[1]}/0"):
            yield


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A broker that accepts connections and never says a word."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=64) as server,
        broker(f"redis://127.0.0.1:{server.getsockname()[1]}/0"),
    ):
        yield server


@pytest.fixture(params=["closed", "silent"])
def troubled(request: pytest.FixtureRequest) -> Any:
    """A broker in trouble, one way or the other."""
    return request.getfixturevalue(request.param)


def took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_a_broker_in_trouble_is_not_waited_for(troubled: Any) -> None:
    # Measured before: .delay() against a silent broker hung for 40 s (design §7).
    slowest = max(took(lambda n=n: wake.after_commit(f"calls.nothing.{n % 4}")) for n in range(500))
    assert slowest < SOON
    assert threading.active_count() < 50  # one publisher, not one per wake-up


def test_what_the_broker_refuses_is_given_up_and_the_next_is_tried(
    closed: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        wake.after_commit("calls.nothing")
        assert wake.flush(5)
    refusals = [one for one in caplog.messages if "The broker took no wake-up for calls.nothing" in one]
    assert len(refusals) == 3


def test_a_silent_broker_holds_the_publisher_for_less_than_a_second_each_time(
    silent: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        wake.after_commit("calls.nothing")
        assert took(lambda: wake.flush(5)) < 1
    assert sum("The broker took no wake-up" in one for one in caplog.messages) == 2


def test_the_publisher_lives_on_after_a_broker_in_trouble() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        with broker(url):
            wake.after_commit("calls.lost")
            assert wake.flush(5)
    with own_queue() as messages:
        wake.after_commit("calls.found")
        assert wake.flush(5)
        assert messages() == ["calls.found"]


@pytest.mark.stack
def test_click_and_callback_are_fast_while_the_broker_is_in_trouble(
    world: World, company: Company, troubled: Any
) -> None:
    began = time.perf_counter()
    call_id = world.call(company)
    click = time.perf_counter() - began
    sid = read_call(company, call_id).call_sid
    times = []
    for number in range(20):
        began = time.perf_counter()
        answer = send_callback(
            company, call_id, "agent", {"CallSid": str(sid), "CallStatus": "ringing", "N": str(number)}
        )
        times.append(time.perf_counter() - began)
        assert answer.status_code == 204
    # The click also waits for the simulated Twilio; a broker that were waited for would add at least 250 ms.
    assert click < 0.5
    assert sorted(times)[len(times) // 2] < SOON
    assert callbacks_of(company, call_id).count >= 20


def test_nothing_is_published_for_a_transaction_that_rolls_back(ours: Company) -> None:
    with own_queue() as messages:
        with contextlib.suppress(ZeroDivisionError), tenancy.inside(ours.id):
            wake.after_commit("calls.rolled_back")
            1 / 0  # noqa: B018
        with tenancy.inside(ours.id):
            wake.after_commit("calls.committed")
            assert wake.flush(5)
            assert messages() == []
        assert wake.flush(5)
        assert messages() == ["calls.committed"]


def test_many_wake_ups_become_few_messages() -> None:
    with own_queue() as messages:
        began = time.monotonic()
        with transaction.atomic():
            for number in range(1000):
                wake.after_commit(f"calls.nothing.{number % 2}")
        assert wake.flush(10)
        passed = time.monotonic() - began
        sent = messages()
    assert set(sent) == {"calls.nothing.0", "calls.nothing.1"}
    # 1,000 wake-ups, all at once: each task goes out at most once in GATHER_SECONDS, and once at the start.
    assert len(sent) <= 2 * (1 + passed / wake.GATHER_SECONDS)


def test_the_first_wake_up_does_not_wait_for_others() -> None:
    with own_queue() as messages:
        assert wake.flush(5)
        wake.after_commit("calls.first")
        found: list[str] = []
        asked = took(lambda: eventually(lambda: found.extend(messages()) or found, what="the message"))
        assert found == ["calls.first"]
        assert asked < 1


FORKS = """
import os, sys, threading
import django
django.setup()
from crm import wake
from crm.celery import app
app.conf.task_default_queue = sys.argv[1]
wake.after_commit("calls.before")
assert wake.flush(5)
held, go_on = threading.Event(), threading.Event()
def hold():
    with wake._publisher._changed:  # as any thread of the parent may at that very moment
        held.set()
        go_on.wait()
threading.Thread(target=hold).start()
held.wait()
pid = os.fork()
if pid == 0:
    wake.after_commit("calls.child")
    os._exit(0 if wake.flush(5) else 1)
go_on.set()
wake.after_commit("calls.parent")
assert wake.flush(5)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of ours in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "crm.settings", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_forked_process_publishes_by_itself() -> None:
    with own_queue() as messages:
        done = run(FORKS, app.conf.task_default_queue)
        assert done.returncode == 0, done.stderr
        assert sorted(messages()) == ["calls.before", "calls.child", "calls.parent"]


ENDS = """
import sys
import django
django.setup()
from crm import wake
from crm.celery import app
app.conf.task_default_queue = sys.argv[1]
wake.after_commit("calls.last")
"""


def test_what_waits_when_a_process_ends_is_still_published() -> None:
    with own_queue() as messages:
        done = run(ENDS, app.conf.task_default_queue)
        assert (done.returncode, done.stderr) == (0, "")
        assert messages() == ["calls.last"]


def test_a_process_ends_in_time_although_the_broker_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        quick = took(lambda: run(ENDS, "any", CELERY_BROKER_URL="redis://127.0.0.1:1/0"))
        silence = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        slow = took(lambda: run(ENDS, "any", CELERY_BROKER_URL=silence))
    assert slow < quick + 2


def test_a_thread_that_knows_no_celery_application_publishes_to_ours() -> None:
    with own_queue() as messages:

        def click() -> None:
            wake.after_commit("calls.thread")
            connection.close()  # asking whether a transaction is open has opened it

        thread = threading.Thread(target=click)
        thread.start()
        thread.join()
        assert wake.flush(5)
        assert messages() == ["calls.thread"]


def test_a_task_waits_once_while_the_broker_is_slow(silent: socket.socket) -> None:
    wake.after_commit("calls.first")  # occupies the publisher
    for _ in range(1000):
        wake.after_commit("calls.same")
    assert len(wake._publisher._waiting) <= 2
    assert wake.flush(5)
