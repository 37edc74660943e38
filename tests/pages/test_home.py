"""Home, and one timeline of contacts and opportunities: what each member sees of it, and what follows what."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls.models import CallLog, CallRules
from crm import tenancy
from crm.contacts import change_opportunity
from crm.follow_ups import create_follow_up
from crm.models import FollowUp, Membership, Note
from crm.notes import create_note
from crm.saved_views import save_view
from tests.conftest import Company

Sessions = Callable[[Membership], Client]
HTMX = {"HX-Request": "true"}


def follow_up(company: Company, member: Membership, text: str, **when: Any) -> FollowUp:
    """A follow-up of the company's contact, so long from now."""
    due_at = timezone.now() + timedelta(**when)
    return create_follow_up(member=member, contact=company.contact.pk, due_at=due_at, text=text)


def test_home_says_what_to_do_when_there_is_nothing(ours: Company, client_of: Sessions) -> None:
    page = client_of(ours.manager).get("/").content.decode()
    for said in ("No call at the moment.", "Nothing is due today", "Every call has its outcome", "No calls yet"):
        assert said in page
    assert "Nobody&#x27;s, never called" in page
    assert "1 contact" in page


def test_home_shows_ones_own_and_nobody_elses(ours: Company, client_of: Sessions, make_call: Any) -> None:
    make_call(status="ringing", stage="ringing_contact")
    mine = make_call(status="completed", duration_seconds=61, ago=3600)
    make_call(status="completed", duration_seconds=1, ago=3600, disposition="interested")
    make_call(status="no-answer", unanswered_by="agent", ago=3600)
    make_call(status="completed", duration_seconds=2, ago=15 * 86400)
    theirs = make_call(status="completed", duration_seconds=62, ago=60, user=ours.rep2.user)
    page = client_of(ours.rep).get("/")
    assert [row.call.pk for row in page.context["owed"]] == [mine.pk]
    assert page.context["live"].words == "Ringing the contact"
    assert theirs.pk not in [row.call.pk for row in page.context["rows"]]
    assert [row.call.pk for row in client_of(ours.rep2).get("/").context["owed"]] == [theirs.pk]
    assert client_of(ours.manager).get("/").context["owed"] == []


def test_follow_ups_come_overdue_first_with_a_button_beside_each(ours: Company, client_of: Sessions) -> None:
    follow_up(ours, ours.rep, "Overdue one", days=-3)
    follow_up(ours, ours.rep, "Much later", days=5)
    follow_up(ours, ours.rep2, "Not mine", days=-1)
    browser = client_of(ours.rep)
    answer = browser.get("/")
    page = answer.content.decode()
    assert [one.follow_up.text for one in answer.context["due"]] == ["Overdue one"]
    assert [one.text for one in answer.context["coming"]] == ["Much later"]
    assert "Not mine" not in page
    row = page.partition("follow-up-row")[2].partition("</li>")[0]
    assert "Overdue</span>" in row
    assert f'name="to" value="{ours.contact_number}"' in row
    path = f"/follow-ups/{answer.context['due'][0].follow_up.pk}/"
    assert browser.post(f"{path}done/", headers=HTMX)["HX-Trigger"] == "call-changed"
    assert browser.get("/").context["due"] == []
    assert client_of(ours.rep2).post(f"{path}done/").status_code == 404
    assert browser.post(f"{path}delete/").status_code == 302
    assert browser.get(path).status_code == 404


def test_a_day_ends_when_the_readers_does(ours: Company, client_of: Sessions) -> None:
    """A follow-up at 23:30 in São Paulo is of the day that is over in Tokyo, and due there before."""
    browser = client_of(ours.rep)
    for zone in ("America/Sao_Paulo", "Asia/Tokyo"):
        with timezone.override(zone):
            last = timezone.localtime().replace(hour=23, minute=59, second=59)
            first = last + timedelta(seconds=2)
        with tenancy.inside(ours.id):
            FollowUp.objects.all().delete()
        create_follow_up(member=ours.rep, contact=ours.contact.pk, due_at=last, text="today")
        create_follow_up(member=ours.rep, contact=ours.contact.pk, due_at=first, text="tomorrow")
        browser.cookies["zone"] = zone
        assert [one.follow_up.text for one in browser.get("/").context["due"]] == ["today"], zone


def test_a_follow_up_and_a_note_are_written_without_a_script_and_changed(ours: Company, client_of: Sessions) -> None:
    browser, contact = client_of(ours.rep), f"/contacts/{ours.contact.pk}/"
    browser.cookies["zone"] = "America/Sao_Paulo"
    wrong = browser.post(f"{contact}follow-ups/new/", {"due_on": "", "text": "x"}).content.decode()
    assert "Choose a day." in wrong
    typed = {"due_on": "2027-03-01", "due_time": "", "text": "Ask <again>", "opportunity": str(ours.opportunity.pk)}
    page = browser.post(f"{contact}follow-ups/new/", typed, follow=True)
    assert page.redirect_chain[-1][0] == f"/opportunities/{ours.opportunity.pk}/"
    assert "Ask &lt;again&gt;" in page.content.decode()
    with tenancy.inside(ours.id):
        row = FollowUp.objects.get()
        assert row.due_at.isoformat() == "2027-03-01T12:00:00+00:00", "Nine o'clock where it was written."
    opened = browser.get(f"/follow-ups/{row.pk}/").content.decode()
    assert 'value="2027-03-01"' in opened
    assert 'value="09:00"' in opened
    browser.post(f"/follow-ups/{row.pk}/", typed | {"due_time": "15:30", "opportunity": ""})
    with tenancy.inside(ours.id):
        row.refresh_from_db()
        assert (row.due_at.hour, row.due_at.minute, row.opportunity_id) == (18, 30, None)
    assert "Write a note" in browser.post(f"{contact}notes/new/", {"text": " "}).content.decode()
    page = browser.post(f"{contact}notes/new/", {"text": "Knows <us>"}, follow=True).content.decode()
    assert "Knows &lt;us&gt;" in page
    with tenancy.inside(ours.id):
        note = Note.objects.get()
    assert client_of(ours.rep2).post(f"/notes/{note.pk}/", {"text": "x"}).status_code == 200
    assert "Only its author" in client_of(ours.rep2).post(f"/notes/{note.pk}/", {"text": "x"}).content.decode()
    assert client_of(ours.rep2).post(f"/notes/{note.pk}/delete/").status_code == 403
    assert browser.post(f"/notes/{note.pk}/delete/").status_code == 302


def lines(answer: Any) -> list[str]:
    """The kinds of a timeline's lines, in order."""
    return [line.kind for line in answer.context["lines"]]


def test_a_timeline_has_everything_newest_first_and_goes_on(ours: Company, client_of: Sessions, make_call: Any) -> None:
    make_call(status="completed", duration_seconds=3, opportunity=ours.opportunity)
    make_call(status="completed", duration_seconds=3, user=ours.rep2.user)
    create_note(member=ours.rep2, contact=ours.contact.pk, text="Everybody reads it", opportunity=ours.opportunity.pk)
    follow_up(ours, ours.rep, "Mine", days=1)
    follow_up(ours, ours.rep2, "A colleague's", days=1)
    change_opportunity(member=ours.rep, opportunity_id=ours.opportunity.pk, stage="won")
    path, browser = f"/contacts/{ours.contact.pk}/", client_of(ours.rep)
    assert lines(browser.get(path)) == ["opportunity", "follow-up", "note", "call", "opportunity"]
    assert len(lines(client_of(ours.manager).get(path))) == 7
    for kind, count in (("call", 1), ("note", 1), ("follow-up", 1), ("opportunity", 2), ("nonsense", 5)):
        assert len(lines(browser.get(path, {"kind": kind}))) == count
    deal = browser.get(f"/opportunities/{ours.opportunity.pk}/")
    assert lines(deal) == ["opportunity", "note", "call", "opportunity"]
    assert "– → won" in deal.content.decode()


def test_a_long_timeline_is_paged_without_losing_a_line(ours: Company, client_of: Sessions) -> None:
    for number in range(45):
        create_note(member=ours.rep, contact=ours.contact.pk, text=f"note {number}")
    path, browser = f"/contacts/{ours.contact.pk}/", client_of(ours.rep)
    found, before = [], None
    for _ in range(5):
        answer = browser.get(path, {"before": before} if before else {}, headers=HTMX | {"HX-Target": "older"})
        assert "<html" not in answer.content.decode()
        found += [line.id for line in answer.context["lines"]]
        before = answer.context["older"]
        if before is None:
            break
    assert len(found) == len(set(found)) == 46
    assert found == sorted(found, reverse=True)


# The wrap-up


def test_a_wrap_up_keeps_its_follow_up_and_its_opportunity(ours: Company, client_of: Sessions, make_call: Any) -> None:
    call = make_call(status="completed", duration_seconds=5)
    due = follow_up(ours, ours.rep, "Settled by this call", hours=-1)
    browser, path = client_of(ours.rep), f"/calls/{call.pk}/outcome/"
    form = browser.get(path, {"place": "home"}).content.decode()
    assert "Settled by this call" in form
    assert f'name="done" value="{due.pk}" checked' in form
    said = {"disposition": "call_back", "notes": "n", "follow_up": "days", "text": "Ring", "done": str(due.pk)}
    said |= {"opportunity": str(ours.opportunity.pk), "place": "panel"}
    for _ in range(2):  # saved twice, it is still one
        answer = browser.post(path, said, headers=HTMX)
        assert answer["HX-Trigger"] == "call-changed"
    with tenancy.inside(ours.id):
        made = FollowUp.objects.get(call_id=call.pk)
        assert (made.text, made.owner_id, made.opportunity_id) == ("Ring", ours.rep.user_id, ours.opportunity.pk)
        assert made.due_at > timezone.now() + timedelta(days=1)
        due.refresh_from_db()
        assert due.done_at is not None
        assert CallLog.objects.get(pk=call.pk).opportunity_id == ours.opportunity.pk
    wrong = browser.post(path, said | {"follow_up": "pick", "due_on": ""}, headers=HTMX)
    assert (wrong.status_code, wrong.content.decode()) == (400, "Choose a day."), "The form keeps what was entered."
    browser.post(path, {"follow_up": "none"}, headers=HTMX)
    with tenancy.inside(ours.id):
        assert not FollowUp.objects.filter(call_id=call.pk).exists()
        assert CallLog.objects.get(pk=call.pk).disposition == "call_back", "What is not sent stays."


def test_what_a_page_shows_and_nobody_changed_does_not_undo_another_pages_work(
    ours: Company, client_of: Sessions, make_call: Any
) -> None:
    call = make_call(status="completed", duration_seconds=5)
    with tenancy.inside(ours.id):
        CallLog.objects.update(notes="As it was\nin two lines", opportunity=None)
    browser, path = client_of(ours.rep), f"/calls/{call.pk}/outcome/"
    form = browser.get(path, {"place": "page"}).content.decode()
    assert 'name="notes_was" value="As it was\nin two lines"' in form
    assert 'name="follow_up_was" value="none"' in form
    assert 'name="opportunity_was" value=""' in form
    was = {"notes": "As it was\r\nin two lines", "notes_was": "As it was\r\nin two lines"}
    was |= {"follow_up": "none", "follow_up_was": "none", "opportunity": "", "opportunity_was": ""}
    said = {"notes": "Written meanwhile", "follow_up": "tomorrow", "opportunity": str(ours.opportunity.pk)}
    browser.post(path, said, headers=HTMX)
    client_of(ours.manager).post(path, was | {"disposition": "interested"}, headers=HTMX)
    browser.post(path, was | {"disposition": "interested"}, headers=HTMX)
    browser.post(f"/calls/{call.pk}/note/", {}, headers=HTMX)
    with tenancy.inside(ours.id):
        call.refresh_from_db()
        assert (call.disposition, call.notes) == ("interested", "Written meanwhile")
        assert call.opportunity_id == ours.opportunity.pk
        assert FollowUp.objects.filter(call_id=call.pk).exists()
    shown = browser.get(path, {"place": "page"}).content.decode()
    assert 'name="follow_up_was" value="pick"' in shown
    browser.post(path, was | {"notes": "", "follow_up_was": "pick"}, headers=HTMX)
    with tenancy.inside(ours.id):
        call.refresh_from_db()
        assert call.notes == "", "What somebody has changed is written."
        assert not FollowUp.objects.filter(call_id=call.pk).exists()


def test_a_follow_up_after_one_that_is_done_is_another(ours: Company, client_of: Sessions, make_call: Any) -> None:
    call = make_call(status="completed", duration_seconds=5)
    browser, path = client_of(ours.rep), f"/calls/{call.pk}/outcome/"
    browser.post(path, {"follow_up": "tomorrow", "text": "first"}, headers=HTMX)
    with tenancy.inside(ours.id):
        first = FollowUp.objects.get(call_id=call.pk)
    browser.post(f"/follow-ups/{first.pk}/done/", headers=HTMX)
    browser.post(path, {"follow_up": "days", "text": "second"}, headers=HTMX)
    with tenancy.inside(ours.id):
        first.refresh_from_db()
        assert (first.text, first.done_at is None) == ("first", False)
        second = FollowUp.objects.get(call_id=call.pk)
        assert (second.text, second.done_at) == ("second", None)


def test_a_follow_up_that_was_deleted_meanwhile_does_not_keep_an_outcome_from_being_saved(
    ours: Company, client_of: Sessions, make_call: Any
) -> None:
    call = make_call(status="completed", duration_seconds=5)
    due = follow_up(ours, ours.rep, "Gone", hours=-1)
    browser = client_of(ours.rep)
    browser.post(f"/follow-ups/{due.pk}/delete/")
    said = {"disposition": "interested", "done": str(due.pk)}
    assert browser.post(f"/calls/{call.pk}/outcome/", said, headers=HTMX).status_code == 200
    with tenancy.inside(ours.id):
        assert CallLog.objects.get(pk=call.pk).disposition == "interested"


def test_an_old_outcome_that_keeps_from_calling_is_on_home(ours: Company, client_of: Sessions, make_call: Any) -> None:
    from calls.models import CallRules

    owed = make_call(status="completed", duration_seconds=5, ago=30 * 86400)
    browser = client_of(ours.rep)
    assert browser.get("/").context["owed"] == []
    with tenancy.inside(ours.id):
        CallRules.objects.create(requires_outcome=True, requires_outcome_since=timezone.now() - timedelta(days=40))
    assert [row.call.pk for row in browser.get("/").context["owed"]] == [owed.pk]


def test_another_contacts_opportunity_and_a_strangers_follow_up_are_missing(
    ours: Company, theirs: Company, client_of: Sessions, make_call: Any
) -> None:
    call = make_call(status="completed", duration_seconds=5)
    colleagues = follow_up(ours, ours.rep2, "x", days=-1)
    browser, path = client_of(ours.rep), f"/calls/{call.pk}/outcome/"
    for wrong in ({"opportunity": str(theirs.opportunity.pk)}, {"done": str(colleagues.pk)}):
        assert browser.post(path, {"disposition": "interested"} | wrong, headers=HTMX).status_code == 404
    with tenancy.inside(ours.id):
        assert CallLog.objects.get(pk=call.pk).disposition == ""


def test_a_note_is_kept_while_the_call_lives(ours: Company, client_of: Sessions, make_call: Any) -> None:
    call = make_call(status="in-progress", stage="talking", answered_at=timezone.now())
    browser = client_of(ours.rep)
    panel = browser.get("/calls/live/", headers=HTMX).content.decode()
    assert f'hx-post="/calls/{call.pk}/note/"' in panel
    assert browser.post(f"/calls/{call.pk}/note/", {"notes": "as he\r\nspeaks"}).content == b"Saved"
    assert "as he\nspeaks" in browser.get("/calls/live/", headers=HTMX).content.decode()
    assert client_of(ours.rep2).post(f"/calls/{call.pk}/note/", {"notes": "x"}).status_code == 404


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_where_outcomes_are_asked_for_the_next_call_waits_for_one(
    company: Company, client_of: Sessions, api_of: Any, make_call: Any, status: str
) -> None:
    from calls.services.rules import set_rules

    make_call(company=company, status="completed", duration_seconds=9, ago=3600, user=company.rep.user)
    set_rules(organization=company.organization, requires_outcome=True)
    owed = make_call(company=company, status=status, duration_seconds=9, user=company.rep.user)
    answer = api_of(company.rep).post("calls/", {"contact": str(company.contact.pk)})
    if status == "failed":  # nobody's phone rang, and what was before the rule is not owed
        assert answer.status_code == 201
        return
    [told] = answer.json()["errors"]
    assert (answer.status_code, told["code"], told["call"]) == (422, "outcome_owed", str(owed.pk))
    panel = client_of(company.rep).post("/calls/start/", {"contact": company.contact.pk, "key": "k"}, headers=HTMX)
    assert "your organization asks for an outcome" in panel.content.decode()
    assert api_of(company.rep2).post("calls/", {"contact": str(company.contact.pk)}).status_code == 201
    client_of(company.rep).post(f"/calls/{owed.pk}/outcome/", {"disposition": "interested"})
    assert api_of(company.rep).post("calls/", {"contact": str(company.contact.pk)}).status_code == 201


def test_home_asks_no_more_for_a_member_with_many_views(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.rep)

    def asked(views: int) -> int:
        for number in range(views):
            save_view(member=ours.rep, page="contacts", name=f"View {number:02}", query=f"q=person {number}")
        with CaptureQueriesContext(connection) as queries:
            assert browser.get("/").status_code == 200
        return len(queries)

    few = asked(6)
    assert "View 05" in browser.get("/").content.decode()
    assert asked(30) == few


# Filters, and where to call from


def test_contacts_are_narrowed_by_the_address(ours: Company, client_of: Sessions, make_call: Any) -> None:
    from crm.contacts import create_contact

    mine = create_contact(member=ours.rep, name="Rua 9", owner=ours.rep.user_id, numbers=[{"number": "11 98765-4321"}])
    change_opportunity(member=ours.rep, opportunity_id=ours.opportunity.pk, stage="won")
    make_call(status="completed", ago=10 * 86400)
    follow_up(ours, ours.rep, "x", hours=-1)
    browser = client_of(ours.rep)

    def left(**asked: str) -> list[str]:
        return [one.name for one in browser.get("/contacts/", asked).context["contacts"]]

    both = sorted([ours.contact.name, mine.name])
    assert left() == both
    assert left(owner="me") == left(called="never") == left(q="rua 9") == left(q="9 8765") == [mine.name]
    assert left(owner="nobody") == left(stage="won") == left(follow_up="due") == [ours.contact.name]
    assert left(called="7") == both
    assert left(called="30") == [mine.name]
    assert left(owner="me", called="7", q="rua") == [mine.name]
    for wrong in ({"owner": "x"}, {"stage": "lost"}, {"called": "-1"}, {"q": "x" * 101}):
        assert left(**wrong) == [], wrong
    empty = browser.get("/contacts/", {"stage": "won", "owner": "me"}).content.decode()
    assert "Nobody is left by these filters" in empty


def test_the_number_to_call_from_is_chosen_beside_the_button_and_remembered(
    company: Company, client_of: Sessions, api_of: Any
) -> None:
    from integrations.models import Number
    from tests.conftest import phone

    other = phone()
    browser = client_of(company.rep)
    assert 'name="caller_id"' not in browser.get("/contacts/").content.decode()
    with tenancy.inside(company.id):
        for number in (company.number, other):
            Number.objects.create(number=number, kind="incoming", sid=f"PN{number[1:]:0>32}", has_voice=True)
    assert f'name="caller_id" value="{company.number}" checked' in browser.get("/contacts/").content.decode()
    said = {"contact": company.contact.pk, "to": company.contact_number}
    for chosen, expected in ((other, other), ("", other), ("+551132345678", None)):
        answer = browser.post("/calls/start/", said | {"caller_id": chosen, "key": f"key{chosen}"}, headers=HTMX)
        with tenancy.inside(company.id):
            call = CallLog.objects.order_by("-id").first()
            CallLog.objects.update(status="canceled", stage="ended")
        if expected is None:
            assert answer.status_code == 422
        else:
            assert call.from_number == expected
            assert f'value="{other}" checked' in browser.get("/contacts/").content.decode()


def test_whether_to_record_is_asked_beside_the_button_where_the_rep_decides(
    company: Company, client_of: Sessions
) -> None:
    browser = client_of(company.rep)
    company.connect(records_calls=True)
    assert 'name="record"' not in browser.get("/contacts/").content.decode()
    with tenancy.inside(company.id):
        CallRules.objects.create(rep_decides_recording=True)
    assert 'name="record" checked' in browser.get("/contacts/").content.decode()
    said = {"contact": company.contact.pk, "to": company.contact_number}
    for place, (ticked, expected) in enumerate((({"may_record": "yes"}, False), ({}, True))):
        browser.post("/calls/start/", said | ticked | {"key": f"key{place}"}, headers=HTMX)
        with tenancy.inside(company.id):
            assert CallLog.objects.latest("id").is_recorded == expected
            CallLog.objects.update(status="canceled", stage="ended")
