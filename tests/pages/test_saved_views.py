"""Saved views: what a member narrowed a list to, under a name of their own."""

from urllib.parse import urlencode

import pytest

from crm import tenancy
from crm.models import SavedView
from crm.saved_views import normalised
from tests.conftest import at_once
from tests.crm.rows import one_of_each

HTMX = {"HX-Request": "true", "HX-Target": "saved-views"}


def views(member):
    """A member's views: page, name, query."""
    with tenancy.inside(member.organization_id):
        return list(SavedView.objects.filter(user=member.user).order_by("id").values_list("page", "name", "query"))


def save(client, name="Busy", query="status=busy", page="calls", **options):
    """Press Save."""
    return client.post("/saved-views/", {"page": page, "name": name, "query": query}, **options)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("?status=busy&user=&before=x&after=y&call=z", "status=busy"),
        ("b=2&a=1&a=1", "a=1&b=2"),
        ("search=a%20%26%20b+", "search=a+%26+b"),
        ("search=ção", "search=%C3%A7%C3%A3o"),
        ("a=%ff", "a=%EF%BF%BD"),
        ("a=\ud800", "a=%3F"),
        ("&&=&x", ""),
    ],
)
def test_a_query_is_kept_in_one_form(query, kept):
    """Whatever the address looked like; twice is as once."""
    assert normalised(query) == normalised(normalised(query)) == kept


def test_a_view_is_saved_shown_opened_and_deleted(ours, client_of):
    """With htmx and without."""
    client = client_of(ours.rep)
    part = save(client, "  My   busy ones ", "status=busy&search=", headers=HTMX).content.decode()
    assert part.startswith('<div id="saved-views"')
    assert '<a class="chip-link" href="/calls/?status=busy" aria-current="true">My busy ones</a>' in part
    assert views(ours.rep) == [("calls", "My busy ones", "status=busy")]
    page = client.get("/calls/").content.decode()
    assert '<a class="chip-link" href="/calls/?status=busy">My busy ones</a>' in page
    assert client.get("/calls/?status=busy").context["asked"] == "status=busy"
    assert save(client, "Ana's", "q=ana", "contacts")["Location"] == "/contacts/?q=ana"
    with tenancy.inside(ours.id):
        view = SavedView.objects.get(user=ours.rep.user, page="calls")
    left = client.post(f"/saved-views/{view.pk}/delete/", {"query": "status=busy"}, headers=HTMX).content.decode()
    assert "My busy ones" not in left
    assert "Save these filters as" in left
    assert views(ours.rep) == [("contacts", "Ana's", "q=ana")]
    assert client.post(f"/saved-views/{view.pk}/delete/").status_code == 404


def test_the_same_name_means_the_new_filters_and_another_page_or_member_has_its_own(ours, client_of):
    """One of a name for each."""
    client = client_of(ours.rep)
    for query in ("status=busy", "status=failed"):
        assert save(client, query=query).status_code == 302
    save(client, page="contacts", query="q=x")
    save(client_of(ours.rep2), query="show=live")
    assert views(ours.rep) == [("calls", "Busy", "status=failed"), ("contacts", "Busy", "q=x")]
    assert views(ours.rep2) == [("calls", "Busy", "show=live")]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": " "}, "Give the view a name"),
        ({"name": "x" * 61}, "Give the view a name"),
        ({"name": "a\x00b"}, "Give the view a name"),
        ({"query": "status=&before=x"}, "Narrow the list first"),
        ({"query": urlencode({"search": "x" * 1000})}, "too long"),
        ({"page": "members"}, "There is no such page."),
    ],
)
def test_what_cannot_be_saved_is_told_and_nothing_is(ours, client_of, values, sentence):
    """As a sentence that the page shows."""
    answer = save(client_of(ours.rep), headers=HTMX, **values)
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert answer["Content-Type"].startswith("text/plain")
    assert views(ours.rep) == []


def test_there_is_room_for_fifty(ours, client_of, monkeypatch):
    """Also when two come at once; one that is there can be changed."""
    monkeypatch.setattr("crm.saved_views.MOST_VIEWS", 2)
    save(client_of(ours.rep), "First")
    clients = [client_of(ours.rep) for _ in range(3)]
    assert (
        at_once(*(lambda one=one, place=place: save(one, f"Next {place}") for place, one in enumerate(clients))) == []
    )
    assert len(views(ours.rep)) == 2
    assert save(client_of(ours.rep), "First", "show=live").status_code == 302
    assert len(views(ours.rep)) == 2


def test_nobody_else_sees_or_deletes_a_view(ours, theirs, client_of):
    """Not even an admin."""
    mine = one_of_each(ours)[SavedView]
    for member in (ours.rep, ours.manager, theirs.admin):
        assert mine.name not in client_of(member).get("/calls/").content.decode()
        assert client_of(member).post(f"/saved-views/{mine.pk}/delete/").status_code == 404
    assert mine.name in client_of(ours.admin).get("/calls/").content.decode()
    assert views(ours.admin) == [("calls", "Owed", "show=needs-outcome")]
