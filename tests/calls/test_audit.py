"""The nightly audit: what Twilio says it sent and we do not have is found, named, and put right where it matters."""

import logging
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from calls import journal
from calls.models import CallLog, JournalEntry
from calls.reconcile import audit
from calls.reconcile.audit import IDENTITY, NO_ACCOUNT, audit_calls
from crm import tenancy
from integrations.models import TwilioAccount
from tests.calls.driving import apply, check, due, let_pass, over_at_twilio, stored_state
from tests.conftest import Company, World, callbacks_of, eventually, make_company, read_call, read_journal


def opened(world: World, company: Company) -> Company:
    """Have the simulated Twilio know a company, with phones that answer."""
    world.twilio.knows(company)
    for member in (company.rep, company.rep2):
        world.twilio.phone(member.phone_number, does="answer", after=1, press="1", press_after=1)
    world.twilio.phone(company.contact_number, does="answer", after=2, talk=20)
    return company


def hours_later(company: Company, call_id: UUID, hours: float = 2) -> None:
    """Make a call's last change older."""
    with tenancy.inside(company.id):
        CallLog.objects.filter(pk=call_id).update(updated_at=F("updated_at") - timedelta(hours=hours))


def ended_call(world: World, company: Company) -> UUID:
    """A whole call, from the click to the end, applied, and hours ago."""
    call_id = world.call(company)
    over_at_twilio(company, world)
    for _ in range(4):
        row = check(company, call_id)
        if due(call_id) is None:
            break
        let_pass(company, call_id, 61)
    assert not row.is_live
    hours_later(company, call_id)
    return call_id


def brief(world: World, *companies: Company) -> None:
    """Have the reps' phones be busy, where it does not matter what kind of call it is: over in an instant."""
    for company in companies:
        world.twilio.phone(company.rep.phone_number, does="busy", after=0)


def found_by_audit(company: Company, call_id: UUID) -> list[JournalEntry]:
    """What the audit wrote into a call's journal."""
    return [entry for entry in read_journal(company, call_id) if entry.source == "audit"]


def events_asked(world: World, company: Company) -> int:
    """How often Twilio was asked for Call Events of a company's calls."""
    return len(world.twilio.ask("GET", f"asked?account_sid={company.account_sid}&operation=events")["asked"])


def dropped(company: Company, **match: str) -> dict[str, Any]:
    """A fault: the next such webhook is lost on the way, for this company alone."""
    return {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None, "match": match}


# --- what is found ---


@pytest.mark.stack
def test_a_call_without_losses_has_nothing_to_be_found(quiet: World, company: Company) -> None:
    call_id = ended_call(quiet, company)
    before, count = stored_state(company, call_id), len(read_journal(company, call_id))
    assert audit_calls(company.id) == audit.Audit(calls=1)
    assert read_call(company, call_id).audited_at is not None
    assert len(read_journal(company, call_id)) == count
    assert stored_state(company, call_id) == before
    assert due(call_id) is None
    assert events_asked(quiet, company) == 2, "one question for each leg"
    # It is never asked about again.
    assert audit_calls(company.id) == audit.Audit()
    assert events_asked(quiet, company) == 2


# What is lost, as the simulator's fault matches it; what the audit calls it; and a parameter that says which one.
LOSSES = {
    "agent initiated": ({"url": "/agent", "CallStatus": "initiated"}, "lost agent", {"CallStatus": "initiated"}),
    "agent ringing": ({"url": "/agent", "CallStatus": "ringing"}, "lost agent", {"CallStatus": "ringing"}),
    "agent answered": ({"url": "/agent", "CallStatus": "in-progress"}, "lost agent", {"CallStatus": "in-progress"}),
    "agent completed": ({"url": "/agent", "CallStatus": "completed"}, "lost agent", {"CallStatus": "completed"}),
    "contact ringing": ({"url": "/contact", "CallStatus": "ringing"}, "lost contact", {"CallStatus": "ringing"}),
    "contact completed": ({"url": "/contact", "CallStatus": "completed"}, "lost contact", {"CallStatus": "completed"}),
    "dial action": ({"url": "/dial"}, "lost dial", {"DialCallStatus": "completed"}),
    "recording": (
        {"url": "/recording", "RecordingStatus": "completed"},
        "lost recording",
        {"RecordingStatus": "completed"},
    ),
}


@pytest.fixture(scope="module")
def lossy(_world: World) -> dict[str, tuple[Company, UUID]]:
    """A call for each of LOSSES, side by side, each in a company of its own."""
    companies = {name: opened(_world, make_company("Lossy")) for name in LOSSES}
    _world.twilio.faults(*[dropped(companies[name], **match) for name, (match, _, _) in LOSSES.items()])
    calls = {name: _world.call(company) for name, company in companies.items()}
    for company in companies.values():
        over_at_twilio(company, _world)
    _world.twilio.faults()
    return {name: (companies[name], calls[name]) for name in LOSSES}


@pytest.mark.stack
@pytest.mark.parametrize("name", LOSSES)
def test_a_callback_lost_on_the_way_is_found_named_and_read(
    quiet: World, lossy: dict[str, tuple[Company, UUID]], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    company, call_id = lossy[name]
    _, kind, said = LOSSES[name]
    for _ in range(3):  # what polls can repair, they have
        let_pass(company, call_id, 61)
        row = check(company, call_id)
    assert row.status == "completed"
    hours_later(company, call_id)
    with caplog.at_level(logging.WARNING, "calls.reconcile.audit"):
        assert audit_calls(company.id) == audit.Audit(calls=1, lost=1)
    (entry,) = found_by_audit(company, call_id)
    assert entry.kind == kind
    assert said.items() <= entry.payload.items()
    assert entry.payload["AccountSid"] == company.account_sid
    assert entry.payload["answered"] == "no answer"
    assert entry.payload["sent_at"].endswith("+0000")
    assert entry.applied_at is not None
    # The log names the call, the callback and which one of its kind.
    (line,) = [record.getMessage() for record in caplog.records if record.name == "calls.reconcile.audit"]
    assert str(call_id) in line
    assert kind.removeprefix("lost ") in line
    assert all(
        value in line for value in said.values() if value in ("ringing", "completed") and "Dial" not in str(said)
    )
    row = read_call(company, call_id)
    assert (row.status, row.ended_by, bool(row.recording_sid)) == ("completed", "contact", True)


@pytest.mark.stack
def test_what_only_a_lost_callback_tells_is_put_right_and_final_words_stay(quiet: World, company: Company) -> None:
    """Every callback lost: polls end the call, but REST does not say who hung up first. Twilio's record does."""
    quiet.twilio.phone(company.rep.phone_number, does="answer", after=1, press="1", press_after=1, talk=15)
    quiet.twilio.phone(company.contact_number, does="answer", after=2, talk=None)
    quiet.twilio.faults(*[dropped(company, kind=kind) for kind in ("status", "action", "recording")])
    call_id = ended_call(quiet, company)
    before = read_call(company, call_id)
    assert (before.status, before.ended_by) == ("completed", None)
    lost = audit_calls(company.id).lost
    # Four of each leg, the action, the recording's end, and its begin where it is subscribed.
    assert lost == len(found_by_audit(company, call_id)) >= 10
    after = read_call(company, call_id)
    assert (after.status, after.stage, after.ended_by) == ("completed", "ended", "agent")
    assert len([entry for entry in read_journal(company, call_id) if entry.applied_at is None]) == 0


@pytest.mark.stack
def test_a_callback_that_we_refused_is_found_with_our_answer(quiet: World, company: Company) -> None:
    """A wrong token: everything that Twilio sends is refused, also its requests for TwiML, so the call fails."""
    # The web server remembers a token for ten seconds: none of them may come before the wrong one is set.
    later = {"on": "webhook", "do": "delay", "seconds": 10, "account": company.account_sid, "times": None}
    quiet.twilio.faults(later)
    call_id = quiet.call(company)
    connect(company, auth_token="0" * 32)
    over_at_twilio(company, quiet)
    connect(company, auth_token=company.auth_token)
    assert callbacks_of(company, call_id).count == 0
    let_pass(company, call_id, 61)
    assert not check(company, call_id).is_live
    hours_later(company, call_id)
    assert audit_calls(company.id).lost >= 2
    entries = {entry.kind: entry.payload for entry in found_by_audit(company, call_id)}
    assert entries["lost agent"]["answered"] == "403"
    assert {payload["answered"] for payload in entries.values()} == {"403"}


def connect(company: Company, auth_token: str) -> None:
    """Set the company's token on our side."""
    company.connect(auth_token=auth_token)


@pytest.mark.stack
def test_a_callback_that_we_accepted_and_do_not_have_is_an_error_of_ours(
    quiet: World, company: Company, caplog: pytest.LogCaptureFixture
) -> None:
    call_id = ended_call(quiet, company)
    with tenancy.inside(company.id):
        gone = JournalEntry.objects.filter(call_id=call_id, source="callback", kind="contact")
        assert gone.filter(payload__CallStatus="ringing").delete()[0] == 1
    with caplog.at_level(logging.WARNING, "calls.reconcile.audit"):
        assert audit_calls(company.id).lost == 1
    assert [record.levelname for record in caplog.records if "never came" in record.message] == ["ERROR"]
    (entry,) = found_by_audit(company, call_id)
    assert (entry.kind, entry.payload["answered"]) == ("lost contact", "204")


@pytest.mark.stack
def test_attempts_of_one_callback_are_one_entry_and_a_second_run_adds_none(quiet: World, company: Company) -> None:
    quiet.twilio.faults(dropped(company, url="/contact"))
    call_id = ended_call(quiet, company)
    assert audit_calls(company.id) == audit.Audit(calls=1, lost=4)
    count, state = len(read_journal(company, call_id)), stored_state(company, call_id)
    with tenancy.inside(company.id):
        CallLog.objects.filter(pk=call_id).update(audited_at=None)
    hours_later(company, call_id)
    assert audit_calls(company.id) == audit.Audit(calls=1), "what was found before is known"
    assert len(read_journal(company, call_id)) == count
    assert stored_state(company, call_id) == state


def test_requests_that_twilio_repeated_are_one_and_foreign_words_are_not_read(ours: Company) -> None:
    sid = "CA" + "1" * 32
    with tenancy.inside(ours.id):
        call = CallLog.objects.create(to_number=ours.contact_number, from_number=ours.number, call_sid=sid)
        params = {"call_sid": sid, "account_sid": ours.account_sid, "call_status": "ringing"}
        url = audit.callback_url(ours.id, call.pk, "agent")
        asked = [
            {"request": {"url": url, "parameters": params}, "response": {"response_code": code, "date_created": date}}
            for code, date in ((None, "first"), (503, "second"), (503, "last"))
        ]
        # Requests that are not callbacks of this call: our own, another call's, and one without an address.
        asked.append({"request": {"url": "https://api.twilio.com/2010-04-01/Accounts.json"}, "response": {}})
        asked.append({"request": {"url": audit.callback_url(ours.id, ours.id, "agent")}, "response": {}})
        asked.append({"request": {}, "response": {}})
        (missing,) = audit._missing(call, list(audit._ours(call, asked)))
        account = audit.credentials(ours.id)
        assert account is not None
        kind, said = audit._fact(account, call, missing)
        assert (kind, said["answered"], said["attempts"], said["sent_at"]) == ("lost agent", "503", "3", "last")
        assert said["CallSid"] == sid
        for foreign in ({"call_sid": "CA" + "2" * 32}, {"account_sid": "AC" + "2" * 32}, {"call_sid": None}):
            event = {"request": {"url": url, "parameters": params | foreign}, "response": {}}
            (one,) = audit._ours(call, [event])
            kind, said = audit._fact(account, call, one)
            assert kind == "lost"
            assert set(said) == {"callback", "sent_at", "answered", "attempts"}
            assert journal.AUDITS[kind](said) == []


def test_every_kind_of_callback_can_be_told_apart_and_named() -> None:
    assert set(IDENTITY) == set(journal.CALLBACKS)
    longest = JournalEntry._meta.get_field("kind").max_length
    assert longest is not None
    assert max(map(len, journal.AUDITS)) <= longest


# --- whom it asks about, and when it stops ---


@pytest.mark.stack
def test_another_organizations_calls_are_left_alone(quiet: World, company: Company, theirs: Company) -> None:
    opened(quiet, theirs)
    brief(quiet, company, theirs)
    mine, other = ended_call(quiet, company), ended_call(quiet, theirs)
    assert audit_calls(company.id).calls == 1
    assert read_call(company, mine).audited_at is not None
    assert read_call(theirs, other).audited_at is None
    assert events_asked(quiet, theirs) == 0


@pytest.mark.stack
def test_calls_that_live_or_have_just_ended_or_are_too_old_wait_or_are_left(quiet: World, company: Company) -> None:
    brief(quiet, company)
    call_id = ended_call(quiet, company)
    assert audit_calls(company.id, since=timezone.now() + timedelta(seconds=5)) == audit.Audit()
    hours_later(company, call_id, -1.5)
    assert audit_calls(company.id) == audit.Audit(), "half an hour ago: a callback may be under way"
    quiet.twilio.phone(company.rep.phone_number, does="manual")
    live = quiet.call(company)
    eventually(lambda: apply(company, live).status == "ringing", what="the rep's phone to ring")
    hours_later(company, live)
    assert audit_calls(company.id) == audit.Audit()
    assert events_asked(quiet, company) == 0


@pytest.mark.stack
def test_a_run_is_bounded_and_the_next_one_goes_on(quiet: World, company: Company) -> None:
    brief(quiet, company)
    calls = [ended_call(quiet, company) for _ in range(3)]
    assert audit_calls(company.id, most=1) == audit.Audit(calls=1, owing=True)
    assert [bool(read_call(company, one).audited_at) for one in calls] == [True, False, False], "oldest first"
    assert audit_calls(company.id, seconds=0) == audit.Audit(calls=1, owing=True), "at least one, so it ends"
    # 429: one question, then peace; no question at all is asked about the others.
    before = events_asked(quiet, company)
    too_many = {"on": "events", "do": "refuse-429", "account": company.account_sid, "times": None, "retry_after": 30}
    quiet.twilio.faults(too_many)
    assert audit_calls(company.id) == audit.Audit(trouble="twilio_busy")
    assert events_asked(quiet, company) == before + 1
    assert read_call(company, calls[2]).audited_at is None
    quiet.twilio.faults()
    assert audit_calls(company.id) == audit.Audit(calls=1)


@pytest.mark.stack
def test_one_call_that_cannot_be_asked_about_does_not_keep_the_others_from_it(quiet: World, company: Company) -> None:
    brief(quiet, company)
    first, second = [ended_call(quiet, company) for _ in range(2)]
    quiet.twilio.faults({"on": "events", "do": "error-500", "account": company.account_sid, "times": 1})
    found = audit_calls(company.id)
    assert (found.calls, found.owing, bool(found.trouble)) == (1, False, True)
    assert read_call(company, first).audited_at is None
    assert read_call(company, second).audited_at is not None
    assert audit_calls(company.id) == audit.Audit(calls=1)


def audited(company: Company, calls: list[UUID]) -> list[bool]:
    """Which of them were audited."""
    return [read_call(company, one).audited_at is not None for one in calls]


@pytest.mark.stack
def test_calls_that_never_can_be_asked_about_do_not_stop_every_night_at_the_same_place(
    quiet: World, company: Company
) -> None:
    brief(quiet, company)
    calls = [ended_call(quiet, company) for _ in range(5)]
    error = {"on": "events", "do": "error-500", "account": company.account_sid}
    quiet.twilio.faults(error | {"times": None})
    found = audit_calls(company.id)
    assert (found.calls, found.owing, bool(found.trouble)) == (0, False, True)
    assert events_asked(quiet, company) == audit.MOST_TROUBLES, "so many in a row, and no more: Twilio is unwell"
    # The next night begins with the calls that were not asked about yet, and comes to the troubled ones after them.
    quiet.twilio.faults()
    assert audit_calls(company.id, most=2) == audit.Audit(calls=2, owing=True)
    assert audited(company, calls) == [False, False, False, True, True]
    # Of those, the one that had its try longest ago is the first.
    quiet.twilio.faults(error | {"times": 1})
    assert audit_calls(company.id, most=2).calls == 1
    quiet.twilio.faults()
    assert audit_calls(company.id, most=1).calls == 1
    assert audited(company, calls) == [False, True, True, True, True]
    assert audit_calls(company.id) == audit.Audit(calls=1)


@pytest.mark.stack
def test_troubles_with_good_answers_between_them_do_not_end_a_run(quiet: World, company: Company) -> None:
    brief(quiet, company)
    calls = [ended_call(quiet, company) for _ in range(6)]
    error = {"on": "events", "do": "error-500", "account": company.account_sid, "times": 2}
    good = {"on": "events", "do": "status", "status": 404, "code": 20404, "account": company.account_sid, "times": 1}
    quiet.twilio.faults(error, good, error, good)
    found = audit_calls(company.id)
    assert (found.calls, found.owing, found.trouble) == (2, False, "4 could not be asked about")
    assert audited(company, calls) == [False, False, True, False, False, True]


@pytest.mark.stack
def test_a_night_in_which_no_call_can_be_asked_about_ends(quiet: World, company: Company) -> None:
    """A question that fails may take longer than a whole run: the next run goes on after it, and not in a circle."""
    brief(quiet, company)
    calls = [ended_call(quiet, company) for _ in range(2)]
    quiet.twilio.faults({"on": "events", "do": "error-500", "account": company.account_sid, "times": None})
    found = [audit_calls(company.id, seconds=0) for _ in range(3)]
    assert [one.owing for one in found] == [True, False, False]
    assert {one.trouble for one in found} == {"1 could not be asked about"}
    quiet.twilio.faults()
    assert audit_calls(company.id) == audit.Audit(calls=2)
    assert audited(company, calls) == [True, True]


@pytest.mark.stack
def test_without_credentials_nothing_is_asked_and_the_calls_stay_due(quiet: World, company: Company) -> None:
    brief(quiet, company)
    call_id = ended_call(quiet, company)
    connect(company, auth_token="0" * 32)
    assert audit_calls(company.id) == audit.Audit(trouble="twilio_credentials_rejected")
    with tenancy.inside(company.id):
        TwilioAccount.objects.all().delete()
    assert audit_calls(company.id) == audit.Audit(trouble=NO_ACCOUNT)
    assert read_call(company, call_id).audited_at is None
    assert events_asked(quiet, company) == 0, "a refused log-in is nobody's question"
    connect(company, auth_token=company.auth_token)
    assert audit_calls(company.id) == audit.Audit(calls=1)


@pytest.mark.stack
def test_a_call_that_twilio_has_deleted_is_said_to_be_gone_and_not_asked_about_again(
    quiet: World, company: Company
) -> None:
    brief(quiet, company)
    call_id = ended_call(quiet, company)
    state = stored_state(company, call_id)
    gone = {"on": "events", "do": "status", "status": 404, "code": 20404, "times": None}
    quiet.twilio.faults(gone | {"account": company.account_sid})
    assert audit_calls(company.id) == audit.Audit(calls=1)
    assert [entry.kind for entry in found_by_audit(company, call_id)] == ["not at Twilio"]
    assert stored_state(company, call_id) == state
    assert audit_calls(company.id) == audit.Audit()


# --- the operator ---


@pytest.mark.stack
def test_the_operator_audits_one_organization_by_hand(quiet: World, company: Company) -> None:
    brief(quiet, company)
    quiet.twilio.faults(dropped(company, CallStatus="busy"))
    ended_call(quiet, company)
    out = StringIO()
    slug = company.organization.slug
    call_command("audit_calls", "--organization", slug, stdout=out)
    assert out.getvalue() == f"{slug}: 1 calls audited, 1 lost callbacks found\n"
    out = StringIO()
    call_command("audit_calls", "--organization", slug, "--since", "2020-01-01", stdout=out)
    assert out.getvalue() == f"{slug}: 0 calls audited, 0 lost callbacks found\n"
    with pytest.raises(CommandError, match="no active organization"):
        call_command("audit_calls", "--organization", "nobody")
    with pytest.raises(CommandError, match="is no date"):
        call_command("audit_calls", "--since", "yesterday")
    ended_call(quiet, company)
    quiet.twilio.faults({"on": "events", "do": "refuse-429", "account": company.account_sid, "times": None})
    out = StringIO()
    with pytest.raises(CommandError, match="Not audited to the end"):
        call_command("audit_calls", "--organization", slug, stdout=out)
    assert "twilio_busy" in out.getvalue()
