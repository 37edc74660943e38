"""How a call went, as its rep says: an outcome once it is over, a note at any time."""

from collections.abc import Callable

import pytest
from django.test import Client

from calls.models import CallLog, Disposition
from crm import tenancy
from crm.models import Contact, DoNotCall, Membership
from tests.calls.driving import apply
from tests.conftest import Api, Company, at_once, read_call
from tests.crm.rows import make_call

ApiOf = Callable[[Membership], Api]


@pytest.fixture
def over(ours: Company) -> CallLog:
    """A call of the rep's that nobody answered."""
    return make_call(ours, status="no-answer", stage="ended", unanswered_by="contact")


def test_a_rep_writes_down_how_it_went(ours: Company, api_of: ApiOf, over: CallLog) -> None:
    answer = api_of(ours.rep).patch(f"calls/{over.pk}/", {"disposition": "voicemail", "notes": "Back on Monday\n"})
    assert answer.status_code == 200
    assert (answer.json()["disposition"], answer.json()["notes"]) == ("voicemail", "Back on Monday\n")
    api_of(ours.rep).patch(f"calls/{over.pk}/", {"notes": ""})
    row = read_call(ours, over.pk)
    assert (row.disposition, row.notes, row.status) == ("voicemail", "", "no-answer")


def test_while_it_lives_there_is_a_note_and_no_outcome(ours: Company, api_of: ApiOf) -> None:
    call = make_call(ours)
    refused = api_of(ours.rep).patch(f"calls/{call.pk}/", {"disposition": "interested", "notes": "x"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "call_is_live")
    assert read_call(ours, call.pk).notes == ""
    assert api_of(ours.rep).patch(f"calls/{call.pk}/", {"notes": "x"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{"disposition": "sold"}, {"notes": "x" * 10_001}, {"notes": "\x00"}, {"disposition": None}, {"notes": None}],
    ids=str,
)
def test_bad_input_changes_nothing(ours: Company, api_of: ApiOf, over: CallLog, body: dict[str, str]) -> None:
    assert api_of(ours.rep).patch(f"calls/{over.pk}/", body).status_code == 400
    row = read_call(ours, over.pk)
    assert (row.disposition, row.notes) == ("", "")


def test_do_not_call_marks_the_contact_or_lists_the_number(ours: Company, api_of: ApiOf, over: CallLog) -> None:
    stranger = make_call(ours, contact=None, to_number="+5511912345678", status="completed", stage="ended")
    for call in (over, stranger):
        api_of(ours.rep).patch(f"calls/{call.pk}/", {"disposition": "do_not_call"})
    with tenancy.inside(ours.id):
        assert Contact.objects.get(pk=ours.contact.pk).do_not_call_since is not None
        assert [one.number for one in DoNotCall.objects.all()] == ["+5511912345678"]
    refused = api_of(ours.rep).post("calls/", {"contact": str(ours.contact.pk)})
    assert refused.json()["errors"][0]["code"] == "do_not_call"


def test_a_note_and_a_fact_that_comes_at_once_lose_nothing(ours: Company, api_of: ApiOf) -> None:
    from calls.journal import record_ours

    for _ in range(5):
        call = make_call(ours, call_sid=None)
        with tenancy.inside(ours.id):
            record_ours(call, "refused", code=21215, message="no_geo_permission")
        api = api_of(ours.rep)
        assert (
            at_once(
                lambda api=api, call=call: api.patch(f"calls/{call.pk}/", {"notes": "mine"}),
                lambda call=call: apply(ours, call.pk),
            )
            == []
        )
        row = read_call(ours, call.pk)
        assert (row.notes, row.status) == ("mine", "failed")


def test_the_pages_show_what_the_network_said_and_keep_what_the_rep_says(
    ours: Company, client_of: Callable[[Membership], Client], over: CallLog
) -> None:
    page = client_of(ours.rep)
    shown = page.get(f"/calls/{over.pk}/").content.decode()
    assert f'value="{Disposition.NO_ANSWER}" checked' in shown
    saved = page.post(
        f"/calls/{over.pk}/outcome/",
        {"disposition": "call_back", "notes": "<b>later</b>", "place": "page"},
        headers={"HX-Request": "true"},
    ).content.decode()
    assert 'value="call_back" checked' in saved
    assert "&lt;b&gt;later&lt;/b&gt;" in saved
    assert "Saved." in saved
    assert "Call back" in page.get("/calls/").content.decode()
    wrong = page.post(f"/calls/{over.pk}/outcome/", {"disposition": "sold"}, headers={"HX-Request": "true"})
    assert "no such outcome" in wrong.content.decode()
    assert page.post(f"/calls/{over.pk}/outcome/", {"disposition": "sold"}).status_code == 400
    assert client_of(ours.rep2).post(f"/calls/{over.pk}/outcome/", {"disposition": "busy"}).status_code == 404
    assert read_call(ours, over.pk).disposition == "call_back"
