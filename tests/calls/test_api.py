"""Calls over REST: who may start, see and end which call, and what is said when Twilio will not or does not answer."""

import json
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from calls import journal, queries
from calls.models import CallLog, JournalSource
from calls.reconcile.apply import apply_callbacks
from crm import tenancy
from crm.models import Contact, ContactNumber, Membership, Opportunity
from integrations.models import TwilioAccount
from integrations.twilio import line
from tests.conftest import Api, Company, World, callbacks_of, eventually, make_company, phone, read_call, read_journal
from tests.crm.rows import make_call, make_recording

CLICK_ROUNDS = int(os.environ.get("CLICK_ROUNDS", "2"))  # of fifty clicks at once

ApiOf = Callable[[Membership], Api]

# The public contract's fields, in its order.
CALL = [
    *("id", "organization", "contact", "opportunity", "user", "direction", "is_test"),
    *("status", "stage", "confirmed"),
    *("from_number", "to_number", "call_sid", "parent_call_sid", "started_at", "answered_at", "ended_at"),
    *("duration_seconds", "unanswered_by", "ended_by", "error_code", "error_message"),
    *(
        "recording_url",
        "recording_sid",
        "recording_duration",
        "price",
        "price_unit",
        "notes",
        "disposition",
        "created_at",
        "updated_at",
    ),
    "legs",
]
LEG = [
    *("role", "call_sid", "parent_call_sid", "status", "started_at", "answered_at", "ended_at"),
    *("duration_seconds", "sip_response_code", "price", "price_unit"),
]


def the_contact(company: Company, **more: Any) -> dict[str, Any]:
    """The body that calls the company's contact."""
    return {"contact": str(company.contact.pk), **more}


def error(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The one error of an answer that must be this one."""
    assert answer.status_code == status, answer.content
    [only] = answer.json()["errors"]
    assert only["code"] == code
    assert len(only["detail"]) > 10
    return dict(only)


def rows(company: Company) -> list[CallLog]:
    """Every call of the organization, oldest first."""
    with tenancy.inside(company.id):
        return list(CallLog.objects.order_by("id"))


@pytest.fixture
def no_twilio(settings: Any) -> None:
    """Whoever asks Twilio all the same is refused the connection, and sees it in the answer."""
    settings.TWILIO_API_BASE_URL = f"http://127.0.0.1:{closed_port()}"


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return int(reserved.getsockname()[1])


# Starting: what is called


@pytest.mark.stack
def test_a_contact_is_called_at_its_first_number_and_the_reps_phone_rings_first(
    world: World, company: Company, api_of: ApiOf
) -> None:
    with tenancy.inside(company.id):
        ContactNumber.objects.create(contact=company.contact, number=phone(), position=1)
    answer = api_of(company.rep).post("calls/", the_contact(company, opportunity=str(company.opportunity.pk)))
    assert answer.status_code == 201
    call = answer.json()
    assert list(call) == CALL
    assert all(list(leg) == LEG for leg in call["legs"])
    said = {name: call[name] for name in ("organization", "contact", "opportunity", "user", "from_number", "to_number")}
    assert said == {
        "organization": str(company.id),
        "contact": str(company.contact.pk),
        "opportunity": str(company.opportunity.pk),
        "user": str(company.rep.user_id),
        "from_number": company.number,
        "to_number": company.contact_number,
    }
    assert (call["direction"], call["confirmed"], call["error_message"]) == ("outbound", True, "")
    [made] = world.twilio.calls_made(company)
    assert (made["to"], made["from"], made["sid"]) == (company.rep.phone_number, company.number, call["call_sid"])


@pytest.mark.stack
def test_a_number_is_called_as_it_is_typed_in_the_organizations_country(company: Company, api_of: ApiOf) -> None:
    call = api_of(company.rep).post("calls/", {"to": "(11) 3234-5678", "caller_id": company.number[3:]}).json()
    assert (call["to_number"], call["contact"], call["from_number"]) == ("+551132345678", None, company.number)


@pytest.mark.stack
def test_with_a_contact_any_of_its_numbers_may_be_chosen(company: Company, api_of: ApiOf) -> None:
    with tenancy.inside(company.id):
        ContactNumber.objects.create(contact=company.contact, number="+551132345678", position=1)
    call = api_of(company.rep).post("calls/", the_contact(company, to="11 3234 5678")).json()
    assert (call["to_number"], call["contact"]) == ("+551132345678", str(company.contact.pk))


def _no_number(company: Company) -> dict[str, Any]:
    with tenancy.inside(company.id):
        return {"contact": str(Contact.objects.create(name="Nobody answers").pk)}


def _no_phone(company: Company) -> dict[str, Any]:
    with tenancy.inside(company.id):
        Membership.objects.filter(pk=company.rep.pk).update(phone_number="")
    return the_contact(company)


def _no_account(company: Company) -> dict[str, Any]:
    with tenancy.inside(company.id):
        TwilioAccount.objects.all().delete()
    return the_contact(company)


def _other_deal(company: Company) -> dict[str, Any]:
    with tenancy.inside(company.id):
        other = Contact.objects.create(name="Somebody else")
        deal = Opportunity.objects.create(contact=other, title="Another deal")
    return the_contact(company, opportunity=str(deal.pk))


GATE: dict[str, tuple[Callable[[Company, Company], dict[str, Any]], int, str, str | None]] = {
    "neither contact nor number": (lambda o, t: {}, 400, "required", "to"),
    "a number that is none": (lambda o, t: {"to": "call me"}, 400, "invalid_number", "to"),
    "a number that cannot exist": (lambda o, t: {"to": "+55 11 1"}, 400, "invalid_number", "to"),
    "a number of somebody else": (lambda o, t: the_contact(o, to=phone()), 422, "not_the_contacts_number", "to"),
    "a contact without a number": (lambda o, t: _no_number(o), 422, "contact_has_no_number", "contact"),
    "a stranger's contact": (lambda o, t: the_contact(t), 404, "not_found", None),
    "a contact that is none": (lambda o, t: {"contact": str(uuid4())}, 404, "not_found", None),
    "a stranger's opportunity": (
        lambda o, t: the_contact(o, opportunity=str(t.opportunity.pk)),
        404,
        "not_found",
        None,
    ),
    "another contact's opportunity": (lambda o, t: _other_deal(o), 422, "not_the_contacts_opportunity", "opportunity"),
    "a stranger's caller ID": (
        lambda o, t: the_contact(o, caller_id=t.number),
        422,
        "caller_id_not_owned",
        "caller_id",
    ),
    "a caller ID that is none": (lambda o, t: the_contact(o, caller_id="me"), 400, "invalid_number", "caller_id"),
    "a rep without a phone": (lambda o, t: _no_phone(o), 422, "no_phone", None),
    "an organization without Twilio": (lambda o, t: _no_account(o), 409, "twilio_not_connected", None),
}


@pytest.mark.usefixtures("no_twilio")
@pytest.mark.parametrize("what", GATE)
def test_no_call_is_made_for(ours: Company, theirs: Company, api_of: ApiOf, what: str) -> None:
    body, status, code, field = GATE[what]
    wanted = body(ours, theirs)
    told = error(api_of(ours.rep).post("calls/", wanted), status, code)
    assert told["attr"] == field
    assert rows(ours) == rows(theirs) == []


# Starting: one click, one call


@pytest.mark.stack
def test_the_same_key_is_the_same_call_and_another_body_is_refused(
    world: World, company: Company, api_of: ApiOf
) -> None:
    api = api_of(company.rep)
    body = the_contact(company)
    first = api.post("calls/", body, **{"Idempotency-Key": "click-1"})
    again = api.post("calls/", body, **{"Idempotency-Key": "click-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    for other in ({"to": company.contact_number}, the_contact(company, to=company.contact_number), {"to": phone()}):
        refused = api.post("calls/", other, **{"Idempotency-Key": "click-1"})
        assert error(refused, 409, "idempotency_key_reused")["call"] == first.json()["id"]
    assert len(rows(company)) == len(world.twilio.calls_made(company)) == 1


@pytest.mark.stack
def test_a_key_is_its_members_own_and_free_again_after_a_day(world: World, company: Company, api_of: ApiOf) -> None:
    key = {"Idempotency-Key": "click-1"}
    made = [
        api_of(member).post("calls/", the_contact(company), **key).json()["id"]
        for member in (company.rep, company.rep2)
    ]
    assert len(set(made)) == 2
    with tenancy.inside(company.id):
        CallLog.objects.update(status="completed")
    over = api_of(company.rep).post("calls/", the_contact(company), **key)
    assert over.json()["id"] == made[0], "The end of a call does not free its key."
    with tenancy.inside(company.id):
        CallLog.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    assert api_of(company.rep).post("calls/", the_contact(company), **key).json()["id"] not in made
    assert len(world.twilio.calls_made(company)) == 3


@pytest.mark.usefixtures("no_twilio")
@pytest.mark.parametrize("key", ["k" * 201, "a\x00b", "line\nline"])
def test_a_key_that_is_none_is_refused(ours: Company, api_of: ApiOf, key: str) -> None:
    error(api_of(ours.rep).post("calls/", the_contact(ours), **{"Idempotency-Key": key}), 400, "bad_idempotency_key")
    assert rows(ours) == []


@pytest.mark.usefixtures("no_twilio")
@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress"])
def test_a_member_on_a_call_starts_no_second_one_and_is_told_which(ours: Company, api_of: ApiOf, status: str) -> None:
    live = make_call(ours, status=status)
    refused = api_of(ours.rep).post("calls/", the_contact(ours))
    assert error(refused, 409, "call_in_progress")["call"] == str(live.pk)
    assert len(rows(ours)) == 1


@pytest.mark.stack
def test_a_call_that_is_over_or_came_in_or_is_anothers_keeps_nobody_from_calling(
    company: Company, api_of: ApiOf
) -> None:
    make_call(company, status="completed")
    make_call(company, status="ringing", direction="inbound")
    make_call(company, company.rep2, status="in-progress")
    assert api_of(company.rep).post("calls/", the_contact(company)).status_code == 201


def over_http(world: World, token: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    """Start a call through the real web server."""
    request = urllib.request.Request(
        f"{world.url}/api/v1/calls/",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


@pytest.mark.stack
@pytest.mark.timeout(120 + 5 * CLICK_ROUNDS)
@pytest.mark.parametrize("key", [None, "one-click"])
def test_fifty_clicks_at_once_are_one_call(world: World, api_of: ApiOf, key: str | None) -> None:
    for _ in range(CLICK_ROUNDS):
        company = make_company("Impatient")
        world.twilio.knows(company)
        world.twilio.phone(company.rep.phone_number, does="manual")
        told = click_at_once(50, world, company, api_of(company.rep).token, key)
        [row] = rows(company)
        assert len(world.twilio.calls_made(company)) == 1
        if key:
            assert {(status, body["id"]) for status, body in told} == {(201, str(row.pk))}
        else:
            assert sorted(status for status, _ in told) == [201] + [409] * 49
            assert {body["errors"][0]["call"] for status, body in told if status == 409} == {str(row.pk)}
        world.twilio.ask("POST", f"phones/{company.rep.phone_number.replace('+', '%2B')}/reject")


def click_at_once(
    count: int, world: World, company: Company, token: str, key: str | None
) -> list[tuple[int, dict[str, Any]]]:
    """What so many clients are told that start the same call at the same moment."""
    told: list[tuple[int, dict[str, Any]]] = []
    together = threading.Barrier(count)

    def click() -> None:
        together.wait()
        told.append(over_http(world, token, the_contact(company), **({"Idempotency-Key": key} if key else {})))

    threads = [threading.Thread(target=click) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


# Starting: Twilio says no


@pytest.mark.stack
@pytest.mark.parametrize(
    ("code", "ours_code"),
    [
        (21215, "country_not_enabled"),
        (21211, "invalid_number"),
        (21214, "number_not_callable"),
        (21210, "caller_id_rejected"),
        (21219, "trial_account"),
        (10004, "too_many_calls"),
        (20005, "twilio_account_inactive"),
        (99999, "twilio_rejected"),
    ],
)
def test_a_refusal_is_told_with_its_cause_and_leaves_the_rep_free(
    world: World, company: Company, api_of: ApiOf, code: int, ours_code: str
) -> None:
    world.twilio.faults({"on": "create", "do": "status", "status": 400, "code": code, "account": company.account_sid})
    refused = error(api_of(company.rep).post("calls/", the_contact(company)), 422, ours_code)
    [row] = rows(company)
    assert (refused["twilio_code"], refused["call"]) == (code, str(row.pk))
    assert (row.status, row.stage, row.error_code, row.call_sid, row.confirmed) == (
        "failed",
        "ended",
        code,
        None,
        False,
    )
    told = api_of(company.rep).get(f"calls/{row.pk}/").json()
    assert told["error_message"] == refused["detail"]
    assert api_of(company.rep).post("calls/", the_contact(company)).status_code == 201


@pytest.mark.stack
def test_a_phone_in_a_country_that_is_not_enabled_is_twilios_21215(
    world: World, company: Company, api_of: ApiOf
) -> None:
    world.twilio.phone(company.rep.phone_number, does="answer", error=21215)
    refused = error(api_of(company.rep).post("calls/", the_contact(company)), 422, "country_not_enabled")
    assert refused["twilio_code"] == 21215
    assert "admin" in refused["detail"]
    assert world.twilio.calls_made(company) == []


@pytest.mark.stack
def test_credentials_that_twilio_does_not_know_are_told_as_such_and_not_shown(company: Company, api_of: ApiOf) -> None:
    secret = "f" * 32
    company.connect(auth_token=secret)
    answer = api_of(company.rep).post("calls/", the_contact(company))
    assert error(answer, 422, "twilio_credentials_rejected")["twilio_code"] == 20003
    assert secret not in answer.content.decode()
    assert rows(company)[0].status == "failed"


@pytest.mark.usefixtures("no_twilio")
def test_credentials_that_no_key_opens_are_told_and_nothing_is_written(
    ours: Company, api_of: ApiOf, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["other:" + "A" * 43]
    error(api_of(ours.rep).post("calls/", the_contact(ours)), 503, "credentials_unreadable")
    assert rows(ours) == []
    assert "not among FIELD_ENCRYPTION_KEYS" in caplog.text
    live = make_call(ours, status="ringing")
    error(api_of(ours.rep).post(f"calls/{live.pk}/hangup/"), 503, "credentials_unreadable")


def creates(world: World) -> int:
    """How often anybody has asked the simulated Twilio to make a call."""
    return int(world.twilio.ask("GET", "state")["counts"]["create_requests"])


@pytest.mark.stack
def test_too_many_requests_are_asked_again_and_make_one_call(world: World, company: Company, api_of: ApiOf) -> None:
    world.twilio.faults({"on": "create", "do": "refuse-429", "times": 1, "account": company.account_sid})
    before = creates(world)
    answer = api_of(company.rep).post("calls/", the_contact(company))
    assert (answer.status_code, answer.json()["confirmed"]) == (201, True)
    assert creates(world) - before == 2
    assert len(world.twilio.calls_made(company)) == 1


@pytest.mark.stack
def test_a_twilio_that_stays_busy_is_told_and_leaves_the_rep_free(
    world: World, company: Company, api_of: ApiOf
) -> None:
    world.twilio.faults({"on": "create", "do": "refuse-429", "times": None, "account": company.account_sid})
    refused = error(api_of(company.rep).post("calls/", the_contact(company)), 503, "twilio_busy")
    assert refused["twilio_code"] == 20429
    assert [row.status for row in rows(company)] == ["failed"]
    assert world.twilio.calls_made(company) == []


@pytest.mark.stack
def test_a_twilio_that_cannot_be_reached_made_no_call_and_the_rep_is_free(
    world: World, company: Company, api_of: ApiOf, settings: Any
) -> None:
    reachable, settings.TWILIO_API_BASE_URL = settings.TWILIO_API_BASE_URL, f"http://127.0.0.1:{closed_port()}"
    refused = error(api_of(company.rep).post("calls/", the_contact(company)), 503, "twilio_unreachable")
    [row] = rows(company)
    assert (row.status, row.stage, str(row.pk)) == ("failed", "ended", refused["call"])
    assert api_of(company.rep).get(f"calls/{row.pk}/").json()["error_message"] == refused["detail"]
    settings.TWILIO_API_BASE_URL = reachable
    assert api_of(company.rep).post("calls/", the_contact(company)).status_code == 201


# Starting: Twilio's answer does not come


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fault", "made"),
    [("error-500", 0), ("cut-before", 0), ("timeout", 0), ("cut-after", 1), ("timeout-after", 1)],
)
def test_a_call_whose_answer_did_not_come_is_unconfirmed_and_never_dialled_again(
    world: World, company: Company, api_of: ApiOf, monkeypatch: pytest.MonkeyPatch, fault: str, made: int
) -> None:
    monkeypatch.setattr(line, "READ_SECONDS", 1.0)  # five in production: the same, only sooner
    world.twilio.phone(company.rep.phone_number, does="manual")
    world.twilio.faults({"on": "create", "do": fault, "times": None, "account": company.account_sid})
    before = creates(world)
    api = api_of(company.rep)
    answer = api.post("calls/", the_contact(company), **{"Idempotency-Key": "click"})
    assert answer.status_code == 201, answer.content
    call = answer.json()
    assert made or not call["confirmed"]
    assert "unconfirmed" in [one.kind for one in read_journal(company, call["id"])]
    if not call["confirmed"]:  # else a callback was faster than our patience, and has told the SID
        assert (call["confirmed"], call["call_sid"], call["status"], call["stage"]) == (False, None, "queued", "queued")
    # Neither the rep's impatience nor a retried request dials again.
    assert api.post("calls/", the_contact(company), **{"Idempotency-Key": "click"}).json()["id"] == call["id"]
    assert error(api.post("calls/", the_contact(company)), 409, "call_in_progress")["call"] == call["id"]
    assert creates(world) - before == 1
    assert len(world.twilio.calls_made(company)) == made
    if made:  # its callbacks carry our id, and settle it
        eventually(lambda: callbacks_of(company, call["id"]).count, what="a callback of the unconfirmed call")
        apply_callbacks(company.id, rows(company)[0].pk, ask=False)
        row = read_call(company, call["id"])
        assert (row.confirmed, row.call_sid) == (True, world.twilio.calls_made(company)[0]["sid"])


# Seeing


def test_a_rep_sees_their_own_calls_and_managers_and_admins_the_teams(ours: Company, api_of: ApiOf) -> None:
    mine = make_call(ours, ours.rep, status="completed")
    others = make_call(ours, ours.rep2, status="completed")
    nobodys = make_call(ours, user=None, status="completed", direction="inbound")
    both = [str(nobodys.pk), str(others.pk), str(mine.pk)]
    for member, expected in ((ours.rep, both[2:]), (ours.rep2, both[1:2]), (ours.manager, both), (ours.admin, both)):
        api = api_of(member)
        assert [row["id"] for row in api.get("calls/").json()["results"]] == expected
        for call in both:
            for path in ("", "callbacks/", "recordings/"):
                assert api.get(f"calls/{call}/{path}").status_code == (200 if call in expected else 404)
            assert api.post(f"calls/{call}/hangup/").status_code == (409 if call in expected else 404)


def ids(answer: Any) -> set[str]:
    """The calls of a list."""
    assert answer.status_code == 200, answer.content
    return {row["id"] for row in answer.json()["results"]}


def test_the_list_is_narrowed_by_each_filter(ours: Company, api_of: ApiOf) -> None:
    api = api_of(ours.manager)
    old = make_call(ours, status="busy", to_number="+551132345678", contact=None)
    recorded = make_call(ours, ours.rep2, status="completed", recording_sid="RE1")
    inbound = make_call(ours, user=None, status="no-answer", direction="inbound", from_number="+442071838750")
    with tenancy.inside(ours.id):
        CallLog.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    for query, found in (
        ({"status": "busy"}, {old}),
        ({"status": ["busy", "completed"]}, {old, recorded}),
        ({"direction": "inbound"}, {inbound}),
        ({"contact": str(ours.contact.pk)}, {recorded, inbound}),
        ({"contact": str(uuid4())}, set()),
        ({"user": str(ours.rep2.user_id)}, {recorded}),
        ({"has_recording": "true"}, {recorded}),
        ({"has_recording": "false"}, {old, inbound}),
        ({"has_recording": ""}, {old, recorded, inbound}),
        ({"created_after": yesterday}, {recorded, inbound}),
        ({"created_after": "0001-01-01T00:00:00Z"}, {old, recorded, inbound}),
        ({"created_before": "9999-12-31T23:59:59-00:00"}, {old, recorded, inbound}),
        ({"created_after": "9999-12-31T23:59:59+14:00"}, set()),
        ({"created_before": yesterday}, {old}),
        ({"search": ours.contact.name.lower()}, {recorded, inbound}),
        ({"search": "3234-56"}, {old}),
        ({"search": "+44 20 7183"}, {inbound}),
        ({"search": "nobody"}, set()),
        ({"status": "completed", "direction": "inbound"}, set()),
        ({}, {old, recorded, inbound}),
    ):
        assert ids(api.get("calls/", query_params=query)) == {str(call.pk) for call in found}, query


def test_pages_show_each_call_once_while_new_ones_come(ours: Company, api_of: ApiOf) -> None:
    made = [str(make_call(ours, status="completed").pk) for _ in range(8)]
    api = api_of(ours.rep)
    page = api.get("calls/", query_params={"page_size": 3}).json()
    seen = [row["id"] for row in page["results"]]
    while page["next"]:
        make_call(ours, status="completed")
        page = api.client.get(page["next"]).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == made[::-1]
    assert page["previous"]


def test_callbacks_come_verbatim_in_order_of_arrival_and_nothing_else_with_them(ours: Company, api_of: ApiOf) -> None:
    call = make_call(ours)
    now = timezone.now()
    with tenancy.inside(ours.id):
        journal.record(call, JournalSource.POLL, "agent leg", {"sid": call.call_sid})
        journal.record_ours(call, "unconfirmed")
        for number in range(3):
            journal.JournalEntry.objects.create(
                call=call,
                digest=f"{9 - number}",
                source=JournalSource.CALLBACK,
                kind="agent",
                payload={"CallStatus": "ringing", "Timestamp": "Sat, 01 Aug 2026 10:00:00 -0300", "N": str(number)},
                received_at=now + timedelta(seconds=number),
            )
    page = api_of(ours.rep).get(f"calls/{call.pk}/callbacks/", query_params={"page_size": 2}).json()
    more = api_of(ours.rep).client.get(page["next"]).json()
    told = page["results"] + more["results"]
    assert [row["payload"]["N"] for row in told] == ["0", "1", "2"]
    assert set(told[0]) == {"id", "kind", "event_at", "received_at", "applied_at", "payload"}
    assert (told[0]["event_at"], told[0]["applied_at"]) == ("2026-08-01T13:00:00Z", None)


def test_recordings_have_an_address_of_ours_once_they_are_stored(ours: Company, api_of: ApiOf) -> None:
    call = make_call(ours)
    pending, stored = make_recording(call), make_recording(call, b"RIFF")
    first, second = api_of(ours.rep).get(f"calls/{call.pk}/recordings/").json()["results"]
    assert (first["recording_sid"], first["url"], first["call"]) == (pending.recording_sid, None, str(call.pk))
    assert second["url"] == f"/api/v1/recordings/{stored.pk}/audio"
    assert second["media_bytes"] == 4
    assert "media_name" not in second
    assert api_of(ours.rep).client.get(second["url"]).getvalue() == b"RIFF"


# Hanging up


@pytest.mark.usefixtures("no_twilio")
@pytest.mark.parametrize("status", ["completed", "busy", "no-answer", "failed", "canceled"])
def test_a_call_that_is_over_cannot_be_hung_up(ours: Company, api_of: ApiOf, status: str) -> None:
    call = make_call(ours, status=status, stage="ended")
    error(api_of(ours.rep).post(f"calls/{call.pk}/hangup/"), 409, "call_is_over")
    with tenancy.inside(ours.id):
        assert not journal.JournalEntry.objects.exists()


@pytest.mark.stack
@pytest.mark.parametrize("who", ["rep", "manager"])
def test_a_ringing_call_is_canceled_at_twilio_and_the_rep_is_free(
    world: World, company: Company, api_of: ApiOf, who: str
) -> None:
    world.twilio.phone(company.rep.phone_number, does="manual")
    call = api_of(company.rep).post("calls/", the_contact(company)).json()
    answer = api_of(getattr(company, who)).post(f"calls/{call['id']}/hangup/")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["status"], answer.json()["stage"]) == ("canceled", "ended")
    [made] = world.twilio.calls_made(company)
    assert made["status"] == "canceled"
    assert api_of(company.rep).post("calls/", the_contact(company)).status_code == 201


@pytest.mark.usefixtures("no_twilio")
def test_the_wish_to_end_an_unconfirmed_call_is_kept(ours: Company, api_of: ApiOf) -> None:
    call = make_call(ours, call_sid=None)
    answer = api_of(ours.rep).post(f"calls/{call.pk}/hangup/")
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    with tenancy.inside(ours.id):
        assert [entry.kind for entry in journal.JournalEntry.objects.all()] == ["hang-up"]


@pytest.mark.usefixtures("no_twilio")
def test_a_hang_up_that_does_not_reach_twilio_says_so_and_is_kept(ours: Company, api_of: ApiOf) -> None:
    call = make_call(ours, status="ringing")
    error(api_of(ours.rep).post(f"calls/{call.pk}/hangup/"), 503, "twilio_unreachable")
    with tenancy.inside(ours.id):
        assert [entry.kind for entry in queries.journal(call)] == ["hang-up", "hang-up in vain"]
