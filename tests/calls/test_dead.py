"""Facts that cannot be applied: they wait, they die, they are counted and come back; the others are not held up."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import F
from django.test import Client
from django.utils import timezone

from calls import journal
from calls.models import CallLog, DueCall, JournalEntry
from calls.reconcile import dead, sweep
from calls.reconcile.apply import apply_callbacks
from crm import tenancy
from crm.models import User
from integrations.twilio import words
from tests.calls.driving import due, send_callback
from tests.conftest import Company, read_call, read_journal
from tests.crm.rows import make_call

SID = "CA" + "a" * 32
FUTURE = "from the future"


def strange_fact(company: Company, call: CallLog, digest: str = "0" * 32) -> None:
    """Store a callback that this version cannot read, as a newer version would that was rolled back since."""
    with tenancy.inside(company.id):
        JournalEntry.objects.bulk_create(
            [
                JournalEntry(
                    organization_id=company.id,
                    call=call,
                    digest=digest,
                    source="callback",
                    kind=FUTURE,
                    payload={"secret": "+5511999990000", "CallSid": SID},
                    received_at=timezone.now(),
                )
            ]
        )


def ringing(company: Company, call: CallLog, number: int = 1) -> None:
    """Have Twilio say that the rep's phone rings."""
    said = {"CallSid": SID, "CallStatus": "ringing", "SequenceNumber": str(number)}
    assert send_callback(company, call.pk, "agent", said).status_code == 204


def entry(company: Company, call_id: UUID) -> JournalEntry:
    """The strange fact."""
    return next(one for one in read_journal(company, call_id) if one.kind == FUTURE)


def its_next_try_is_due(company: Company, call_id: UUID) -> None:
    """Let the time pass that it must wait."""
    with tenancy.inside(company.id):
        JournalEntry.objects.filter(call_id=call_id, kind=FUTURE).update(retry_at=timezone.now())
        DueCall.objects.filter(pk=call_id).update(due_at=timezone.now())


def die(company: Company, call_id: UUID) -> None:
    """Try until it is dead."""
    for _ in range(dead.MOST_FAILURES):
        its_next_try_is_due(company, call_id)
        apply_callbacks(company.id, call_id, ask=False)
    assert dead.is_dead(entry(company, call_id))


@pytest.fixture
def call(ours: Company) -> CallLog:
    """A call that Twilio has accepted, with one fact that cannot be read."""
    made = make_call(ours, call_sid=SID)
    strange_fact(ours, made)
    return made


def test_the_other_facts_of_the_call_are_applied_at_once(
    ours: Company, call: CallLog, caplog: pytest.LogCaptureFixture
) -> None:
    ringing(ours, call)
    apply_callbacks(ours.id, call.pk, ask=False)
    assert read_call(ours, call.pk).stage == "ringing_agent"
    strange = entry(ours, call.pk)
    assert (strange.failures, strange.applied_at) == (1, None)
    assert strange.last_error.startswith("KeyError in journal.py:")
    assert strange.retry_at is not None
    assert "+5511999990000" not in caplog.text
    assert "is tried again later" in caplog.text


def test_each_try_waits_twice_as_long_until_it_is_dead(ours: Company, call: CallLog) -> None:
    waits = []
    for _ in range(dead.MOST_FAILURES - 1):
        apply_callbacks(ours.id, call.pk, ask=False)
        strange = entry(ours, call.pk)
        assert strange.retry_at is not None
        note = due(call.pk)
        assert note is not None
        assert note.due_at is not None
        assert note.due_at <= strange.retry_at
        waits.append(round((strange.retry_at - timezone.now()).total_seconds()))
        its_next_try_is_due(ours, call.pk)
    assert waits == [5, 10, 20, 40, 80, 160, 320]
    apply_callbacks(ours.id, call.pk, ask=False)
    strange = entry(ours, call.pk)
    assert (strange.failures, strange.retry_at) == (dead.MOST_FAILURES, None)
    note = due(call.pk)
    assert note is not None
    assert note.dead == 1


def test_news_of_the_call_do_not_use_up_its_tries(ours: Company, call: CallLog) -> None:
    for number in range(5):
        ringing(ours, call, number)
        apply_callbacks(ours.id, call.pk, ask=False)
    assert entry(ours, call.pk).failures == 1


def test_a_dead_fact_outlives_the_call_and_is_never_asked_for_again(ours: Company, call: CallLog) -> None:
    die(ours, call.pk)
    with tenancy.inside(ours.id):
        journal.record_ours(call, "given up")
    apply_callbacks(ours.id, call.pk, ask=False)
    assert read_call(ours, call.pk).status == "failed"
    note = due(call.pk)
    assert note is not None
    assert (note.dead, note.due_at, note.is_live) == (1, None, False)
    assert [(one.call_id, one.kind, one.failures) for one in dead.dead_letters(ours.id)] == [
        (call.pk, FUTURE, dead.MOST_FAILURES)
    ]


@pytest.fixture
def readable() -> Callable[[pytest.MonkeyPatch], None]:
    """Bring the newer version back, which knows how to read that kind."""

    def upgrade(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(journal.CALLBACKS, FUTURE, lambda params: [words.HangupAsked(timezone.now())])

    return upgrade


def test_a_dead_fact_is_replayed_and_applied_by_a_version_that_can_read_it(
    ours: Company, call: CallLog, readable: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    die(ours, call.pk)
    strange_fact(ours, call, digest="1" * 32)
    die_again = entry(ours, call.pk)
    assert dead.is_dead(die_again)
    assert dead.revive(ours.id, call.pk, "0" * 32) == 1
    readable(monkeypatch)
    note = due(call.pk)
    assert note is not None
    assert note.unapplied_since is not None
    apply_callbacks(ours.id, call.pk, ask=False)
    strange = entry(ours, call.pk)
    assert strange.applied_at is not None
    assert (strange.failures, strange.last_error) == (0, "")
    note = due(call.pk)
    assert note is not None
    assert note.dead == 0
    assert list(dead.dead_letters(ours.id)) == []


def test_replaying_what_still_cannot_be_read_makes_it_dead_again_and_loses_nothing(
    ours: Company, call: CallLog
) -> None:
    die(ours, call.pk)
    assert dead.revive(ours.id, call.pk) == 1
    assert entry(ours, call.pk).failures == 0
    die(ours, call.pk)
    assert len(list(dead.dead_letters(ours.id))) == 1


def test_two_facts_that_contradict_the_database_are_told_apart(ours: Company) -> None:
    """The second call's own callback names a leg that the first call has: the constraint's name says so."""
    first = make_call(ours, call_sid=SID)
    other = make_call(ours, call_sid=None, user=None)
    ringing(ours, first)
    apply_callbacks(ours.id, first.pk, ask=False)
    ringing(ours, other)
    apply_callbacks(ours.id, other.pk, ask=False)
    [stolen] = [one for one in read_journal(ours, other.pk) if one.source == "callback"]
    assert (stolen.failures, stolen.applied_at) == (1, None)
    assert stolen.last_error.startswith("IntegrityError (one_")
    assert read_call(ours, first.pk).call_sid == SID
    assert read_call(ours, other.pk).call_sid is None


def test_a_call_whose_applied_facts_no_longer_fold_is_noted_and_holds_up_no_other(ours: Company) -> None:
    bad, good = make_call(ours, call_sid=SID), make_call(ours, call_sid="CA" + "b" * 32, user=None)
    strange_fact(ours, bad)
    with tenancy.inside(ours.id):
        JournalEntry.objects.filter(call_id=bad.pk).update(applied_at=timezone.now())
    waits = []
    for failures in range(1, 5):
        assert not sweep.attempt(apply_callbacks, ours.id, bad.pk)
        assert sweep.attempt(apply_callbacks, ours.id, good.pk)
        note = due(bad.pk)
        assert note is not None
        assert note.due_at is not None
        assert note.failures == failures
        assert note.last_error.startswith("KeyError")
        waits.append(round((note.due_at - timezone.now()).total_seconds()))
    assert waits == [5, 10, 20, 40]
    with tenancy.inside(ours.id):
        JournalEntry.objects.filter(call_id=bad.pk).delete()
    assert sweep.attempt(apply_callbacks, ours.id, bad.pk)
    note = due(bad.pk)
    assert note is not None
    assert (note.failures, note.last_error) == (0, "")


# --- the operator ---


def test_the_command_lists_dead_facts_without_what_they_say(
    ours: Company, call: CallLog, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("dead_letters", organization=ours.organization.slug)
    assert "No dead letters" in capsys.readouterr().out
    die(ours, call.pk)
    call_command("dead_letters", organization=ours.organization.slug)
    out = capsys.readouterr().out
    assert str(call.pk) in out
    assert FUTURE in out
    assert "KeyError in journal.py" in out
    assert "+5511999990000" not in out


@pytest.mark.parametrize("what", ["call", "all"])
def test_the_command_replays_one_call_or_all(
    ours: Company, call: CallLog, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    die(ours, call.pk)
    chosen = {"call": str(call.pk)} if what == "call" else {"organization": ours.organization.slug}
    call_command("dead_letters", replay=True, **chosen)
    assert "1 replayed" in capsys.readouterr().out
    assert entry(ours, call.pk).failures == 0


def test_the_command_lists_and_replays_one_fact_of_a_call(
    ours: Company, call: CallLog, capsys: pytest.CaptureFixture[str]
) -> None:
    strange_fact(ours, call, digest="1" * 32)
    die(ours, call.pk)
    call_command("dead_letters", call=str(call.pk), digest="1" * 32)
    out = capsys.readouterr().out
    assert ("1" * 32 in out, "0" * 32 in out, "1 dead;" in out) == (True, False, True)
    with pytest.raises(CommandError, match="no dead fact"):
        call_command("dead_letters", call=str(call.pk), digest="2" * 32, replay=True)
    with pytest.raises(CommandError, match="no dead fact"):
        call_command("dead_letters", call=str(call.pk), digest="", replay=True)
    with pytest.raises(CommandError, match="--call"):
        call_command("dead_letters", organization=ours.organization.slug, digest="1" * 32, replay=True)
    assert len(list(dead.dead_letters(ours.id))) == 2, "nothing was changed"
    call_command("dead_letters", call=str(call.pk), digest="1" * 32, replay=True)
    assert "1 replayed" in capsys.readouterr().out
    assert [one.digest for one in dead.dead_letters(ours.id)] == ["0" * 32]


@pytest.mark.parametrize("wrong", [{"organization": "nobody"}, {"call": "not-an-id"}])
def test_the_command_says_what_is_wrong_with_its_arguments(wrong: dict[str, str]) -> None:
    with pytest.raises(CommandError):
        call_command("dead_letters", **wrong)


def test_the_backlog_says_how_long_the_oldest_fact_waits_and_what_lives_and_died(
    ours: Company, call: CallLog, capsys: pytest.CaptureFixture[str]
) -> None:
    DueCall.objects.all().delete()
    ringing(ours, call)
    DueCall.objects.filter(pk=call.pk).update(unapplied_since=F("unapplied_since") - timedelta(seconds=30))
    found = sweep.backlog()
    assert (found.unapplied_calls, found.dead_letters) == (1, 0)
    assert 30 <= found.oldest_unapplied_seconds < 60
    die(ours, call.pk)
    found = sweep.backlog()
    assert (found.unapplied_calls, found.live_calls, found.dead_letters) == (0, 1, 1)
    assert found.oldest_unapplied_seconds == 0
    call_command("backlog")
    assert '"dead_letters": 1' in capsys.readouterr().out


def test_the_backlog_counts_facts_that_wait_aside_until_they_are_dead(ours: Company, call: CallLog) -> None:
    DueCall.objects.all().delete()
    strange_fact(ours, call, digest="1" * 32)
    came = timezone.now() - timedelta(seconds=90)
    with tenancy.inside(ours.id):
        JournalEntry.objects.filter(call_id=call.pk, digest="1" * 32).update(received_at=came)
    for _ in range(dead.MOST_FAILURES - 1):
        its_next_try_is_due(ours, call.pk)
        apply_callbacks(ours.id, call.pk, ask=False)
        note = due(call.pk)
        assert note is not None
        assert (note.unapplied_since, note.aside_since) == (None, came), "no worker is to apply now, but it waits"
        found = sweep.backlog()
        assert (found.unapplied_calls, found.dead_letters) == (1, 0)
        assert 90 <= found.oldest_unapplied_seconds < 120
    # The older one is dead: from then on it is counted as that, and the lag is the younger one's.
    with tenancy.inside(ours.id):
        JournalEntry.objects.filter(call_id=call.pk, digest="1" * 32).update(retry_at=timezone.now())
    apply_callbacks(ours.id, call.pk, ask=False)
    found = sweep.backlog()
    assert (found.unapplied_calls, found.dead_letters) == (1, 1)
    assert found.oldest_unapplied_seconds < 30
    its_next_try_is_due(ours, call.pk)
    apply_callbacks(ours.id, call.pk, ask=False)
    found = sweep.backlog()
    assert (found.unapplied_calls, found.oldest_unapplied_seconds, found.dead_letters) == (0, 0, 2)


def test_a_fact_that_is_applied_in_a_later_try_waits_no_more(
    ours: Company, call: CallLog, readable: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    DueCall.objects.all().delete()
    apply_callbacks(ours.id, call.pk, ask=False)
    assert sweep.backlog().unapplied_calls == 1
    readable(monkeypatch)
    its_next_try_is_due(ours, call.pk)
    apply_callbacks(ours.id, call.pk, ask=False)
    assert entry(ours, call.pk).applied_at is not None
    found = sweep.backlog()
    assert (found.unapplied_calls, found.oldest_unapplied_seconds) == (0, 0)


def test_the_backlog_counts_the_facts_of_a_call_that_fails(ours: Company, call: CallLog) -> None:
    """What was applied folds no more, so a callback that comes then is not applied either, and waits visibly."""
    DueCall.objects.all().delete()
    with tenancy.inside(ours.id):
        JournalEntry.objects.filter(call_id=call.pk).update(applied_at=timezone.now())
    assert not sweep.attempt(apply_callbacks, ours.id, call.pk)
    assert (sweep.backlog().unapplied_calls, sweep.backlog().failing_calls) == (0, 1), "it fails, but no fact waits"
    for number, seconds in enumerate((30, 5)):  # the second came later: the oldest counts
        ringing(ours, call, number)
        DueCall.objects.filter(pk=call.pk).update(unapplied_since=timezone.now() - timedelta(seconds=seconds))
        assert not sweep.attempt(apply_callbacks, ours.id, call.pk)
        note = due(call.pk)
        assert note is not None
        assert note.unapplied_since is None, "no worker is to apply it now"
        found = sweep.backlog()
        assert (found.unapplied_calls, found.failing_calls) == (1, 1)
        assert 30 <= found.oldest_unapplied_seconds < 60
    with tenancy.inside(ours.id):
        JournalEntry.objects.filter(call_id=call.pk, kind=FUTURE).delete()
    assert sweep.attempt(apply_callbacks, ours.id, call.pk)
    found = sweep.backlog()
    assert (found.unapplied_calls, found.failing_calls, found.oldest_unapplied_seconds) == (0, 0, 0)


# --- the operator's admin ---


@pytest.fixture
def operator() -> Client:
    """An operator's browser: staff, and a member of nothing."""
    client = Client()
    client.force_login(User.objects.create_superuser(f"operator-{secrets.token_hex(6)}@ops.example"))
    return client


LIST = "/admin/calls/duecall/"


def test_the_admin_shows_the_backlog_and_what_is_dead_without_what_it_says(
    ours: Company, call: CallLog, operator: Client
) -> None:
    DueCall.objects.all().delete()
    assert "None waits" in operator.get(LIST).content.decode()
    ringing(ours, call)
    DueCall.objects.filter(pk=call.pk).update(unapplied_since=F("unapplied_since") - timedelta(seconds=30))
    assert " s ago; calls with such facts: 1<" in operator.get(LIST).content.decode()
    apply_callbacks(ours.id, call.pk, ask=False)
    assert str(call.pk) in operator.get(LIST, {"trouble": "unapplied"}).content.decode(), "it waits aside"
    die(ours, call.pk)
    assert str(call.pk) not in operator.get(LIST, {"trouble": "unapplied"}).content.decode()
    page = operator.get(LIST, {"trouble": "dead"}).content.decode()
    assert str(call.pk) in page
    assert ours.organization.name in page
    detail = operator.get(f"{LIST}{call.pk}/change/").content.decode()
    assert f"callback {FUTURE}: KeyError in journal.py" in detail
    assert "+5511999990000" not in page + detail
    for kind in ("failing", "unapplied", "overdue"):
        assert operator.get(LIST, {"trouble": kind}).status_code == 200


def test_the_admin_replays_the_dead_facts_of_the_calls_that_are_chosen(
    ours: Company, call: CallLog, operator: Client
) -> None:
    die(ours, call.pk)
    said = {"action": "replay", "_selected_action": [str(call.pk)]}
    answer = operator.post(LIST, said, follow=True)
    assert "Facts that are applied again: 1" in answer.content.decode()
    assert entry(ours, call.pk).failures == 0
    assert "Facts that are applied again: 0" in operator.post(LIST, said, follow=True).content.decode()


def test_nobody_takes_a_call_off_the_list_by_hand(ours: Company, call: CallLog, operator: Client) -> None:
    apply_callbacks(ours.id, call.pk, ask=False)
    for way in ("add/", f"{call.pk}/delete/"):
        assert operator.post(f"{LIST}{way}").status_code == 403
    assert operator.post(f"{LIST}{call.pk}/change/", {"failures": "0"}).status_code == 403
    assert due(call.pk) is not None
