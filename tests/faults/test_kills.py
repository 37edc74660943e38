"""`kill -9` at named points: whatever was promised before is kept, and every call ends in its row all the same."""

import hashlib
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.files.storage import storages
from django.db import connections

from calls.models import CallLog, DueCall, Recording
from crm import celery_app, tenancy
from crm.local.services import Services
from crm.services import create_token
from tests.calls.driving import let_pass
from tests.conftest import Company, eventually, make_company, read_journal
from tests.faults.proxy import DOWN, UP, Watch
from tests.faults.stage import ROUNDS, SEED, Stage, calls_of, posted, promised_and_missing, unapplied

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120 + 30 * ROUNDS)]

STORE, ROW = b"calls_store_callback", b'UPDATE "calls_calllog"'
ALL = ("web", "worker", "asker", "beat")


@pytest.fixture(scope="module")
def stage(django_db_setup: None) -> Iterator[Stage]:
    """Web, workers, beat and simulator over the test database, each behind lines of its own."""
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    name = connections["default"].settings_dict["NAME"]
    with tempfile.TemporaryDirectory() as folder:
        services = Services(f"{base}/{name}", None, settings.CELERY_BROKER_URL, Path(folder))
        stage = Stage(services)
        for role in ("web", "worker", "asker"):
            stage.line("database", role)
        for role in ("web", "asker"):
            stage.line("twilio", role)
        celery_app.control.purge()
        DueCall.objects.all().delete()
        try:
            stage.run("simulator", *ALL)
            # Tries that follow each other at once would all meet the same dead process, and none of what is promised.
            stage.twilio.ask("PUT", "switches", {"webhook_retry": "after_a_second"})
            yield stage
        finally:
            stage.stop()


@dataclass
class Click:
    """One click of one company's rep, and what is to come of it."""

    company: Company
    token: str
    key: str

    @property
    def row(self) -> CallLog:
        """The call, which is one and the same however often the client has asked."""
        (row,) = calls_of(self.company)
        return row

    def posts(self, stage: Stage) -> int:
        """How many `POST /Calls` left the web server for it, whether they arrived or not."""
        return stage.lines["web", "twilio"].counts[posted(self.company.account_sid)]


@pytest.fixture
def new_click(stage: Stage) -> Callable[[], Click]:
    """A company with a rep who is about to click."""

    def make() -> Click:
        company = make_company("Killed")
        stage.welcome(company)
        stage.lines["web", "twilio"].count(UP, posted(company.account_sid))
        return Click(company, create_token(member=company.rep), uuid4().hex)

    return make


def press(stage: Stage, click: Click) -> None:
    """Click, and repeat the same request until it was answered, as a client does whose connection broke."""

    def ask() -> str | None:
        if stage.children["web"].poll() is not None:
            stage.launch("web")
        return stage.click(click.token, click.company.contact.pk, click.key)

    made = eventually(ask, what="an answer")
    assert made == str(click.row.pk)


def holds(stage: Stage, clicks: list[Click], status: str, ended_by: str) -> None:
    """Check what no death may break, and that each call ends in its row."""
    for click in clicks:
        where = f"seed {SEED}, {click.company.organization.name}"
        try:
            settled(click)
            eventually(lambda click=click: not unapplied(click.company), what=f"{where}: all is applied")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{described(stage, click)}") from None
        assert (click.row.status, click.row.ended_by) == (status, ended_by), described(stage, click)
        assert click.posts(stage) == 1, where
        assert promised_and_missing(stage.twilio, click.company) == [], where


def settled(click: Click) -> None:
    """Wait until the row is final and says who hung up; what came while nobody listened, Twilio is asked for."""
    for _ in range(8):
        try:
            eventually(lambda: not click.row.is_live and click.row.ended_by, seconds=6, what="the row is final")
        except AssertionError:
            let_pass(click.company, click.row.pk, 61)
        else:
            return
    raise AssertionError("The row is not final.")


def described(stage: Stage, click: Click) -> str:
    """All that is known of a call that did not end: its row, its journal, and what Twilio sent."""
    row = click.row
    lines = [f"{row.status} {row.stage} {row.call_sid} {DueCall.objects.filter(pk=row.pk).values().first()}"]
    lines += [
        f"{one.source} {one.kind} {one.payload.get('CallStatus') or one.payload.get('status')} {one.applied_at}"
        for one in read_journal(click.company, row.pk)
    ]
    asked = stage.twilio.ask("GET", f"requests?account_sid={click.company.account_sid}")["requests"]
    lines += [f"{one['url'][-12:]} {one['params'].get('CallStatus')} {one['status']} {one['error']}" for one in asked]
    return "\n".join(lines)


def rounds(stage: Stage, name: str) -> Iterator[tuple[int, random.Random]]:
    """Number the rounds, with what is left to chance; the seed plays them again."""
    print(f"{name}: FAULT_SEED={SEED} FAULT_ROUNDS={ROUNDS}")  # noqa: T201
    chance = random.Random(f"{SEED} {name}")
    for number in range(ROUNDS):
        if name.startswith("web"):
            eventually(stage.is_whole, seconds=30, what="the web server has replaced its dead")
        yield number, chance


def strike(
    stage: Stage, role: str, what: str, *steps: tuple[str, bytes], skip: int = 0, goes_on: bool = False, main: bool
) -> Watch:
    """Kill when `steps` pass between `role` and `what`: the process that speaks, or with `main` the whole of it."""

    def act(port: int) -> bool:
        if main:
            stage.kill_main(role)
        else:
            stage.kill_owner(role, port)
        return goes_on

    return stage.lines[role, what].watch(*steps, act=act, skip=skip)


def test_web_dies_before_a_callback_is_committed(stage: Stage, new_click: Callable[[], Click]) -> None:
    """PostgreSQL never sees it, Twilio has no answer and sends it again."""
    clicks = []
    for _, chance in rounds(stage, "web before commit"):
        clicks.append(click := new_click())
        watch = strike(stage, "web", "database", (UP, STORE), skip=chance.randrange(9), main=False)
        press(stage, click)
        watch.wait()
    holds(stage, clicks, "completed", "contact")


def test_web_dies_after_a_callback_is_committed_and_before_it_is_answered(
    stage: Stage, new_click: Callable[[], Click]
) -> None:
    """It is in the journal, nobody was woken for it, and Twilio's repeat changes nothing."""
    clicks = []
    for _, chance in rounds(stage, "web after commit"):
        clicks.append(click := new_click())
        steps = [(UP, STORE), (DOWN, b"stored")]
        watch = strike(stage, "web", "database", *steps, skip=chance.randrange(9), main=False)
        press(stage, click)
        watch.wait()
    holds(stage, clicks, "completed", "contact")
    for click in clicks:
        digests = [one.digest for one in read_journal(click.company, click.row.pk)]
        assert len(digests) == len(set(digests))


def test_web_dies_before_its_post_reaches_twilio(stage: Stage, new_click: Callable[[], Click]) -> None:
    """There is no call. The client's repeat gets the same one, which is looked for twice and given up."""
    clicks = []
    for number, _ in rounds(stage, "web before POST /Calls"):
        clicks.append(click := new_click())
        steps = [(UP, posted(click.company.account_sid))]
        watch = strike(stage, "web", "twilio", *steps, main=bool(number % 2))
        assert stage.click(click.token, click.company.contact.pk, click.key) is None
        watch.wait()
        if number % 2:
            stage.restart("web")
        press(stage, click)
    for seconds, question in ((21, "not found"), (200, "given up")):
        for click in clicks:
            let_pass(click.company, click.row.pk, seconds)
        celery_app.send_task("calls.look")
        for click in clicks:
            row = click.row
            eventually(
                lambda click=click, row=row, question=question: (
                    question in {entry.kind for entry in read_journal(click.company, row.pk)}
                ),
                what=question,
            )
    holds(stage, clicks, "failed", "system")
    assert not any(stage.twilio.calls_made(click.company) for click in clicks)


def test_web_dies_after_its_post_reached_twilio(stage: Stage, new_click: Callable[[], Click]) -> None:
    """The phone rings and we were never told the SID: the callbacks tell it."""
    clicks = []
    for _ in rounds(stage, "web after POST /Calls"):
        clicks.append(click := new_click())
        steps = [(UP, posted(click.company.account_sid)), (DOWN, b"HTTP/1.1 201")]
        watch = strike(stage, "web", "twilio", *steps, main=False)
        assert stage.click(click.token, click.company.contact.pk, click.key) is None
        watch.wait()
        press(stage, click)
    holds(stage, clicks, "completed", "contact")
    assert [len(stage.twilio.calls_made(click.company)) for click in clicks] == [1] * len(clicks)


@pytest.mark.parametrize(
    ("steps", "goes_on"),
    [
        ([(UP, ROW)], False),
        ([(UP, ROW), (UP, b"COMMIT")], False),
        ([(UP, ROW), (UP, b"COMMIT"), (DOWN, b"COMMIT\0")], True),
    ],
    ids=["before its row", "before its commit", "after its commit"],
)
def test_a_worker_dies(
    stage: Stage, new_click: Callable[[], Click], steps: list[tuple[str, bytes]], goes_on: bool
) -> None:
    """Its child alone, and all of it: the facts stay unapplied, and somebody else applies them."""
    clicks = []
    for number, chance in rounds(stage, f"worker {len(steps)}"):
        watch = strike(
            stage, "worker", "database", *steps, skip=chance.randrange(3), goes_on=goes_on, main=bool(number % 2)
        )
        while not watch.struck.is_set():  # a worker that has much to do folds a whole call at once
            clicks.append(click := new_click())
            press(stage, click)
            watch.struck.wait(10)
        watch.wait()
        if number % 2:
            stage.restart("worker")
    holds(stage, clicks, "completed", "contact")


@pytest.mark.parametrize(
    "steps",
    [
        [(UP, b"/Recordings/RE")],
        [(UP, b"/Recordings/RE"), (DOWN, b"RIFF")],
    ],
    ids=["before it has asked", "in the middle of a recording"],
)
def test_the_sweeper_dies_in_the_middle_of_a_look(
    stage: Stage, new_click: Callable[[], Click], steps: list[tuple[str, bytes]]
) -> None:
    """What it had taken is due again when its lease is over; no half recording is shown to anybody."""
    clicks = []
    for number, _ in rounds(stage, f"asker {len(steps)}"):
        clicks.append(click := new_click())
        watch = strike(stage, "asker", "twilio", *steps, main=bool(number % 2))
        press(stage, click)
        watch.wait()
        if number % 2:
            stage.restart("asker")
        eventually(lambda click=click: not click.row.is_live, what="the row is final")
        let_pass(click.company, click.row.pk, 61)  # the lease
        celery_app.send_task("calls.look")
    for click in clicks:
        eventually(lambda click=click: click.row.recording_url, what="the recording")
        with tenancy.inside(click.company.id):
            one = Recording.objects.get(call_id=click.row.pk)
        with storages["recordings"].open(one.media_name) as stored:
            assert hashlib.sha256(stored.read()).hexdigest() == one.media_sha256
    holds(stage, clicks, "completed", "contact")


def test_the_sweeper_dies_while_it_asks_how_a_call_ended(stage: Stage, new_click: Callable[[], Click]) -> None:
    """All news of the end was lost, so Twilio has to be asked; the answer was there when the process died."""
    clicks = []
    for number, _ in rounds(stage, "asker asks"):
        clicks.append(click := new_click())
        rule = {"on": "webhook", "do": "drop", "account": click.company.account_sid, "times": None}
        stage.twilio.faults(*({**rule, "match": {"kind": kind}} for kind in ("status", "action")))
        press(stage, click)
        row = click.row
        eventually(lambda click=click: _over(stage, click.company), what="the end at Twilio")
        steps = [(UP, f"/Calls/{row.call_sid}.json".encode()), (DOWN, b"HTTP/1.1 200")]
        watch = strike(stage, "asker", "twilio", *steps, main=bool(number % 2))
        let_pass(click.company, row.pk, 61)
        celery_app.send_task("calls.look")
        watch.wait()
        if number % 2:
            stage.restart("asker")
        let_pass(click.company, row.pk, 61)
        celery_app.send_task("calls.look")
    holds(stage, clicks, "completed", "contact")
    stage.twilio.faults()


def _over(stage: Stage, company: Company) -> bool:
    live = stage.twilio.ask("GET", "state")["calls"]["live"]
    return not any(one["account_sid"] == company.account_sid for one in live)
