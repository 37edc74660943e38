"""Callbacks, signed by hand and sent to the real view: what is taken, what is refused, what Twilio is told to do."""

import base64
import hashlib
import hmac
import importlib
import io
import json
import logging
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4
from xml.etree import ElementTree

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client, RequestFactory
from django.utils import timezone

from calls import journal
from calls.addresses import callback_url
from calls.models import CallLog, DueCall
from calls.reconcile.apply import apply_callbacks
from crm import tenancy, wake
from crm.models import Contact
from integrations.access import callback_credentials
from tests.calls.driving import kinds, own_queue
from tests.conftest import Company, World, callbacks_of, eventually, read_call
from tests.crm.rows import make_call

FORM = "application/x-www-form-urlencoded"
SID, CHILD, RECORDING = "CA" + "0" * 32, "CA" + "c" * 32, "RE" + "0" * 32
Pairs = list[tuple[str, str]]


def sign(token: str, url: str, pairs: Pairs) -> str:
    """Sign as Twilio's security page describes it: the address, then each name and value, sorted."""
    said = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(token.encode(), said.encode(), hashlib.sha1).digest()).decode()


def said_of(company: Company, call: CallLog, **changes: str | None) -> dict[str, str]:
    """What Twilio says in every callback of a call's agent leg; None leaves a parameter out."""
    sid = call.call_sid or SID
    known: dict[str, str | None] = {
        "AccountSid": company.account_sid,
        "CallSid": sid,
        "ParentCallSid": sid,
        "RecordingSid": RECORDING,
        "CallStatus": "ringing",
        "From": company.number,
        "To": call.agent_number,
        "Timestamp": "Sat, 01 Aug 2026 10:00:00 +0000",
        "SequenceNumber": "1",
        "ErrorMessage": "",
    }
    return {name: value for name, value in (known | changes).items() if value is not None}


def post(
    company: Company,
    call_id: UUID,
    kind: str,
    said: dict[str, str] | Pairs,
    *,
    token: str | None = None,
    client: Client | None = None,
    body: bytes | None = None,
    content_type: str = FORM,
    signature: str | None = None,
    **extra: Any,
) -> Any:
    """Send one callback as Twilio does, or with what a test does wrong."""
    pairs = list(said.items()) if isinstance(said, dict) else said
    url = callback_url(company.id, call_id, kind)
    if signature is None:
        signature = sign(company.auth_token if token is None else token, url, pairs)
    return (client or Client()).generic(
        "POST",
        url.removeprefix(django_settings.PUBLIC_BASE_URL),
        urlencode(pairs).encode() if body is None else body,
        content_type=content_type,
        headers={"X-Twilio-Signature": signature} if signature else {},
        **extra,
    )


@pytest.fixture
def call(ours: Company) -> CallLog:
    """A call of the rep that Twilio has accepted."""
    return make_call(ours)


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No error is logged, and no traceback."""
    caplog.set_level(logging.INFO)
    yield
    loud = [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
    assert not loud, caplog.text


# What is taken


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kind", journal.CALLBACKS)
def test_a_signed_callback_is_stored_verbatim_and_once(ours: Company, call: CallLog, kind: str) -> None:
    said = said_of(ours, call, New="from Twilio", FromCity="SÃO PAULO", Empty="")
    if kind == "contact":
        said["CallSid"] = "CA" + "e" * 32  # a leg is not its own parent
    before = timezone.now()
    for _ in range(3):
        answer = post(ours, call.pk, kind, said)
        assert answer.status_code in (200, 204)
        assert (answer.status_code == 204) == (kind in ("agent", "contact", "recording"))
    [entry] = callbacks_of(ours, call.pk).entries
    assert (entry.kind, entry.source, entry.payload, entry.applied_at) == (kind, "callback", said, None)
    assert before <= entry.received_at <= timezone.now()
    assert entry.organization_id == ours.id
    assert DueCall.objects.get(pk=call.pk).organization_id == ours.id, (
        "The sweeper knows, whatever becomes of the wake-up."
    )


def test_callbacks_that_differ_in_one_parameter_are_two(ours: Company, call: CallLog) -> None:
    for sequence in ("1", "2", "1"):
        assert post(ours, call.pk, "agent", said_of(ours, call, SequenceNumber=sequence)).status_code == 204
    assert callbacks_of(ours, call.pk).count == 2


def test_repeated_parameters_are_kept_all(ours: Company, call: CallLog) -> None:
    pairs = [*said_of(ours, call).items(), ("Media", "b"), ("Media", "a"), ("Media", "b")]
    assert post(ours, call.pk, "agent", pairs).status_code == 204
    assert callbacks_of(ours, call.pk).entries[0].payload["Media"] == ["b", "a", "b"]


@pytest.mark.usefixtures("quiet")
def test_a_nul_is_kept_as_the_sign_for_an_unreadable_character(ours: Company, call: CallLog) -> None:
    assert post(ours, call.pk, "agent", said_of(ours, call, Name="a\x00b")).status_code == 204
    assert callbacks_of(ours, call.pk).entries[0].payload["Name"] == "a\ufffdb"


def test_a_content_type_with_a_character_set_is_a_form_too(ours: Company, call: CallLog) -> None:
    assert post(ours, call.pk, "agent", said_of(ours, call), content_type=f"{FORM}; charset=UTF-8").status_code == 204


def test_an_undocumented_status_is_stored_and_logged(
    ours: Company, call: CallLog, caplog: pytest.LogCaptureFixture
) -> None:
    assert post(ours, call.pk, "agent", said_of(ours, call, CallStatus="meditating")).status_code == 204
    assert callbacks_of(ours, call.pk).entries[0].payload["CallStatus"] == "meditating"
    apply_callbacks(ours.id, call.pk, ask=False)
    assert "undocumented status" in caplog.text
    assert read_call(ours, call.pk).status == "queued"


def test_a_callback_that_overtakes_twilios_answer_is_taken_and_tells_the_calls_sid(ours: Company) -> None:
    call = make_call(ours, call_sid=None)
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204
    apply_callbacks(ours.id, call.pk, ask=False)
    row = read_call(ours, call.pk)
    assert (row.call_sid, row.confirmed, row.stage) == (SID, True, "ringing_agent")
    assert post(ours, call.pk, "agent", said_of(ours, call, CallSid="CA" + "1" * 32)).status_code == 403


@pytest.mark.usefixtures("quiet")
def test_a_replaced_token_works_at_once_and_the_old_one_stops(ours: Company, call: CallLog, settings: Any) -> None:
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204  # the old one is remembered now
    ours.connect(auth_token="replaced")
    later = said_of(ours, call, SequenceNumber="2")
    assert post(ours, call.pk, "agent", later, token="replaced").status_code == 204
    assert post(ours, call.pk, "agent", said_of(ours, call, SequenceNumber="3")).status_code == 403
    assert callbacks_of(ours, call.pk).count == 2


def test_a_flood_of_forgeries_reads_the_database_once_a_second(ours: Company, call: CallLog) -> None:
    from django.test.utils import CaptureQueriesContext

    post(ours, call.pk, "agent", said_of(ours, call))
    began = time.monotonic()
    with CaptureQueriesContext(connections["default"]) as asked:
        for number in range(100):
            assert post(ours, call.pk, "agent", {"n": str(number)}, token="wrong").status_code == 403
    seconds = time.monotonic() - began
    asked_for = [query["sql"] for query in asked if "integrations_twilioaccount" in query["sql"]]
    assert len([sql for sql in asked_for if sql.startswith("SELECT")]) <= 2 + seconds
    assert len([sql for sql in asked_for if sql.startswith("UPDATE")]) <= 2 + seconds


def test_the_signature_is_over_our_public_address_whatever_the_request_says_of_itself(
    ours: Company, call: CallLog, settings: Any
) -> None:
    settings.PUBLIC_BASE_URL = "https://crm.example.com"
    for number, headers in enumerate(({}, {"HTTP_X_FORWARDED_PROTO": "http"}, {"HTTP_HOST": "127.0.0.1:9"})):
        said = said_of(ours, call, SequenceNumber=str(number))
        assert post(ours, call.pk, "agent", said, **headers).status_code == 204
    path = callback_url(ours.id, call.pk, "agent").removeprefix("https://crm.example.com")
    said = said_of(ours, call, SequenceNumber="9")
    forged = sign(ours.auth_token, f"http://testserver{path}", list(said.items()))
    assert post(ours, call.pk, "agent", said, signature=forged).status_code == 403


def somebody_waits_for_a_lock() -> bool:
    """Whether a session is held up by another one's transaction."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def test_a_callback_that_comes_while_another_binds_its_call_waits_and_is_stored(ours: Company) -> None:
    call = make_call(ours, call_sid=None)
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204
    told: list[int] = []

    def late() -> None:
        try:
            told.append(post(ours, call.pk, "agent", said_of(ours, call, SequenceNumber="2")).status_code)
        finally:
            connections["default"].close()

    thread = threading.Thread(target=late)
    with tenancy.inside(ours.id):  # the locks of apply_callbacks, in its order
        DueCall.objects.select_for_update().get(pk=call.pk)
        CallLog.objects.select_for_update(no_key=True).get(pk=call.pk)
        thread.start()
        eventually(somebody_waits_for_a_lock, what="the second callback waits")
        CallLog.objects.filter(pk=call.pk).update(call_sid=SID)
    thread.join()
    assert told == [204]
    assert callbacks_of(ours, call.pk).count == 2


# What is refused: nothing is stored, and nobody is woken by a traceback


def body_of(said: dict[str, str], **changes: str) -> bytes:
    """The body of other parameters than those that were signed."""
    return urlencode(said | changes).encode()


REFUSED: dict[str, tuple[int, Callable[[Company, Company, CallLog], dict[str, Any]]]] = {
    "a wrong token": (403, lambda o, t, c: {"token": "wrong"}),
    "another organization's token": (403, lambda o, t, c: {"token": t.auth_token}),
    "an empty token": (403, lambda o, t, c: {"token": ""}),
    "no signature": (403, lambda o, t, c: {"signature": ""}),
    "a signature that is none": (403, lambda o, t, c: {"signature": "é" * 40}),
    "a changed parameter": (403, lambda o, t, c: {"body": body_of(said_of(o, c), CallStatus="completed")}),
    "an added parameter": (403, lambda o, t, c: {"body": body_of(said_of(o, c), Digits="1")}),
    "an empty body": (403, lambda o, t, c: {"body": b""}),
    "no account": (403, lambda o, t, c: {"said": said_of(o, c, AccountSid=None)}),
    "another account": (403, lambda o, t, c: {"said": said_of(o, c, AccountSid=t.account_sid)}),
    "two accounts": (403, lambda o, t, c: {"said": [*said_of(o, c).items(), ("AccountSid", t.account_sid)]}),
    "no SID": (403, lambda o, t, c: {"said": said_of(o, c, CallSid=None)}),
    "an empty SID": (403, lambda o, t, c: {"said": said_of(o, c, CallSid="")}),
    "two SIDs": (403, lambda o, t, c: {"said": [*said_of(o, c).items(), ("CallSid", SID)]}),
    "a SID that is none": (403, lambda o, t, c: {"said": said_of(o, c, CallSid="CA1")}),
    "a SID with a NUL": (403, lambda o, t, c: {"said": said_of(o, c, CallSid="CA\x00")}),
    "a SID of another call of ours": (
        403,
        lambda o, t, c: {"said": said_of(o, c, CallSid=make_call(o, o.rep2).call_sid)},
    ),
    "an unknown call": (403, lambda o, t, c: {"call_id": uuid4()}),
    "another organization's call": (403, lambda o, t, c: {"call_id": make_call(t, call_sid=c.call_sid).pk}),
    "JSON": (403, lambda o, t, c: {"body": json.dumps(said_of(o, c)).encode(), "content_type": "application/json"}),
    "a multipart form": (403, lambda o, t, c: {"body": b"--b--", "content_type": "multipart/form-data; boundary=b"}),
    "no content type": (403, lambda o, t, c: {"content_type": ""}),
    "a malformed form": (403, lambda o, t, c: {"body": b"one&two&three"}),
    "a binary": (403, lambda o, t, c: {"body": bytes(range(256))}),
    "no UTF-8": (403, lambda o, t, c: {"body": b"Name=S\xe3o"}),
    "no UTF-8 behind percent signs": (403, lambda o, t, c: {"body": b"Name=S%E3o"}),
    "more than two hundred parameters": (403, lambda o, t, c: {"said": {f"P{n}": "" for n in range(300)}}),
    "two megabytes": (413, lambda o, t, c: {"said": said_of(o, c, Much="x" * 2_000_000)}),
    "one byte too many": (413, lambda o, t, c: {"body": b"a=" + b"x" * (64 * 1024 - 1)}),
    "a body without its length": (403, lambda o, t, c: {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}),
    "a length that is none": (403, lambda o, t, c: {"CONTENT_LENGTH": "many"}),
    "a negative length": (403, lambda o, t, c: {"CONTENT_LENGTH": "-1"}),
    "a length beyond all numbers": (413, lambda o, t, c: {"CONTENT_LENGTH": "9" * 5000}),
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("what", REFUSED)
def test_refused(ours: Company, theirs: Company, call: CallLog, what: str) -> None:
    status, wrong = REFUSED[what]
    request = {"call_id": call.pk, "said": said_of(ours, call), **wrong(ours, theirs, call)}
    answer = post(ours, request.pop("call_id"), "agent", request.pop("said"), **request)
    assert answer.status_code == status, answer.content
    for company in (ours, theirs):
        with tenancy.inside(company.id):
            assert not journal.JournalEntry.objects.exists()
    assert not DueCall.objects.filter(organization_id__in=[ours.id, theirs.id]).exists()


@pytest.mark.usefixtures("quiet")
def test_an_organization_that_does_not_exist_or_has_no_twilio_takes_nothing(ours: Company, call: CallLog) -> None:
    from integrations.models import TwilioAccount

    path = callback_url(uuid4(), call.pk, "agent").removeprefix(django_settings.PUBLIC_BASE_URL)
    assert Client().post(path, "a=b", content_type=FORM, headers={"X-Twilio-Signature": "x"}).status_code == 403
    with tenancy.inside(ours.id):
        TwilioAccount.objects.all().delete()
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 403


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_is_a_callback(ours: Company, call: CallLog, method: str) -> None:
    path = callback_url(ours.id, call.pk, "agent").removeprefix(django_settings.PUBLIC_BASE_URL)
    assert Client().generic(method, path).status_code == 405
    assert callbacks_of(ours, call.pk).count == 0


@pytest.mark.parametrize("path", ["agent/", "nothing", "", "AGENT", "agent%00"])
def test_there_is_nothing_beside_the_known_kinds(ours: Company, call: CallLog, path: str) -> None:
    known = callback_url(ours.id, call.pk, "agent").removeprefix(django_settings.PUBLIC_BASE_URL)
    assert Client().post(known.removesuffix("agent") + path).status_code == 404


def test_a_call_has_one_contacts_leg_and_no_callback_tells_of_another(ours: Company, call: CallLog) -> None:
    another = "CA" + "e" * 32
    assert post(ours, call.pk, "contact", said_of(ours, call, CallSid=CHILD)).status_code == 204
    apply_callbacks(ours.id, call.pk, ask=False)
    answered = {"CallStatus": "in-progress", "SequenceNumber": "2"}
    assert post(ours, call.pk, "contact", said_of(ours, call, CallSid=another, **answered)).status_code == 403
    dial = {"DialCallStatus": "busy", "CallStatus": "in-progress"}
    assert post(ours, call.pk, "dial", said_of(ours, call, DialCallSid=another, **dial)).status_code == 403
    assert callbacks_of(ours, call.pk).count == 1
    assert post(ours, call.pk, "contact", said_of(ours, call, CallSid=CHILD, **answered)).status_code == 204
    assert post(ours, call.pk, "dial", said_of(ours, call, DialCallSid=CHILD, **dial)).status_code == 200


def test_an_action_that_names_no_leg_tells_of_no_other(ours: Company, call: CallLog) -> None:
    assert post(ours, call.pk, "contact", said_of(ours, call, CallSid=CHILD)).status_code == 204
    apply_callbacks(ours.id, call.pk, ask=False)
    for sid in ("", None):
        dial = said_of(ours, call, DialCallSid=sid, DialCallStatus="failed", CallStatus="in-progress")
        assert post(ours, call.pk, "dial", dial).status_code == 200
    assert callbacks_of(ours, call.pk).count == 3


def test_the_contacts_leg_is_known_by_its_parent(ours: Company, call: CallLog) -> None:
    said = said_of(ours, call, CallSid=CHILD)
    assert post(ours, call.pk, "contact", said).status_code == 204
    for parent in (None, "", CHILD, "CA" + "d" * 32):
        assert (
            post(ours, call.pk, "contact", said_of(ours, call, CallSid=CHILD, ParentCallSid=parent)).status_code == 403
        )
    assert callbacks_of(ours, call.pk).count == 1


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "contact", "CallSid": None},
        {"kind": "contact", "CallSid": ""},
        {"kind": "contact", "CallSid": "CA1"},
        {"kind": "contact", "CallSid": "CA" + "C" * 32},
        {"kind": "contact", "CallSid": RECORDING},
        {"kind": "recording", "RecordingSid": None},
        {"kind": "recording", "RecordingSid": ""},
        {"kind": "recording", "RecordingSid": "RE1"},
        {"kind": "recording", "RecordingSid": "../" + "0" * 31},
        {"kind": "recording", "RecordingSid": CHILD},
    ],
    ids=str,
)
def test_a_leg_or_recording_without_a_name_of_its_own_is_refused(
    ours: Company, call: CallLog, changes: dict[str, str | None]
) -> None:
    said = {"CallSid": CHILD} if changes["kind"] == "contact" else {}
    kind = str(changes["kind"])
    more = {name: value for name, value in changes.items() if name != "kind"}
    assert post(ours, call.pk, kind, said_of(ours, call, **(said | more))).status_code == 403
    assert callbacks_of(ours, call.pk).count == 0
    assert post(ours, call.pk, kind, said_of(ours, call, **said)).status_code == 204


def test_the_log_of_a_refusal_holds_neither_token_nor_payload(
    ours: Company, call: CallLog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    post(ours, call.pk, "agent", said_of(ours, call, Secret="payload"), token="wrong")
    assert "Refused a agent callback" in caplog.text or "Refused an agent callback" in caplog.text
    for word in (ours.auth_token, "payload", ours.account_sid):
        assert word not in caplog.text


# The database is gone, or was


@contextmanager
def nobody_at_the_databases_address() -> Iterator[None]:
    """Point this thread's connection at a port where nobody listens."""
    connection = connections["default"]
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        right, wrong = connection.settings_dict["PORT"], reserved.getsockname()[1]
        connection.close()
        connection.settings_dict["PORT"] = wrong
        try:
            yield
        finally:
            connection.settings_dict["PORT"] = right
            connection.close()


@pytest.mark.parametrize("kind", ["agent", "answer"])
@pytest.mark.parametrize("remembered", [True, False], ids=["token remembered", "token unknown"])
def test_without_a_database_twilio_is_asked_to_come_again_and_nothing_is_lost(
    ours: Company, call: CallLog, kind: str, remembered: bool
) -> None:
    if remembered:
        post(ours, call.pk, "recording", said_of(ours, call))
    with nobody_at_the_databases_address():
        for _ in range(2):
            answer = post(ours, call.pk, kind, said_of(ours, call))
            assert answer.status_code == 503
    for _ in range(2):
        assert post(ours, call.pk, kind, said_of(ours, call)).status_code in (200, 204)
    assert [entry.kind for entry in callbacks_of(ours, call.pk).entries if entry.kind == kind] == [kind]


def another_connection() -> psycopg.Connection[tuple[Any, ...]]:
    """Connect as the application's role, past Django: a role may end its own connections."""
    known = connections["default"].settings_dict
    return psycopg.connect(
        host=known["HOST"],
        port=known["PORT"],
        user=known["USER"],
        password=known["PASSWORD"],
        dbname=known["NAME"],
        autocommit=True,
    )


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("kind", ["agent", "answer"])
def test_a_connection_that_died_since_its_last_use_is_replaced(
    ours: Company, call: CallLog, kind: str, remembered: bool
) -> None:
    assert post(ours, call.pk, kind, said_of(ours, call, SequenceNumber="0")).status_code in (200, 204)
    if not remembered:
        callback_credentials.clear()
    pid = connections["default"].connection.info.backend_pid
    with another_connection() as ender:
        assert ender.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)
    assert post(ours, call.pk, kind, said_of(ours, call, SequenceNumber="1")).status_code in (200, 204)
    assert callbacks_of(ours, call.pk).count == 2


def test_a_table_that_is_missing_is_503_too(ours: Company, call: CallLog) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE calls_journalentry RENAME TO calls_elsewhere")
        try:
            assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 503
        finally:
            cursor.execute("ALTER TABLE calls_elsewhere RENAME TO calls_journalentry")
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204
    assert callbacks_of(ours, call.pk).count == 1


def test_a_token_that_no_key_opens_is_503_and_not_403(ours: Company, call: CallLog, settings: Any) -> None:
    keys = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = ["other:" + "A" * 43]
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 503
    settings.FIELD_ENCRYPTION_KEYS = keys
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204


@pytest.mark.parametrize("keys", [[], ["k1:AAAA"]])
def test_keys_that_are_none_are_503_too(ours: Company, call: CallLog, settings: Any, keys: list[str]) -> None:
    right, settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS, keys
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 503
    settings.FIELD_ENCRYPTION_KEYS = right
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204


@pytest.mark.stack
def test_the_first_callback_after_a_restart_of_the_database_is_stored(world: World, company: Company) -> None:
    call = make_call(company)

    def send(sequence: str) -> int:
        said = said_of(company, call, SequenceNumber=sequence)
        url = callback_url(company.id, call.pk, "agent")
        headers = {"X-Twilio-Signature": sign(company.auth_token, url, list(said.items())), "Content-Type": FORM}
        request = urllib.request.Request(url, urlencode(said).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    # More than the server has threads, so that all of them hold a connection.
    assert {send(str(number)) for number in range(30)} == {204}
    with another_connection() as ender:
        ender.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()"
        )
    connections["default"].close()
    assert {send(str(number)) for number in range(100, 130)} == {204}
    assert callbacks_of(company, call.pk).count == 60


# Workers are woken


def test_a_stored_callback_wakes_a_worker_and_a_repeat_does_not(ours: Company, call: CallLog) -> None:
    assert wake.flush(10)
    with own_queue() as messages:
        for _ in range(3):
            assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204
            assert wake.flush(10)
        assert messages() == ["calls.apply"]


# What Twilio is told to do


def twiml(answer: Any) -> ElementTree.Element:
    """The document of an answer."""
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/xml; charset=utf-8")
    root = ElementTree.fromstring(answer.content)
    assert root.tag == "Response"
    return root


def verbs(answer: Any) -> list[str]:
    """The names of a document's verbs."""
    return [verb.tag for verb in twiml(answer)]


def address(company: Company, call: CallLog, kind: str) -> str:
    """The address of another callback, with the wish for more retries that Twilio does not sign."""
    return callback_url(company.id, call.pk, kind) + "#ct=2000&rt=3000&rc=4&rp=ct,rt,5xx"


def test_the_answering_rep_hears_who_is_called_and_is_asked_for_a_key(ours: Company, call: CallLog) -> None:
    [gather] = twiml(post(ours, call.pk, "answer", said_of(ours, call)))
    assert gather.tag == "Gather"
    assert gather.attrib == {
        "numDigits": "1",
        "timeout": "10",
        "action": address(ours, call, "key"),
        "method": "POST",
        "actionOnEmptyResult": "true",
    }
    [say] = gather
    assert say.attrib["language"] == "en-US"
    assert ours.contact.name in (say.text or "")


def test_without_a_contact_the_number_is_said(ours: Company) -> None:
    call = make_call(ours, contact=None, to_number="+551132345678")
    [gather] = twiml(post(ours, call.pk, "answer", said_of(ours, call)))
    assert "+55 11 3234-5678" in (gather[0].text or "")


@pytest.mark.parametrize("kind", ["key", "bridge"])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_key_or_a_rep_who_needs_none_rings_the_contact(ours: Company, kind: str, recorded: bool) -> None:
    call = make_call(ours, is_recorded=recorded, rings_for_seconds=17)
    [dial] = twiml(post(ours, call.pk, kind, said_of(ours, call, Digits="5")))
    assert dial.tag == "Dial"
    recording = {
        "record": "record-from-answer-dual",
        "recordingStatusCallback": address(ours, call, "recording"),
        "recordingStatusCallbackMethod": "POST",
        "recordingStatusCallbackEvent": "in-progress completed absent",
    }
    assert dial.attrib == {
        "callerId": ours.number,
        "timeout": "17",
        "action": address(ours, call, "dial"),
        "method": "POST",
        **(recording if recorded else {}),
    }
    [number] = dial
    assert (number.tag, number.text) == ("Number", ours.contact_number)
    assert number.attrib == {
        "statusCallback": address(ours, call, "contact"),
        "statusCallbackMethod": "POST",
        "statusCallbackEvent": "initiated ringing answered completed",
    }


@pytest.mark.parametrize("digits", [None, ""])
def test_no_key_ends_the_call_and_rings_nobody(ours: Company, call: CallLog, digits: str | None) -> None:
    assert verbs(post(ours, call.pk, "key", said_of(ours, call, Digits=digits))) == ["Say", "Hangup"]


def test_the_destination_is_the_rows_whatever_the_request_says(ours: Company, call: CallLog) -> None:
    said = said_of(ours, call, Digits="1", To="+18765550100", Called="+18765550100", From="+18765550101")
    answer = post(ours, call.pk, "key", said)
    [number] = twiml(answer)[0]
    assert number.text == ours.contact_number
    assert b"8765550" not in answer.content


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("busy", "is busy"),
        ("no-answer", "did not answer"),
        ("failed", "could not be reached"),
        ("canceled", "did not answer"),
        ("completed", None),
        ("answered", None),
        ("meditating", None),
        (None, None),
    ],
)
def test_a_rep_who_is_still_there_hears_why_nobody_else_is(
    ours: Company, call: CallLog, status: str | None, says: str | None
) -> None:
    there = post(ours, call.pk, "dial", said_of(ours, call, DialCallStatus=status, CallStatus="in-progress"))
    if says:
        say, hangup = twiml(there)
        assert (say.tag, hangup.tag) == ("Say", "Hangup")
        assert say.text == f"{ours.contact.name} {says}."
    else:
        assert verbs(there) == ["Hangup"]
    gone = post(ours, call.pk, "dial", said_of(ours, call, DialCallStatus=status, CallStatus="completed"))
    assert verbs(gone) == ["Hangup"]


def test_the_fallback_apologizes_and_hangs_up(ours: Company, call: CallLog) -> None:
    said = said_of(ours, call, ErrorCode="11200", ErrorUrl="https://crm.example.com/")
    assert verbs(post(ours, call.pk, "fallback", said)) == ["Say", "Hangup"]


@pytest.mark.parametrize("kind", ["answer", "bridge", "key"])
@pytest.mark.parametrize("why", ["over", "too old", "hang-up asked for", "given up"])
def test_a_call_that_nobody_wants_any_more_is_hung_up(ours: Company, call: CallLog, kind: str, why: str) -> None:
    with tenancy.inside(ours.id):
        row = CallLog.objects.filter(pk=call.pk)
        if why == "over":
            row.update(status="failed")
        elif why == "too old":
            row.update(created_at=timezone.now() - timedelta(minutes=16))
        else:
            journal.record_ours(call, "hang-up" if why == "hang-up asked for" else why)
    assert verbs(post(ours, call.pk, kind, said_of(ours, call, Digits="1"))) == ["Hangup"]
    assert callbacks_of(ours, call.pk).count == 1, "It is recorded all the same."


@pytest.mark.parametrize("kind", ["answer", "bridge", "key"])
def test_a_wish_that_twilio_refused_is_granted_when_the_leg_asks_and_noted_anew(
    ours: Company, call: CallLog, kind: str
) -> None:
    asked_at = timezone.now().isoformat()
    with tenancy.inside(ours.id):
        journal.record_ours(call, "hang-up", at=asked_at)
        journal.record_ours(call, "hang-up in vain", asked_at=asked_at)
    for _ in range(2):
        assert verbs(post(ours, call.pk, kind, said_of(ours, call, Digits="1"))) == ["Hangup"]
        assert kinds(ours, call.pk) == ["hang-up", "hang-up in vain", "hang-up"]


NAME = "<Dial>+18765550100</Dial> & \"Sons\" 'Ltd' ]]> ☎"


@pytest.mark.parametrize("kind", ["answer", "dial"])
def test_a_contacts_name_is_said_and_never_obeyed(ours: Company, call: CallLog, kind: str) -> None:
    with tenancy.inside(ours.id):
        Contact.objects.update(name=NAME)
    said = said_of(ours, call, CallStatus="in-progress", DialCallStatus="busy")
    root = twiml(post(ours, call.pk, kind, said))
    assert not root.findall(".//Dial")
    [say] = root.iter("Say")
    assert NAME in (say.text or "")


@pytest.mark.parametrize(("language", "voice"), [("pt-br", "pt-BR"), ("en", "en-US"), ("xx", "en-US")])
def test_the_rep_is_spoken_to_in_the_language_of_the_click(ours: Company, language: str, voice: str) -> None:
    call = make_call(ours, language=language)
    for kind in ("answer", "fallback"):
        [say] = twiml(post(ours, call.pk, kind, said_of(ours, call))).iter("Say")
        assert say.attrib["language"] == voice


# The server's door: the same answers, before Django's handler


@pytest.fixture(autouse=True)
def _loaded() -> None:
    """Load the web server's application before a test runs: it sets up logging anew, and looks at the database."""
    importlib.import_module("crm.wsgi")


def at_the_door(method: str, path: str, *, body: Any = None, signature: str = "") -> tuple[str, dict[str, str], bytes]:
    """Ask the application that the web server loads; returns the status line, the headers and the body."""
    application = sys.modules["crm.wsgi"].application
    request = RequestFactory().generic(
        method, path, body if isinstance(body, bytes) else b"a=b", FORM, headers={"X-Twilio-Signature": signature}
    )
    environ, began = request.environ, []
    if body is not None and not isinstance(body, bytes):
        environ |= {"wsgi.input": body, "CONTENT_LENGTH": "10"}
    answer = application(environ, lambda status, headers: began.extend([status, dict(headers)]))
    return began[0], began[1], b"".join(answer)


@pytest.mark.parametrize("kind", journal.CALLBACKS)
def test_the_door_answers_a_callback_as_the_view_does(ours: Company, call: CallLog, kind: str) -> None:
    said = said_of(ours, call, **({"CallSid": "CA" + "e" * 32} if kind == "contact" else {}))
    url = callback_url(ours.id, call.pk, kind)
    path = url.removeprefix(django_settings.PUBLIC_BASE_URL)
    signature = sign(ours.auth_token, url, list(said.items()))
    status, headers, body = at_the_door("POST", path, body=urlencode(said).encode(), signature=signature)
    assert callbacks_of(ours, call.pk).count == 1
    viewed = post(ours, call.pk, kind, said)
    assert (int(status[:3]), body) == (viewed.status_code, viewed.content)
    assert headers.get("Content-Type") == (viewed.headers["Content-Type"] if body else None)
    assert callbacks_of(ours, call.pk).count == 1, "The view took a repeat."
    status, _, _ = at_the_door("POST", path, body=urlencode(said | {"a": "b"}).encode(), signature=signature)
    assert status == "403 Forbidden"
    assert callbacks_of(ours, call.pk).count == 1


@pytest.mark.parametrize(
    ("method", "end", "expected"),
    [("GET", "", "405"), ("POST", "s", "404"), ("POST", "/", "404"), ("POST", "\n", "404"), ("POST", "/../x", "404")],
)
def test_the_door_leaves_to_django_what_is_no_callback(
    ours: Company, call: CallLog, method: str, end: str, expected: str
) -> None:
    path = callback_url(ours.id, call.pk, "agent").removeprefix(django_settings.PUBLIC_BASE_URL)
    status, _, _ = at_the_door(method, path + quote(end))
    assert status.startswith(expected)


@pytest.mark.parametrize(
    ("signature", "of"), [("", "ours"), ("short", "ours"), ("A" * 27 + "!", "ours"), ("A" * 27 + "=", "nobody")]
)
def test_nobodys_body_is_waited_for(ours: Company, call: CallLog, signature: str, of: str) -> None:
    class Never(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("It would wait for this.")

    path = callback_url(ours.id if of == "ours" else uuid4(), call.pk, "agent")
    status, _, _ = at_the_door(
        "POST", path.removeprefix(django_settings.PUBLIC_BASE_URL), body=Never(), signature=signature
    )
    assert status == "403 Forbidden"


def test_a_sender_that_goes_away_is_logged_and_nothing_stored(
    ours: Company, call: CallLog, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    path = callback_url(ours.id, call.pk, "agent").removeprefix(django_settings.PUBLIC_BASE_URL)
    status, _, body = at_the_door("POST", path, body=Gone(), signature=sign(ours.auth_token, "any", []))
    assert (status, body) == ("500 Internal Server Error", b"It failed.\n")
    assert "ConnectionResetError" in caplog.text
    assert callbacks_of(ours, call.pk).count == 0
