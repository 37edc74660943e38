"""Lists of calls and what hangs on them, for a member; and the few that the machinery needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from calls.models import (
    LIVE,
    CallLog,
    CallRules,
    CallStatus,
    DaySpend,
    Direction,
    DueCall,
    EntryState,
    JournalEntry,
    MinuteRate,
    Party,
    Recording,
    Run,
    RunEntry,
    Stage,
)
from calls.rules import spend
from crm import audit
from crm.errors import InvalidNumber
from crm.models import AuditEntry, Membership, Organization
from crm.numbers import described
from crm.search import few
from integrations.twilio.words import CENT_PARTS

# How the Idempotency-Keys of calls in a run begin; its contact's entry and the press of the button follow.
RUN_KEY = "run:"
# What a minute costs is learned from the calls of so many days.
RATES_COUNT = timedelta(days=7)


def calls(member: Membership) -> QuerySet[CallLog]:
    """Return the calls that `member` may see, newest first: a rep's own, or the whole team's."""
    found = (
        CallLog.objects.filter(organization=member.organization)
        .select_related("contact", "user", "opportunity")
        .prefetch_related("legs")
        .order_by("-id")
    )
    return found if member.sees_whole_team else found.filter(user=member.user)


def conversations(member: Membership) -> QuerySet[CallLog]:
    """Return the calls that `member` may see without anybody's test calls."""
    return calls(member).filter(is_test=False)


# A conversation, or a contact's phone that rang in vain: whoever called can say what became of it.
REACHED = Q(status=CallStatus.COMPLETED) | Q(
    status__in=(CallStatus.BUSY, CallStatus.NO_ANSWER), unanswered_by=Party.CONTACT
)
# Over, and its rep has not said how it went. What the network has told counts for nothing: the rep confirms it.
OWED = REACHED & Q(stage=Stage.ENDED, disposition="", is_test=False, user__isnull=False)


def matching(rows: QuerySet[CallLog], *, digits: str, name: str = "") -> QuerySet[CallLog]:
    """Narrow `rows` to calls with these digits in either number, or with this in the contact's name."""
    ids = few("calls_search", text=name, digits=digits)
    if ids is not None:
        return rows.filter(pk__in=ids)
    matches = Q(contact__name__icontains=name) if name else Q(pk__in=[])
    if digits:
        matches |= Q(to_number__contains=digits) | Q(from_number__contains=digits)
    return rows.filter(matches)


# The columns of an exported call, and where each comes from.
EXPORTED = {
    "id": "id",
    "created_at": "created_at",
    "started_at": "started_at",
    "answered_at": "answered_at",
    "ended_at": "ended_at",
    "direction": "direction",
    "status": "status",
    "rep": "user__name",
    "rep_email": "user__email",
    "contact": "contact__name",
    "company": "contact__company",
    "from_number": "from_number",
    "to_number": "to_number",
    "duration_seconds": "duration_seconds",
    "unanswered_by": "unanswered_by",
    "ended_by": "ended_by",
    "outcome": "disposition",
    "notes": "notes",
    "opportunity": "opportunity__title",
    "recording_seconds": "recording_duration",
    "price": "price",
    "price_unit": "price_unit",
    "error_code": "error_code",
    "contact_id": "contact_id",
    "opportunity_id": "opportunity_id",
}


def exported(rows: QuerySet[CallLog]) -> QuerySet[CallLog, tuple[Any, ...]]:
    """Return calls as rows of a file, the id first."""
    return rows.select_related(None).prefetch_related(None).values_list(*EXPORTED.values())


def heard(call: CallLog) -> list[AuditEntry]:
    """Return who played, downloaded or deleted a recording of `call`, newest first; a hundred at most.

    An entry is younger than what it is about, and ids are ordered by time.
    """
    actions = (audit.RECORDING_PLAYED, audit.RECORDING_DOWNLOADED, audit.RECORDING_DELETED)
    rows = AuditEntry.objects.filter(action__in=actions, pk__gt=call.pk, details__call=str(call.pk))
    return list(rows.order_by("-id")[:100])


def live_call(member: Membership) -> CallLog | None:
    """Return the call that `member` is on, if any."""
    return calls(member).filter(user=member.user, direction=Direction.OUTBOUND, status__in=LIVE).first()


def needing_outcome(member: Membership, *, since: datetime | None) -> QuerySet[CallLog]:
    """Return `member`'s own calls whose outcome is owed, newest first."""
    mine = calls(member).filter(OWED, user=member.user)
    return mine.filter(created_at__gte=since) if since else mine


def was_called(since: datetime | None = None) -> Exists:
    """Whether anybody here called a contact, or was called by them; at any time, or since then. For contacts' rows."""
    rows = CallLog.objects.filter(contact=OuterRef("pk"), is_test=False)
    return Exists(rows.filter(created_at__gte=since) if since else rows)


def remembered_numbers(member: Membership, contact_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return which number of each contact `member` called last."""
    mine = CallLog.objects.filter(user=member.user, contact__in=list(contact_ids), direction=Direction.OUTBOUND)
    rows = mine.order_by("contact", "-id").distinct("contact").values_list("contact", "to_number")
    return dict(rows)


def runs(member: Membership) -> QuerySet[Run]:
    """Return the runs through lists that `member` may see, newest first: a rep's own, or the team's."""
    found = Run.objects.filter(organization=member.organization).select_related("user").order_by("-id")
    return found if member.sees_whole_team else found.filter(user=member.user)


def active_run(member: Membership) -> Run | None:
    """Return the run that `member` is in the middle of, if any."""
    return Run.objects.filter(user=member.user, ended_at=None).first()


def run_of_call(call: CallLog) -> Run | None:
    """Return the run that a call was made in, if any."""
    found = RunEntry.objects.filter(call=call).select_related("run").first()
    return found.run if found else None


def entries(run: Run) -> QuerySet[RunEntry]:
    """Return a run's contacts in order, with what became of them."""
    return RunEntry.objects.filter(run=run).select_related("contact", "call__user").order_by("position")


def next_entry(run: Run) -> RunEntry | None:
    """Return whom a run calls next; None when it is through."""
    return entries(run).filter(state=EntryState.WAITING).first()


def counts_of(run: Run) -> dict[str, int]:
    """Return how many of a run's contacts are in each state."""
    rows = RunEntry.objects.filter(run=run).values_list("state").annotate(count=Count("pk")).order_by()
    return dict.fromkeys(EntryState.values, 0) | dict(rows)


def call_of_press(member: Membership, key: str) -> CallLog | None:
    """Return the call that this press of a button has started already, whichever of a run's contacts it was for."""
    mine = CallLog.objects.filter(user=member.user, idempotency_key__startswith=RUN_KEY)
    return mine.filter(idempotency_key__endswith=f":{key}").order_by("-id").first()


def call_of_entry(member: Membership, entry: RunEntry) -> CallLog | None:
    """Return the call that was made for a run's contact, also where nobody came to write that down."""
    mine = CallLog.objects.filter(user=member.user, idempotency_key__startswith=f"{RUN_KEY}{entry.pk}:")
    return mine.exclude(status=CallStatus.FAILED).first()


def rules() -> CallRules:
    """Return the rules of the organization that is set: the defaults where nobody has changed them."""
    return CallRules.objects.first() or CallRules()


def live_calls() -> int:
    """Return how many calls the organization that is set has under way."""
    return CallLog.objects.filter(direction=Direction.OUTBOUND, status__in=LIVE).count()


def journal(call: CallLog) -> QuerySet[JournalEntry]:
    """Return everything that is known of `call` as it came, in order of arrival."""
    return JournalEntry.objects.filter(call_id=call.pk).order_by("received_at", "digest")


def recordings(call: CallLog) -> QuerySet[Recording]:
    """Return the recordings of `call`, oldest first."""
    return Recording.objects.filter(call_id=call.pk).order_by("id")


# The sweeper comes again for more than a price.
OWING = Q(only_price=False) | Q(unapplied_since__isnull=False)


def is_watched(call: CallLog) -> bool:
    """Whether the sweeper comes again for `call`: it lives, or something of it but its price is still owed."""
    return DueCall.objects.filter(OWING, pk=call.pk).exclude(due_at=None).exists()


def destination(number: str) -> tuple[str, bool]:
    """Return the country of a number (empty for a satellite) and whether it costs more than others there."""
    try:
        said = described(number)
    except InvalidNumber:
        return "", True
    return said.country, said.is_costly


def minute_rate(organization: Organization, numbers: Iterable[str], today: date) -> Decimal:
    """Return what a minute of a call with a leg to each of these numbers is taken to cost.

    For each, the most that a leg to such a number cost in the last week; else what is presumed.
    """
    lately = MinuteRate.objects.filter(day__gt=today - RATES_COUNT).values_list("country", "is_costly")
    known = {(country, is_costly): most for country, is_costly, most in lately.annotate(most=Max("amount")).order_by()}
    total = Decimal(0)
    for country, is_costly in map(destination, numbers):
        is_abroad = country != organization.region.upper()
        presumed = spend.presumed_rate(is_abroad=is_abroad, is_costly=is_costly)
        total += known.get((country, is_costly), presumed)
    return total


def overtime(today: date, now: datetime) -> Decimal:
    """Return what live calls cost beyond what they have reserved, from today's minutes: also those of yesterday."""
    begun = CallLog.objects.filter(direction=Direction.OUTBOUND, status__in=LIVE, charge__isnull=False)
    earliest = datetime.combine(today, time.min, UTC) - spend.RESERVED
    rows = begun.values_list("charge", "created_at")
    return sum((spend.overtime(charge, max(begun_at, earliest), now) for charge, begun_at in rows), Decimal(0))


@dataclass(frozen=True, slots=True)
class Spent:
    """Where a day's money stands: `amount` with what live calls cost by now; `unit` as far as it is known."""

    day: date
    amount: Decimal
    unit: str | None


def spent_today() -> Spent:
    """Return what today's calls cost the organization that is set."""
    now = timezone.now()
    today = now.astimezone(UTC).date()
    row = DaySpend.objects.filter(day=today).first()
    paid = DaySpend.objects.exclude(unit="").order_by("-day").first()
    amount = (row.amount if row else Decimal(0)) + overtime(today, now)
    return Spent(today, amount.quantize(CENT_PARTS), paid and paid.unit)
