"""Where a member's work begins: the call that lives, what is owed, what is due, and whom to call next."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from calls import panel as panels
from calls import queries
from calls.contact_filters import ContactFilterForm
from calls.services.run import MOST_CONTACTS
from crm import queries as crm_queries
from crm.access import possible_owners
from crm.doors import in_organization
from crm.follow_ups import end_of_today
from crm.models import FollowUp, Membership
from crm.pages import page
from crm.saved_views import views_of

OWED_FOR = timedelta(days=14)
OWED_ROWS, DUE_ROWS, COMING_ROWS, RECENT_ROWS = 10, 20, 5, 8
VIEWS = 6  # of the saved ones, by name: each costs a count, whenever a call changes
LISTS = (
    ("follow_up=due", _("Follow-ups that are due")),
    ("owner=me&called=never", _("Mine, never called")),
    ("owner=me&called=30", _("Mine, not called for 30 days")),
    ("owner=nobody&called=never", _("Nobody's, never called")),
)


@dataclass(frozen=True, slots=True)
class CallList:
    """Contacts to start calling with: their filters as the contacts' page has them in its address."""

    title: Any
    query: str
    filters: dict[str, str]
    count: int


@dataclass(frozen=True, slots=True)
class Due:
    """A follow-up with the number to call, the one that its owner called last, and the contact's others."""

    follow_up: FollowUp
    number: str
    others: list[str]
    is_overdue: bool


@page
@require_safe
@in_organization
def home(request: Any) -> HttpResponse:
    """Show a member their morning; its parts follow their calls."""
    member, now = request.member, timezone.now()
    # Where the next call waits for an outcome, it is shown here however old it is.
    asked_since = queries.rules().requires_outcome_since
    since = min(filter(None, (now - OWED_FOR, asked_since)))
    owed = list(queries.needing_outcome(member, since=since)[: OWED_ROWS + 1])
    coming = crm_queries.open_follow_ups(member).filter(due_at__gte=end_of_today())
    live = queries.live_call(member)
    recent = queries.conversations(member).filter(user=member.user)
    context = {
        "live": panels.row_of(live) if live else None,
        "run": panels.strip_of(queries.active_run(member)),
        "owed": [panels.row_of(one) for one in owed[:OWED_ROWS]],
        "has_more_owed": len(owed) > OWED_ROWS,
        "due": _due(member),
        "coming": list(coming[:COMING_ROWS]),
        "rows": [panels.row_of(one) for one in recent[:RECENT_ROWS]],
        "lists": _lists(member),
        "most": MOST_CONTACTS,
        "ready": panels.readiness(member),
        "now": now,
        "section": "home",
    }
    return render(request, "home.html", context)


def _due(member: Membership) -> list[Due]:
    rows = crm_queries.open_follow_ups(member, due_before=end_of_today()).prefetch_related("contact__numbers")
    found = list(rows[:DUE_ROWS])
    remembered = queries.remembered_numbers(member, [one.contact_id for one in found])
    now = timezone.now()
    shown = []
    for one in found:
        own = [row.number for row in one.contact.numbers.all()]
        last = remembered.get(one.contact_id, "")
        number = last if last in own else next(iter(own), "")
        shown.append(Due(one, number, [other for other in own if other != number], one.due_at < now))
    return shown


def _lists(member: Membership) -> list[CallList]:
    owners, stages = list(possible_owners(member)), crm_queries.stages(member)
    found = []
    views = [(one.query, one.name) for one in views_of(member, "contacts")[:VIEWS]]
    for query, title in (*LISTS, *views):
        filters = QueryDict(query)
        form = ContactFilterForm(filters, member=member, owners=owners, stages=stages)
        count = form.contacts().values("pk")[: MOST_CONTACTS + 1].count()
        found.append(CallList(title, query, filters.dict(), count))
    return found
