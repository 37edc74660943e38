"""Saved views: a member's own names for what a list was narrowed to, which is all in its address."""

from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from crm import tenancy
from crm.errors import AppError, NotFound
from crm.models import Membership, SavedView

LONGEST_NAME, LONGEST_QUERY = 60, 1000
MOST_VIEWS = 50  # of one member on one page
# Where a list goes on, and what is open beside it, is no part of what it is narrowed to.
PASSING = ("before", "after", "call")


class BadView(AppError):
    """A view that cannot be saved like this."""

    code = "bad_view"


def normalised(query: str) -> str:
    """Return an address's query without what is empty, passing or said twice, always in the same order.

    Half a character has no form in UTF-8, and is replaced.
    """
    pairs = {
        (name, value.strip())
        for name, value in parse_qsl(query.removeprefix("?"), errors="replace")
        if value.strip() and name not in PASSING
    }
    return urlencode(sorted(pairs), errors="replace")


def views_of(member: Membership, page: str) -> QuerySet[SavedView]:
    """Return `member`'s own views of a page, by name."""
    return SavedView.objects.filter(organization=member.organization, user=member.user, page=page).order_by("name")


def get_view(member: Membership, view_id: UUID) -> SavedView:
    """Return one of `member`'s own views. Raises: NotFound."""
    found = SavedView.objects.filter(organization=member.organization, user=member.user, pk=view_id).first()
    if found is None:
        raise NotFound
    return found


def save_view(*, member: Membership, page: str, name: str, query: str) -> SavedView:
    """Keep what a page is narrowed to under a name; one that `member` has there already means this from now on.

    Raises: BadView.
    """
    name, query = " ".join(name.split()), normalised(query)
    if page not in SavedView.Page.values:
        raise BadView(_("There is no such page."), field="page")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadView(_("Give the view a name of 60 letters at most."), field="name")
    if not query:
        raise BadView(_("Narrow the list first: this view would show everything."), field="query")
    if len(query) > LONGEST_QUERY:
        raise BadView(_("These filters are too long to be saved."), field="query")
    with tenancy.inside(member.organization_id):
        # Who saves two at once takes turns, so that neither is one too many.
        Membership.objects.select_for_update(no_key=True).get(pk=member.pk)
        own = views_of(member, page)
        if own.exclude(name=name).count() >= MOST_VIEWS:
            raise BadView(_("You have 50 views here. Delete one first."), field="name")
        saved, _is_new = SavedView.objects.update_or_create(
            user=member.user, page=page, name=name, defaults={"query": query}
        )
    return saved


def delete_view(*, member: Membership, view_id: UUID) -> SavedView:
    """Delete one of `member`'s own views, and return what it was. Raises: NotFound."""
    with tenancy.inside(member.organization_id):
        view = get_view(member, view_id)
        view.delete()
    return view
