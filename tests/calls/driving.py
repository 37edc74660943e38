"""What the tests of this folder do by hand: send a signed callback, let time pass for a call, bring it to an end."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone
from kombu import Connection

from calls.addresses import callback_url
from calls.models import CallLog, DueCall, JournalEntry
from calls.queries import OWING
from calls.reconcile.apply import apply_callbacks
from calls.reconcile.ask import check_call
from crm import tenancy
from crm.celery import app
from tests.conftest import Company, make_company, read_call, read_journal

# One for all: each new one would look through every static file again (whitenoise).
_client = Client()


def send_callback(company: Company, call_id: UUID, kind: str, params: dict[str, str]) -> Any:
    """Send one callback to the real view in this process, signed as twilio.com/docs/usage/security says."""
    url = callback_url(company.id, call_id, kind)
    params = {"AccountSid": company.account_sid, **params}
    signed = url + "".join(name + value for name, value in sorted(params.items()))
    signature = base64.b64encode(hmac.new(company.auth_token.encode(), signed.encode(), hashlib.sha1).digest())
    return _client.post(
        urlsplit(url).path,
        urlencode(params),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature.decode()},
    )


def let_pass(company: Company, call_id: UUID, seconds: float) -> None:
    """Make everything that is known of a call `seconds` older, as if nothing had been heard since."""
    by = timedelta(seconds=seconds)
    with tenancy.inside(company.id):
        # The note first, as whoever stores or applies does: in another order we would wait for each other.
        DueCall.objects.filter(pk=call_id).update(due_at=F("due_at") - by)
        CallLog.objects.filter(pk=call_id).update(created_at=F("created_at") - by)
        JournalEntry.objects.filter(call_id=call_id).update(received_at=F("received_at") - by)


def dropped(company: Company, *kinds_of_webhook: str, **match: str) -> list[dict[str, Any]]:
    """Faults: no webhook of these kinds reaches us, for this company alone."""
    rule = {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None}
    return [rule | {"match": {"kind": kind, **match}} for kind in kinds_of_webhook]


def rest(company: Company, on: str, do: str, **more: Any) -> dict[str, Any]:
    """A fault in Twilio's REST API, for this company alone."""
    return {"on": on, "do": do, "account": company.account_sid, **more}


def quick(company: Company) -> None:
    """Ring for five seconds instead of thirty."""
    company.connect(ring_seconds=5)


def live_calls(count: int, company: Company | None = None, **fields: Any) -> list[tuple[Company, UUID]]:
    """Make calls that are due now, at no cost to Twilio."""
    made = []
    company = company or make_company("Swept")
    for _ in range(count):
        with tenancy.inside(company.id):
            call = CallLog.objects.create(
                to_number=company.contact_number, from_number=company.number, agent_number="+5511987654321", **fields
            )
        DueCall.objects.create(call_id=call.pk, organization_id=company.id, due_at=timezone.now())
        made.append((company, call.pk))
    return made


def due(call_id: UUID) -> DueCall | None:
    """The sweeper's note of a call; None also where nothing but its price is still to come."""
    return DueCall.objects.filter(OWING, pk=call_id).first()


def check(company: Company, call_id: UUID) -> CallLog:
    """Do what a worker does for a call that the sweeper found, and read its row."""
    check_call(company.id, call_id)
    return read_call(company, call_id)


def apply(company: Company, call_id: UUID) -> CallLog:
    """Do what a worker does for a callback that was stored, without asking Twilio, and read the row."""
    apply_callbacks(company.id, call_id, ask=False)
    return read_call(company, call_id)


def over_at_twilio(company: Company, world: Any, *, seconds: float = 20) -> None:
    """Wait until no leg or recording of the company is live at the simulated Twilio, and every webhook was answered."""
    deadline = time.monotonic() + seconds
    while True:
        state = world.twilio.ask("GET", "state")
        live = [one["sid"] for one in state["calls"]["live"] if one["account_sid"] == company.account_sid]
        live += [
            one["sid"]
            for one in state["recordings"]
            if one["account_sid"] == company.account_sid and one["status"] not in ("completed", "absent")
        ]
        asked = world.twilio.ask("GET", f"requests?account_sid={company.account_sid}")["requests"]
        if not live and all(one["done"] for one in asked):
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"Still live after {seconds} s: {live}")
        time.sleep(0.05)


def kinds(company: Company, call_id: UUID) -> list[str]:
    """The kinds of the journal's entries, callbacks left out."""
    return [entry.kind for entry in read_journal(company, call_id) if entry.source != "callback"]


def stored_state(company: Company, call_id: UUID) -> dict[str, Any]:
    """All that a call's row, legs and recordings say, without ids and without the times of our own clock."""
    with tenancy.inside(company.id):
        call = CallLog.objects.get(pk=call_id)
        names = ("status", "stage", "started_at", "answered_at", "ended_at", "duration_seconds", "unanswered_by")
        names += ("ended_by", "error_code", "error_message", "confirmed", "recording_duration", "price", "price_unit")
        state: dict[str, Any] = {name: getattr(call, name) for name in names}
        leg = ("role", "status", "started_at", "answered_at", "ended_at", "duration_seconds", "sip_response_code")
        leg += ("price", "price_unit")
        state["legs"] = list(call.legs.order_by("role").values(*leg))
        recording = ("status", "duration_seconds", "channels", "started_at", "error_code")
        state["recordings"] = list(call.recordings.order_by("recording_sid").values(*recording))
    return state


def unapplied_without_a_note() -> int:
    """How many calls of the organization that is set have a fact that nobody will ever apply: there must be none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT call_id) FROM calls_journalentry j WHERE applied_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM calls_duecall d WHERE d.call_id = j.call_id)"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def own_queue() -> Iterator[Callable[[], list[str]]]:
    """A queue at the real broker that only this test reads: the task of each message that waits there."""
    url = app.conf.broker_url
    name = f"wake-{uuid4().hex}"
    before = app.conf.task_default_queue
    app.conf.task_default_queue = name
    app.amqp.queues = app.amqp.Queues(None)
    try:
        with Connection(url) as reader:
            queue = reader.SimpleQueue(name)

            def messages() -> list[str]:
                found: list[str] = []
                while True:
                    try:
                        message = queue.get(block=False)
                    except queue.Empty:
                        return found
                    message.ack()
                    found.append(str(message.headers["task"]))

            yield messages
            queue.queue.delete()
            queue.close()
    finally:
        app.conf.task_default_queue = before
        app.amqp.queues = app.amqp.Queues(None)
