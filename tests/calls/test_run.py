"""Calls through a list: one press is one call, who may not be called is passed over, and nothing is lost half way."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone

from calls import queries
from calls.models import CallLog, EntryState, Run, RunEntry
from calls.services.run import begin_run, call_next, end_run, skip
from crm import tenancy
from crm.contacts import create_contact
from crm.errors import AppError, NotAllowed, NotFound
from crm.models import Contact, Membership
from integrations.twilio.errors import TwilioUnreachable
from tests.conftest import Company, World, at_once, phone
from tests.crm.rows import make_call

HTMX = {"HX-Request": "true", "HX-Target": "panel"}


def make_contact(company: Company, name: str, *numbers: str, **fields: Any) -> Contact:
    """One more contact, with these numbers."""
    return create_contact(member=company.rep, name=name, numbers=[{"number": one} for one in numbers], **fields)


def states(company: Company, run: Run) -> list[tuple[str, str]]:
    """What became of each contact of a run, in order, and why."""
    with tenancy.inside(company.id):
        return [(one.state, one.reason) for one in queries.entries(run)]


def over(company: Company) -> None:
    """Have every call of the company be over."""
    with tenancy.inside(company.id):
        CallLog.objects.update(status="completed", stage="ended")


def reload(company: Company, run: Run) -> Run:
    """The run as it stands."""
    with tenancy.inside(company.id):
        return Run.objects.get(pk=run.pk)


@pytest.fixture
def people(company: Company) -> list[Contact]:
    """Four contacts: two to call, one who asked not to be, one without a number."""
    return [
        make_contact(company, "Ana", phone()),
        make_contact(company, "Bruno", phone(), do_not_call=True),
        make_contact(company, "Carla"),
        make_contact(company, "Davi", phone()),
    ]


def begin(company: Company, people: list[Contact], member: Membership | None = None) -> Run:
    """Begin to call these."""
    return begin_run(member=member or company.rep, contact_ids=[one.pk for one in people])


def press(company: Company, run: Run, key: str = "", member: Membership | None = None) -> UUID | None:
    """Press “call next”."""
    return call_next(member=member or company.rep, run_id=run.pk, key=key or uuid4().hex)


def test_who_may_not_be_called_is_passed_over_with_the_reason(company: Company, people: list[Contact]) -> None:
    run = begin(company, people)
    first = press(company, run)
    over(company)
    second = press(company, run)
    with tenancy.inside(company.id):
        assert [CallLog.objects.get(pk=one).contact.name for one in (first, second)] == ["Ana", "Davi"]
    assert states(company, run) == [
        ("called", ""),
        ("refused", "do_not_call"),
        ("refused", "contact_has_no_number"),
        ("called", ""),
    ]
    assert reload(company, run).ended_at is not None
    over(company)
    with pytest.raises(AppError) as refused:
        press(company, run)
    assert refused.value.code == "run_is_over"


def test_pressing_twice_is_one_call(company: Company, world: World, people: list[Contact]) -> None:
    run, key = begin(company, [people[0], people[3]]), uuid4().hex
    found: list[UUID | None] = []
    raised = at_once(*[lambda: found.append(press(company, run, key)) for _ in range(4)])
    # Whoever comes while the other's call is being started waits for it, or is told that it lives.
    assert {getattr(error, "code", error) for error in raised} <= {"call_in_progress"}
    assert press(company, run, key) == found[0]
    over(company)
    assert press(company, run, key) == found[0]
    assert len(set(found)) == 1
    assert len(world.twilio.calls_made(company)) == 1
    assert [state for state, _ in states(company, run)] == ["called", "waiting"]


def test_another_press_while_the_call_lives_is_refused_and_uses_nobody_up(
    company: Company, people: list[Contact]
) -> None:
    run = begin(company, people)
    press(company, run)
    with pytest.raises(AppError) as refused:
        press(company, run)
    assert refused.value.code == "call_in_progress"
    assert [state for state, _ in states(company, run)] == ["called", "waiting", "waiting", "waiting"]


def test_what_is_not_the_contacts_fault_leaves_them_the_next(company: Company, settings: Any, people: Any) -> None:
    run = begin(company, [people[0], people[3]])
    settings.TWILIO_API_BASE_URL, right = "http://127.0.0.1:9", settings.TWILIO_API_BASE_URL
    with pytest.raises(TwilioUnreachable):
        press(company, run)
    assert [state for state, _ in states(company, run)] == ["waiting", "waiting"]
    settings.TWILIO_API_BASE_URL = right
    press(company, run)
    assert [state for state, _ in states(company, run)] == ["called", "waiting"]


def test_a_call_whose_process_died_before_it_was_written_down_is_not_made_again(
    company: Company, world: World, people: list[Contact]
) -> None:
    run = begin(company, [people[0], people[3]])
    press(company, run)
    over(company)
    with tenancy.inside(company.id):  # as if the last line had never run
        RunEntry.objects.filter(run=run, position=1).update(state=EntryState.WAITING, call=None)
    second = press(company, run)
    with tenancy.inside(company.id):
        assert CallLog.objects.get(pk=second).contact.name == "Davi"
        assert RunEntry.objects.get(run=run, position=1).call is not None
    assert len(world.twilio.calls_made(company)) == 2


def test_a_press_that_is_no_key_is_refused(company: Company, people: list[Contact]) -> None:
    run = begin(company, people)
    for key in ("\x00", "a\x00b", "a\nb"):
        with pytest.raises(AppError) as refused:
            press(company, run, key)
        assert refused.value.code == "bad_idempotency_key"


def test_skipping_passes_over_the_one_that_was_shown(company: Company, people: list[Contact]) -> None:
    run = begin(company, [people[0], people[3]])
    with tenancy.inside(company.id):
        shown = queries.next_entry(run)
    for _ in range(2):  # a double click
        skip(member=company.rep, run_id=run.pk, entry_id=shown.pk)
    assert states(company, run) == [("skipped", ""), ("waiting", "")]
    with pytest.raises(NotFound):
        skip(member=company.rep, run_id=run.pk, entry_id=uuid4())


def test_who_is_skipped_while_they_are_being_called_was_called(
    company: Company, people: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    from calls.services import run as runs

    run, start = begin(company, [people[0], people[3]]), runs.start_call

    def skipped_meanwhile(**said: Any) -> Any:
        with tenancy.inside(company.id):
            entry = queries.next_entry(run)
        skip(member=company.rep, run_id=run.pk, entry_id=entry.pk)
        return start(**said)

    monkeypatch.setattr(runs, "start_call", skipped_meanwhile)
    called = press(company, run)
    assert states(company, run) == [("called", ""), ("waiting", "")]
    with tenancy.inside(company.id):
        assert queries.run_of_call(CallLog.objects.get(pk=called)) == run


def test_a_run_is_its_members_and_there_is_one_at_a_time(
    company: Company, theirs: Company, people: list[Contact]
) -> None:
    first = begin(company, people)
    for member, error in ((company.rep2, NotFound), (company.manager, NotAllowed), (theirs.admin, NotFound)):
        for work in (
            lambda member=member: press(company, first, member=member),
            lambda member=member: end_run(member=member, run_id=first.pk),
        ):
            with pytest.raises(error):
                work()
    again = begin(company, people)
    assert reload(company, first).ended_at is not None
    assert reload(company, again).ended_at is None
    assert at_once(*[lambda: begin(company, people) for _ in range(4)]) == []
    with tenancy.inside(company.id):
        assert Run.objects.filter(user=company.rep.user, ended_at=None).count() == 1
    with pytest.raises(AppError) as refused:
        begin(company, [])
    assert refused.value.code == "nobody_in_the_list"


def test_the_number_that_was_called_last_is_called_again(company: Company) -> None:
    old, new = phone(), phone()
    person = make_contact(company, "Eva", old, new)
    make_call(company, contact=person, to_number=new, status="completed", stage="ended")
    called = press(company, begin(company, [person]))
    with tenancy.inside(company.id):
        assert CallLog.objects.get(pk=called).to_number == new
    over(company)
    gone = make_contact(company, "Fabio", old)
    make_call(company, contact=gone, to_number=phone(), status="completed", stage="ended")
    called = press(company, begin(company, [gone]))
    with tenancy.inside(company.id):
        assert CallLog.objects.get(pk=called).to_number == old


# The pages


def test_a_rep_calls_through_a_filtered_list_without_leaving_the_page(
    company: Company, client_of: Callable[[Membership], Client], people: list[Contact]
) -> None:
    browser = client_of(company.rep)
    with tenancy.inside(company.id):
        Contact.objects.filter(pk__in=[one.pk for one in people]).update(owner=company.rep.user)
    listed = browser.get("/contacts/", {"owner": "me"}).content.decode()
    assert "4 contacts" in listed
    assert 'name="owner" value="me"' in listed
    assert "Contact of Ours" not in listed
    begun = browser.post("/runs/", {"owner": "me"})
    page = browser.get(begun["Location"]).content.decode()
    assert "0 of 4" in page
    assert "Call Ana" in page
    panel = browser.get("/calls/live/", headers=HTMX).content.decode()
    assert "next: Ana" in panel
    path = begun["Location"]
    panel = browser.post(f"{path}next/", {"key": "one"}, headers=HTMX)
    assert panel["HX-Retarget"] == "#panel"
    assert "1 of 4" in panel.content.decode()
    over(company)
    with tenancy.inside(company.id):
        call = CallLog.objects.get()
        CallLog.objects.update(created_at=timezone.now() - timedelta(minutes=10), ended_at=timezone.now())
    panel = browser.get("/calls/live/", headers=HTMX).content.decode()
    assert "Save & call next" in panel, "It waits for its rep, however long they write."
    said = {
        "disposition": "interested",
        "notes": "Wants two",
        "follow_up": "tomorrow",
        "text": "Offer",
        "place": "panel",
    }
    said |= {"then": "next", "run": path.split("/")[2], "key": "two"}
    panel = browser.post(f"/calls/{call.pk}/outcome/", said, headers=HTMX).content.decode()
    assert "4 of 4" in panel
    assert "That was the last one" in panel
    with tenancy.inside(company.id):
        call.refresh_from_db()
        assert (call.disposition, call.notes) == ("interested", "Wants two")
        assert CallLog.objects.count() == 2
    page = browser.get(path).content.decode()
    assert "do-not-call list" in page
    assert "no phone number yet" in page
    assert "Interested" in page
    assert "These calls are over." in page


def test_a_page_that_is_wrong_about_a_run_is_told(
    company: Company, theirs: Company, client_of: Callable[[Membership], Client], people: list[Contact]
) -> None:
    browser, run = client_of(company.rep), begin(company, people)
    call = make_call(company, status="completed", stage="ended")
    for wrong in ("", "x", str(uuid4())):
        answer = browser.post(f"/calls/{call.pk}/outcome/", {"then": "next", "run": wrong}, headers=HTMX)
        assert answer.status_code == 404
    browser.post(f"/runs/{run.pk}/end/")
    answer = browser.post(f"/runs/{run.pk}/next/", {"key": "x"}, headers=HTMX)
    assert (answer.status_code, answer["X-Swap"]) == (409, "yes")
    assert "These calls are over." in answer.content.decode()
    assert browser.post("/runs/", {"owner": str(theirs.rep.user_id)}).status_code == 422
    assert client_of(company.rep2).get(f"/runs/{run.pk}/").status_code == 404
    manager = client_of(company.manager).get(f"/runs/{run.pk}/").content.decode()
    assert "Ana" in manager
    assert "Call Ana" not in manager
