"""One timeline of a contact or an opportunity: calls, notes, follow-ups, and what became of opportunities."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from calls import queries as call_queries
from calls.panel import row_of
from crm import queries
from crm.models import Membership

CALL, NOTE, FOLLOW_UP, OPPORTUNITY = "call", "note", "follow-up", "opportunity"
KINDS = {CALL: _("Calls"), NOTE: _("Notes"), FOLLOW_UP: _("Follow-ups"), OPPORTUNITY: _("Opportunities")}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `what` is the row, of a call as lists show it; `is_new` an opportunity's beginning."""

    kind: str
    id: UUID
    at: datetime
    what: Any
    is_new: bool = False


def timeline(
    member: Membership,
    *,
    contact_id: UUID | None = None,
    opportunity_id: UUID | None = None,
    kind: str = "",
    before: UUID | None = None,
    most: int,
) -> list[Line]:
    """Return what `member` may see of it, newest first, older than the line `before`; of one kind if it is said.

    Ids are ordered by time, whatever they are of, so a page costs no more than its length. Calls and follow-ups are a
    rep's own, or the team's; notes and opportunities are everybody's. Stages that changed before they were written
    down are not known.
    """
    about: dict[str, Any] = {"contact_id": contact_id} if contact_id else {"opportunity_id": opportunity_id}
    deals = queries.opportunities(member, contact_id=contact_id)
    sources: list[tuple[str, QuerySet[Any], Callable[[Any], Any], bool]] = [
        (CALL, call_queries.conversations(member).filter(**about), row_of, False),
        (NOTE, queries.notes(member, **about), _itself, False),
        (FOLLOW_UP, queries.follow_ups(member, **about).order_by("-id"), _itself, False),
        (OPPORTUNITY, queries.stage_changes(member, **about), _itself, False),
        (OPPORTUNITY, deals.filter(pk=opportunity_id) if opportunity_id else deals, _itself, True),
    ]
    found = [
        Line(one, row.pk, row.created_at, shown(row), is_new)
        for one, rows, shown, is_new in sources
        if kind in ("", one)
        for row in (rows.filter(pk__lt=before) if before else rows)[:most]
    ]
    return sorted(found, key=lambda line: line.id, reverse=True)[:most]


def _itself(row: Any) -> Any:
    return row
