"""The figures of calls that a member may see, each counted by PostgreSQL; days and hours are the reader's.

Test calls are in none of them. A call that is still under way is counted, and is no failure: rates are of those that
are over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Self
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncHour

from calls import queries
from calls.models import LIVE, CallLog, CallStatus
from calls.period import Period, Stretch
from crm.models import Membership

CONVERSATION = Q(status=CallStatus.COMPLETED)
COUNTS: dict[str, Any] = {
    "calls": Count("pk"),
    "live": Count("pk", filter=Q(status__in=LIVE)),
    "conversations": Count("pk", filter=CONVERSATION),
    "timed": Count("duration_seconds", filter=CONVERSATION),
    "talk_seconds": Sum("duration_seconds", filter=CONVERSATION, default=0),
}


@dataclass(frozen=True, slots=True)
class Tally:
    """What some calls come to. `timed` are the conversations whose talk time is known by now."""

    calls: int = 0
    live: int = 0
    conversations: int = 0
    timed: int = 0
    talk_seconds: int = 0

    @classmethod
    def of(cls, row: Any) -> Self:
        """Read what `COUNTS` found."""
        return cls(**{name: row[name] for name in COUNTS})

    @classmethod
    def sum(cls, tallies: Iterable["Tally"]) -> Self:
        """All of them together."""
        rows = list(tallies)
        return cls(**{name: sum(getattr(row, name) for row in rows) for name in COUNTS})

    @property
    def over(self) -> int:
        """Calls that are not under way any more."""
        return self.calls - self.live

    @property
    def rate(self) -> float | None:
        """The connect rate, from 0 to 1: conversations of the calls that are over; None without any."""
        return self.conversations / self.over if self.over else None

    @property
    def average_seconds(self) -> int | None:
        """Talk time of a conversation; None without any."""
        return round(self.talk_seconds / self.timed) if self.timed else None


@dataclass(frozen=True, slots=True)
class Hour:
    """What the calls of one hour of a day come to; an hour that the clock shows twice is one."""

    day: date
    hour: int
    tally: Tally


def _calls(member: Membership, stretch: Stretch, user_id: UUID | None) -> QuerySet[CallLog]:
    """The calls of a stretch that `member` may see, all or one rep's, ready to be counted."""
    found = queries.conversations(member).filter(created_at__gte=stretch.starts_at, created_at__lt=stretch.ends_at)
    found = found.prefetch_related(None).order_by()
    return found.filter(user_id=user_id) if user_id else found


def total(member: Membership, stretch: Stretch, *, user_id: UUID | None = None) -> Tally:
    """Return what the calls of a stretch come to."""
    return Tally.of(_calls(member, stretch, user_id).aggregate(**COUNTS))


def by_hour(member: Membership, period: Period, *, user_id: UUID | None = None) -> list[Hour]:
    """Return each hour of each day that has calls, in the period's zone."""
    rows = (
        _calls(member, period.stretch, user_id)
        # One key, and not a day and an hour: the zone is worked out once for each call, and one number is sorted.
        .annotate(began=TruncHour("created_at", tzinfo=period.zone))
        .values("began")
        .annotate(**COUNTS)
        .order_by("began")
    )
    return [Hour(row["began"].date(), row["began"].hour, Tally.of(row)) for row in rows]


def by_rep(member: Membership, stretch: Stretch) -> dict[UUID | None, Tally]:
    """Return what each user's calls come to; None stands for calls that are nobody's."""
    rows = _calls(member, stretch, None).values("user_id").annotate(**COUNTS)
    return {row["user_id"]: Tally.of(row) for row in rows}


def by_outcome(member: Membership, stretch: Stretch, *, user_id: UUID | None = None) -> dict[str, int]:
    """Return how many calls have each outcome; the empty one stands for those that still owe one."""
    over = _calls(member, stretch, user_id).filter(~Q(disposition="") | queries.OWED)
    return dict(over.values("disposition").annotate(calls=Count("pk")).values_list("disposition", "calls"))


def last_ends(member: Membership, stretch: Stretch) -> dict[UUID | None, Any]:
    """Return when each user's last call of a stretch ended."""
    ended = _calls(member, stretch, None).filter(ended_at__isnull=False)
    return dict(ended.values("user_id").annotate(last=Max("ended_at")).values_list("user_id", "last"))
