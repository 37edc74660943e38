"""Follow-ups and notes over REST, and the stages of opportunities: whose they are, what is refused, what is kept."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import tenancy
from crm.contacts import create_contact, create_opportunity
from crm.models import Membership, StageChange
from tests.conftest import Api, Company
from tests.crm.test_contacts import error_of
from tests.crm.test_every_url import everything_of

ApiOf = Callable[[Membership], Api]


def in_hours(hours: int) -> str:
    """A time from now, as it is sent."""
    return (timezone.now() + timedelta(hours=hours)).isoformat()


def texts(answer: Any) -> list[str]:
    """What a list says."""
    return [one["text"] for one in answer.json()["results"]]


def test_a_rep_writes_a_follow_up_down_changes_it_and_has_it_done(ours: Company, api_of: ApiOf) -> None:
    api = api_of(ours.rep)
    body = {"contact": str(ours.contact.pk), "due_at": in_hours(24), "text": " Send the offer "}
    answer = api.post("follow-ups/", body | {"opportunity": str(ours.opportunity.pk)})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["text"], made["owner"], made["done_at"]) == ("Send the offer", str(ours.rep.user_id), None)
    assert made["opportunity"] == str(ours.opportunity.pk)
    path = f"follow-ups/{made['id']}/"
    later = api.patch(path, {"due_at": "2027-03-01T12:00:00Z", "opportunity": None}).json()
    assert (later["due_at"], later["opportunity"], later["text"]) == ("2027-03-01T12:00:00Z", None, "Send the offer")
    done = api.patch(path, {"done": True}).json()["done_at"]
    assert done is not None
    assert api.patch(path, {"done": True}).json()["done_at"] == done
    assert api.patch(path, {"done": False}).json()["done_at"] is None
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_the_list_comes_by_due_time_and_is_narrowed(ours: Company, api_of: ApiOf) -> None:
    api = api_of(ours.rep)
    for hours, text in ((30, "later"), (-30, "overdue"), (-2, "done")):
        made = api.post(
            "follow-ups/", {"contact": str(ours.contact.pk), "due_at": in_hours(hours), "text": text}
        ).json()
        if text == "done":
            api.patch(f"follow-ups/{made['id']}/", {"done": True})
    assert texts(api.get("follow-ups/")) == ["overdue", "done", "later"]
    assert texts(api.get("follow-ups/?state=open")) == ["overdue", "later"]
    assert texts(api.get("follow-ups/?state=due")) == ["overdue"]
    assert texts(api.get("follow-ups/?state=done")) == ["done"]
    assert texts(api.get(f"follow-ups/?owner={ours.rep2.user_id}")) == []
    assert texts(api.get(f"follow-ups/?contact={ours.contact.pk}&page_size=1")) == ["overdue"]
    assert api.get("follow-ups/?state=never").status_code == 400


def test_a_reps_follow_ups_are_theirs_and_the_managers_to_see_and_to_give(ours: Company, api_of: ApiOf) -> None:
    body = {"contact": str(ours.contact.pk), "due_at": in_hours(1)}
    mine = api_of(ours.rep).post("follow-ups/", body).json()
    path = f"follow-ups/{mine['id']}/"
    colleague = api_of(ours.rep2)
    assert colleague.get("follow-ups/").json()["results"] == []
    for answer in (colleague.get(path), colleague.patch(path, {"done": True}), colleague.delete(path)):
        assert answer.status_code == 404
    for refused in (
        api_of(ours.rep).post("follow-ups/", body | {"owner": str(ours.rep2.user_id)}),
        api_of(ours.rep).patch(path, {"owner": str(ours.rep2.user_id)}),
    ):
        assert error_of(refused) == (403, "permission_denied", "owner")
    manager = api_of(ours.manager)
    assert len(manager.get("follow-ups/").json()["results"]) == 1
    given = manager.patch(path, {"owner": str(ours.rep2.user_id), "text": "yours now"}).json()
    assert given["owner"] == str(ours.rep2.user_id)
    assert texts(colleague.get("follow-ups/")) == ["yours now"]
    assert api_of(ours.rep).get(path).status_code == 404


def test_what_makes_no_sense_changes_nothing(ours: Company, theirs: Company, api_of: ApiOf) -> None:
    with tenancy.inside(ours.id):
        other = create_contact(member=ours.rep, name="Other")
        deal = create_opportunity(member=ours.rep, contact=other.pk, title="Not of this contact")
    body = {"contact": str(ours.contact.pk), "due_at": in_hours(1)}
    api = api_of(ours.manager)
    api.get("me/")
    before = everything_of(ours)
    for said, expected in (
        ({"contact": str(theirs.contact.pk)}, (404, "not_found", "contact")),
        ({"opportunity": str(theirs.opportunity.pk)}, (404, "not_found", "opportunity")),
        ({"opportunity": str(deal.pk)}, (404, "not_found", "opportunity")),
        ({"owner": str(theirs.rep.user_id)}, (400, "not_an_owner", "owner")),
        ({"due_at": "9999-12-31T23:59:59-14:00"}, (400, "overflow", "due_at")),
        ({"due_at": "9999-01-01T00:00:00Z"}, (400, "bad_follow_up", "due_at")),
        ({"due_at": "1999-01-01T00:00:00Z"}, (400, "bad_follow_up", "due_at")),
        ({"due_at": None}, (400, "null", "due_at")),
        ({"text": "x" * 501}, (400, "max_length", "text")),
        ({"text": "\x00"}, (400, "null_characters_not_allowed", "text")),
    ):
        assert error_of(api.post("follow-ups/", body | said)) == expected, said
    assert everything_of(ours) == before


def test_a_note_is_everybodys_to_read_and_its_authors_to_change(ours: Company, theirs: Company, api_of: ApiOf) -> None:
    body = {"contact": str(ours.contact.pk), "text": "Moves in May\r\n", "opportunity": str(ours.opportunity.pk)}
    answer = api_of(ours.rep).post("notes/", body)
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["text"], made["author"]) == ("Moves in May", str(ours.rep.user_id))
    path = f"notes/{made['id']}/"
    for member in (ours.rep2, ours.manager):
        assert texts(api_of(member).get(f"notes/?contact={ours.contact.pk}")) == ["Moves in May"]
        assert error_of(api_of(member).patch(path, {"text": "x"})) == (403, "permission_denied", None)
        assert api_of(member).delete(path).status_code == 403
    assert api_of(ours.rep).patch(path, {"text": "Moves in June"}).json()["text"] == "Moves in June"
    for wrong in ({}, {"text": "  "}, {"text": "x" * 10_001}, {"text": None}):
        assert api_of(ours.rep).patch(path, wrong).status_code == 400
    assert api_of(theirs.admin).get(path).status_code == 404
    assert texts(api_of(theirs.admin).get(f"notes/?contact={ours.contact.pk}")) == []
    assert error_of(api_of(theirs.rep).post("notes/", body)) == (404, "not_found", "contact")
    assert api_of(ours.admin).delete(path).status_code == 204


def test_each_new_stage_is_written_into_the_opportunitys_history(ours: Company, api_of: ApiOf) -> None:
    api, path = api_of(ours.rep), f"opportunities/{ours.opportunity.pk}/"
    for change in ({"stage": "proposal"}, {"stage": "proposal"}, {"amount": "5"}, {"stage": "won"}):
        assert api.patch(path, change).status_code == 200
    with tenancy.inside(ours.id):
        rows = StageChange.objects.filter(opportunity=ours.opportunity).order_by("id")
        assert [(one.before, one.after, one.by_id) for one in rows] == [
            ("", "proposal", ours.rep.user_id),
            ("proposal", "won", ours.rep.user_id),
        ]


@pytest.mark.parametrize(("zone", "expected"), [("America/Sao_Paulo", 12), ("Asia/Tokyo", 0), ("UTC", 9)])
def test_a_day_is_the_readers_and_begins_in_the_morning(zone: str, expected: int) -> None:
    from crm.follow_ups import end_of_today, in_days

    with timezone.override(zone):
        tomorrow = in_days(1)
        assert tomorrow.astimezone(UTC).hour == expected
        assert timezone.localdate(tomorrow) == timezone.localdate() + timedelta(days=1)
        assert timedelta(0) < end_of_today() - datetime.now(UTC) <= timedelta(days=1, hours=1)
