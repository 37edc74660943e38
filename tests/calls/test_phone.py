"""A member's phone is checked by a test call to it: a call like every other, and nobody else is ever rung."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone

from calls import errors, tasks
from calls.models import CallCount, CallLog
from calls.services.hangup import hang_up
from calls.services.phone import start_test_call
from calls.services.start import start_call
from crm import tenancy
from crm.models import AuditEntry, Membership
from integrations.models import Number
from integrations.twilio.errors import TwilioUnreachable
from tests.calls.driving import (
    apply,
    check,
    due,
    kinds,
    let_pass,
    over_at_twilio,
    send_callback,
    stored_state,
)
from tests.calls.test_gate import rule
from tests.conftest import Api, Company, World, eventually, phone, read_call, read_journal

HTMX = {"HX-Request": "true", "HX-Target": "panel"}


def member(company: Company) -> Membership:
    """The rep as the database has them now."""
    with tenancy.inside(company.id):
        return Membership.objects.get(pk=company.rep.pk)


def begin(company: Company) -> UUID:
    """Press the button."""
    call_id, created = start_test_call(member=company.rep)
    assert created
    return call_id


def settled(company: Company, world: World, call_id: UUID) -> CallLog:
    """The row when Twilio has no more to say, and the sweeper has looked once."""
    over_at_twilio(company, world)
    apply(company, call_id)
    return check(company, call_id)


def nobody_else_was_rung(world: World, company: Company, call: CallLog) -> None:
    """One leg at Twilio, to the rep's phone; no recording, and no list of children was asked for."""
    state = world.twilio.ask("GET", "state")
    ours = [
        one for one in state["calls"]["live"] + state["calls"]["recent"] if one["account_sid"] == company.account_sid
    ]
    assert [(one["to"], one["parent_call_sid"]) for one in ours] == [(call.agent_number, None)]
    assert not [one for one in state["recordings"] if one["account_sid"] == company.account_sid]
    assert not world.twilio.ask("GET", f"asked?account_sid={company.account_sid}&operation=list")["asked"]


# --- played with the simulated phones ---


@pytest.mark.stack
def test_a_phone_that_answers_and_presses_a_key_is_checked(running: World, company: Company) -> None:
    before = timezone.now()
    call_id = begin(company)
    call = eventually(lambda: not (row := read_call(company, call_id)).is_live and row, what="it is over")
    assert (call.status, call.stage, call.duration_seconds) == ("completed", "ended", 0)
    assert (call.unanswered_by, call.answered_at, call.is_recorded) == (None, None, False)
    assert (call.to_number, call.agent_number, call.contact_id) == (company.rep.phone_number,) * 2 + (None,)
    checked_at = member(company).phone_checked_at
    assert checked_at is not None
    assert before <= checked_at <= timezone.now()
    eventually(lambda: due(call_id) is None, what="nothing is owed")
    nobody_else_was_rung(running, company, call)


@pytest.mark.parametrize("confirms_with_key", [True, False])
@pytest.mark.parametrize(
    ("behaviour", "status", "ended_by"),
    [
        ({"does": "voicemail", "talk": 60}, "no-answer", "system"),
        ({"does": "answer", "after": 1, "press": ""}, "no-answer", "system"),
        ({"does": "answer", "after": 1, "press": "", "hang_up_after": 3}, "no-answer", "agent"),
        ({"does": "no-answer"}, "no-answer", "system"),
        ({"does": "busy"}, "busy", "agent"),
        ({"does": "fail"}, "failed", "system"),
    ],
    ids=["voicemail", "no key", "hangs up", "no answer", "busy", "fail"],
)
def test_a_phone_on_which_no_key_is_pressed_is_not_checked(
    world: World, company: Company, behaviour: dict[str, Any], status: str, ended_by: str, confirms_with_key: bool
) -> None:
    company.connect(ring_seconds=5, confirms_with_key=confirms_with_key)
    world.twilio.phone(company.rep.phone_number, **behaviour)
    call_id = begin(company)
    call = settled(company, world, call_id)
    assert (call.status, call.unanswered_by, call.ended_by) == (status, "agent", ended_by)
    assert member(company).phone_checked_at is None
    assert due(call_id) is None
    nobody_else_was_rung(world, company, call)


def test_the_member_may_hang_up_while_their_phone_rings(world: World, company: Company) -> None:
    world.twilio.phone(company.rep.phone_number, does="manual")
    call_id = begin(company)
    eventually(lambda: apply(company, call_id).status == "ringing", what="it rings")
    hang_up(member=company.rep, call_id=call_id)
    call = settled(company, world, call_id)
    assert (call.status, call.unanswered_by, call.ended_by) == ("canceled", None, "member")
    assert member(company).phone_checked_at is None
    assert start_call(member=company.rep, contact_id=company.contact.pk)[1], "The rep is free."


def test_a_key_tells_of_the_phone_that_was_rung_and_of_no_other(world: World, company: Company) -> None:
    world.twilio.phone(company.rep.phone_number, does="manual")
    call_id = begin(company)
    path = f"phones/{company.rep.phone_number.replace('+', '%2B')}"
    eventually(lambda: world.twilio.ask("GET", path)["state"] == "ringing", what="it rings")
    with tenancy.inside(company.id):
        Membership.objects.filter(pk=company.rep.pk).update(phone_number=phone())
    world.twilio.ask("POST", f"{path}/answer")
    eventually(lambda: world.twilio.ask("GET", path)["calls"][0]["gathering"], what="a key is asked for")
    world.twilio.ask("POST", f"{path}/press", {"digits": "1"})
    call = settled(company, world, call_id)
    assert call.status == "completed"
    assert member(company).phone_checked_at is None


def test_an_unconfirmed_test_call_is_settled_by_its_callbacks(world: World, company: Company) -> None:
    world.twilio.faults({"on": "create", "do": "cut-after", "account": company.account_sid})
    call_id = begin(company)
    assert "unconfirmed" in [entry.kind for entry in read_journal(company, call_id)]
    assert settled(company, world, call_id).status == "completed"
    assert member(company).phone_checked_at is not None


def test_an_unconfirmed_test_call_that_twilio_does_not_know_is_given_up(world: World, company: Company) -> None:
    world.twilio.faults({"on": "create", "do": "cut-before", "account": company.account_sid})
    call_id = begin(company)
    for _ in range(4):
        let_pass(company, call_id, 240)
        check(company, call_id)
    assert (read_call(company, call_id).status, due(call_id)) == ("failed", None)
    assert start_test_call(member=company.rep)[1], "The rep is free."


def test_what_a_lost_end_leaves_open_is_asked_of_the_reps_leg_alone(world: World, company: Company) -> None:
    drop = {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None, "match": {"kind": "status"}}
    world.twilio.faults(drop)
    call_id = begin(company)
    over_at_twilio(company, world)
    call = apply(company, call_id)
    assert (call.status, call.stage) == ("in-progress", "ringing_agent")
    let_pass(company, call_id, 90)
    call = check(company, call_id)
    assert (call.status, call.duration_seconds) == ("completed", 0)
    nobody_else_was_rung(world, company, call)
    assert due(call_id) is None


def test_a_test_call_shows_the_caller_id_of_the_members_calls(world: World, company: Company) -> None:
    own = phone()
    with tenancy.inside(company.id):
        Number.objects.create(number=own, kind="incoming", sid=f"PN{uuid4().hex}", has_voice=True)
        Membership.objects.filter(pk=company.rep.pk).update(caller_id=own)
    world.twilio.ask("POST", "accounts", company.account() | {"numbers": [company.number, own]})
    call_id = begin(company)
    [made] = world.twilio.calls_made(company)
    assert (made["from"], read_call(company, call_id).from_number) == (own, own)


# --- what Twilio is answered ---

SID = "CA" + "7" * 32


@pytest.fixture
def rung(ours: Company) -> UUID:
    """A test call whose phone was answered, without a Twilio."""
    with tenancy.inside(ours.id):
        number = ours.rep.phone_number
        call = CallLog.objects.create(
            user=ours.rep.user,
            from_number=ours.number,
            to_number=number,
            agent_number=number,
            is_test=True,
            is_recorded=False,
            language="pt-br",
        )
    return call.pk


def twiml(company: Company, call_id: UUID, kind: str, **params: str) -> str:
    """What the phone is told to do."""
    answer = send_callback(company, call_id, kind, {"CallSid": SID, "CallStatus": "in-progress", **params})
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize("kind", ["answer", "bridge", "key", "dial", "fallback"])
@pytest.mark.parametrize("digits", ["", "1"])
def test_no_callback_of_a_test_call_dials_anybody(ours: Company, rung: UUID, kind: str, digits: str) -> None:
    for to in (ours.contact_number, ours.rep.phone_number):
        said = twiml(ours, rung, kind, Digits=digits, To=to, Called=to, DialCallStatus="busy", is_test="false")
        assert "<Dial" not in said
        assert "<Number" not in said
        assert to not in said


@pytest.mark.parametrize("kind", ["answer", "bridge"])
def test_the_key_is_asked_for_in_the_rows_language(ours: Company, rung: UUID, kind: str) -> None:
    said = twiml(ours, rung, kind)
    assert "<Gather" in said
    assert 'language="pt-BR"' in said
    assert ours.organization.name in said
    assert f"/calls/{rung}/key" in said


def test_after_the_key_the_phone_is_hung_up(ours: Company, rung: UUID) -> None:
    for digits in ("", "5"):
        said = twiml(ours, rung, "key", Digits=digits)
        assert "<Say" in said
        assert said.count("<Hangup") == 1


def test_what_is_said_of_a_contact_is_not_heard(ours: Company, rung: UUID) -> None:
    child = {"CallSid": "CA" + "8" * 32, "ParentCallSid": SID, "CallStatus": "completed", "CallDuration": "60"}
    assert send_callback(ours, rung, "contact", child).status_code == 204
    recording = {"CallSid": SID, "RecordingSid": "RE" + "9" * 32, "RecordingStatus": "completed"}
    assert send_callback(ours, rung, "recording", recording).status_code == 204
    twiml(ours, rung, "dial", DialCallStatus="completed", DialBridged="true", DialCallDuration="60")
    twiml(ours, rung, "bridge")
    call = apply(ours, rung)
    assert call.is_live
    assert member(ours).phone_checked_at is None, "Nobody has pressed a key."
    twiml(ours, rung, "answer")
    twiml(ours, rung, "key", Digits="")
    send_callback(ours, rung, "agent", {"CallSid": SID, "CallStatus": "completed"})
    call = apply(ours, rung)
    assert (call.status, call.unanswered_by, call.duration_seconds) == ("no-answer", "agent", 0)
    assert (call.recording_sid, call.answered_at) == (None, None)
    with tenancy.inside(ours.id):
        assert [leg.role for leg in call.legs.all()] == ["agent"]


def test_any_order_of_the_callbacks_each_twice_ends_in_the_same(ours: Company) -> None:
    """The last three of them in each order, and a worker at work after each or only at the end."""
    told: list[Any] = []
    for number, order in enumerate(permutations(range(3))):
        sid = f"CA{number:032x}"
        with tenancy.inside(ours.id):
            call = CallLog.objects.create(
                from_number=ours.number,
                to_number=ours.rep.phone_number,
                agent_number=ours.rep.phone_number,
                user=ours.rep.user,
                is_test=True,
                is_recorded=False,
            )
            Membership.objects.filter(pk=ours.rep.pk).update(phone_checked_at=None)
        when = datetime(2026, 5, 4, 12, tzinfo=UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        common = {"CallSid": sid, "Timestamp": when}
        facts = [
            ("answer", common | {"CallStatus": "in-progress"}),
            ("key", common | {"CallStatus": "in-progress", "Digits": "1"}),
            ("agent", common | {"CallStatus": "completed", "CallDuration": "9"}),
        ]
        for index in (*order, *order):
            assert send_callback(ours, call.pk, *facts[index]).status_code in (200, 204)
            if number % 2:
                apply(ours, call.pk)
        tasks.apply()
        row = apply(ours, call.pk)
        told.append(stored_state(ours, call.pk))
        assert (row.status, row.unanswered_by) == ("completed", None)
        assert member(ours).phone_checked_at == row.created_at
    assert all(one == told[0] for one in told)


def test_the_latest_of_two_checks_stays_whichever_is_applied_last(ours: Company) -> None:
    rows = []
    for number in range(2):
        with tenancy.inside(ours.id):
            phone_number = ours.rep.phone_number
            call = CallLog.objects.create(
                user=ours.rep.user, to_number=phone_number, agent_number=phone_number, is_test=True, status="failed"
            )
        rows.append(call)
        send_callback(ours, call.pk, "key", {"CallSid": f"CA{number:032x}", "Digits": "1"})
    for row in (rows[1], rows[0]):
        apply(ours, row.pk)
        assert member(ours).phone_checked_at == rows[1].created_at


# --- the gate ---


def refused(company: Company) -> dict[str, Any]:
    """Press the button over REST in vain; nothing was made or counted."""
    answer = Api(company.rep).post("me/test-call/")
    with tenancy.inside(company.id):
        assert not CallLog.objects.exists()
        assert not CallCount.objects.exists()
    [error] = answer.json()["errors"]
    assert error["detail"]
    return {"status": answer.status_code, **error}


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("", "no_phone"),
        ("+559003000000", "costly_phone"),
        ("+881612345678", "costly_phone"),
        ("+14155552671", "phone_country_not_allowed"),
    ],
)
def test_a_phone_that_is_none_or_costs_more_is_not_tested(ours: Company, number: str, code: str) -> None:
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep.pk).update(phone_number=number)
    error = refused(ours)
    assert (error["status"], error["code"]) == (422, code)
    with tenancy.inside(ours.id):
        assert AuditEntry.objects.filter(action="refused", details__code=code, details__test=True).count() == 1


def test_ones_own_phone_rings_at_any_hour(world: World, company: Company) -> None:
    here = timezone.now().astimezone(UTC)
    rule(company, calls_from=(here + timedelta(hours=2)).time(), calls_until=(here + timedelta(hours=3)).time())
    assert Api(company.rep).post("me/test-call/").status_code == 201


@pytest.mark.parametrize(
    "which",
    ["number_per_day", "member_per_minute", "member_per_day", "organization_per_minute", "organization_per_day"],
)
def test_every_limit_counts_test_calls(world: World, company: Company, which: str) -> None:
    rule(company, **{which: 1})
    api = Api(company.rep)
    assert api.post("me/test-call/").status_code == 201
    with tenancy.inside(company.id):
        CallLog.objects.update(status="busy", stage="ended")
    answer = api.post("me/test-call/")
    assert (answer.status_code, answer.json()["errors"][0]["limit"]) == (429, which)
    assert len(world.twilio.calls_made(company)) == 1


def test_a_test_call_is_one_of_the_calls_at_the_same_time_and_of_the_member(world: World, company: Company) -> None:
    rule(company, concurrent=1)
    world.twilio.phone(company.rep.phone_number, does="manual")
    test_call = begin(company)
    for start in (
        lambda: start_test_call(member=company.rep),
        lambda: start_call(member=company.rep, contact_id=company.contact.pk),
    ):
        with pytest.raises((errors.CallInProgress, errors.LimitReached)):
            start()
    with pytest.raises(errors.LimitReached):
        start_test_call(member=company.rep2)
    rule(company, concurrent=50)
    with pytest.raises(errors.CallInProgress) as refusal:
        start_call(member=company.rep, contact_id=company.contact.pk)
    assert refusal.value.details["call"] == str(test_call)


def test_nobody_who_was_deactivated_meanwhile_tests_a_phone(ours: Company) -> None:
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep.pk).update(is_active=False)
    with pytest.raises(errors.NoLongerMember):
        start_test_call(member=ours.rep)


# --- REST and pages ---


def test_the_answer_is_the_call_log_and_the_same_key_the_same_call(world: World, company: Company) -> None:
    api = Api(company.rep)
    answer = api.post("me/test-call/", **{"Idempotency-Key": "one"})
    told = answer.json()
    assert (answer.status_code, told["is_test"], told["contact"], told["user"]) == (
        201,
        True,
        None,
        str(company.rep.user_id),
    )
    assert told["to_number"] == company.rep.phone_number
    again = api.post("me/test-call/", **{"Idempotency-Key": "one"})
    assert (again.json()["id"], again["Idempotency-Replayed"]) == (told["id"], "true")
    other = api.post("calls/", {"contact": str(company.contact.pk)}, **{"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["errors"][0]["code"]) == (409, "idempotency_key_reused")


def test_lists_leave_test_calls_out_unless_they_are_asked_for(
    ours: Company, rung: UUID, client_of: Callable[[Membership], Client]
) -> None:
    with tenancy.inside(ours.id):
        call = CallLog.objects.create(user=ours.rep.user, contact=ours.contact, to_number="+5511", status="busy")
    api = Api(ours.manager)

    def listed(query: str) -> list[str]:
        return [one["id"] for one in api.get(f"calls/{query}").json()["results"]]

    assert listed("") == listed("?is_test=false") == [str(call.pk)]
    assert listed("?is_test=true") == [str(rung)]
    assert api.get("calls/?is_test=perhaps").status_code == 400
    page = client_of(ours.rep).get("/calls/")
    assert page.context["count"] == "1"
    assert str(rung) not in page.content.decode()
    assert api.get(f"calls/{rung}/").json()["is_test"] is True


def test_the_button_answers_the_live_panel_and_without_a_script_the_call(
    world: World, company: Company, client_of: Callable[[Membership], Client]
) -> None:
    world.twilio.phone(company.rep.phone_number, does="manual")
    client = client_of(company.rep)
    shown = client.post("/phone/test/", {"key": "a"}, headers=HTMX)
    assert shown.status_code == 200
    assert "Test call" in shown.content.decode()
    assert "data-live" in shown.content.decode()
    call_id = shown.context["panel"].call.pk
    assert client.post("/phone/test/", {"key": "a"})["Location"] == f"/calls/{call_id}/"
    second = client.post("/phone/test/", {"key": "b"}, headers=HTMX)
    assert second.status_code == 409
    assert client.get("/phone/test/").status_code == 405


def test_an_unreachable_twilio_checks_nothing(ours: Company, settings: Any) -> None:
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:9"  # where nothing listens
    with pytest.raises(TwilioUnreachable) as refusal:
        start_test_call(member=ours.rep)
    call_id = UUID(refusal.value.details["call"])
    assert read_call(ours, call_id).status == "failed"
    assert kinds(ours, call_id) == ["refused"]
