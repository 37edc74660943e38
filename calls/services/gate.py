"""The gate before a dial: the organization's rules, and the limits that a stolen session runs into."""

from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from calls import errors, queries
from calls.models import CallCount, CallRules
from calls.rules import gate
from crm.errors import AppError
from crm.models import Contact, Membership
from crm.numbers import described
from crm.queries import is_not_to_be_called

REFUSALS: dict[gate.No, type[AppError]] = {
    gate.No.DO_NOT_CALL: errors.DoNotCall,
    gate.No.COSTLY: errors.CostlyNumber,
    gate.No.COUNTRY: errors.CountryNotAllowed,
    gate.No.HOURS: errors.OutsideCallingHours,
}
# Adds one, unless that would be too many: then no row comes back.
COUNT = """
INSERT INTO calls_callcount (id, organization_id, subject, "window", starts_at, count)
VALUES (%s, %s, %s, %s, %s, 1)
ON CONFLICT (organization_id, subject, "window", starts_at) DO UPDATE SET count = calls_callcount.count + 1
WHERE calls_callcount.count < %s
RETURNING count
"""


def refuse(member: Membership, contact: Contact | None, number: str) -> None:
    """Pass the rules and the limits, and count the call: in the transaction that inserts its row.

    Raises: DoNotCall, CostlyNumber, CountryNotAllowed, OutsideCallingHours, LimitReached.
    """
    rules, now = queries.rules(), timezone.now()
    countries = frozenset(rules.allowed_countries or [member.organization.region.upper()])
    said = described(number, among=countries)
    own = contact.time_zone if contact is not None else ""
    zones = (own,) if own and gate.zone_of(own) else said.zones
    dialled = gate.Dialled(said.country, said.is_costly, zones, is_not_to_be_called(number, contact))
    hours = gate.Hours(rules.calls_from, rules.calls_until, rules.days)
    no = gate.refusal(dialled, countries=countries, allows_costly=rules.allows_costly_numbers, hours=hours, now=now)
    if no is not None:
        raise REFUSALS[no](field="to")
    _count(member, number, rules, now)


def _count(member: Membership, number: str, rules: CallRules, now: datetime) -> None:
    minute, day = now.replace(second=0, microsecond=0), now.replace(hour=0, minute=0, second=0, microsecond=0)
    organization_id = member.organization_id
    # The organization's first: whoever holds its rows counts the live calls alone.
    for subject, window, starts_at, most, which in (
        (organization_id, CallCount.Window.DAY, day, rules.organization_per_day, "organization_per_day"),
        (organization_id, CallCount.Window.MINUTE, minute, rules.organization_per_minute, "organization_per_minute"),
        (uuid5(NAMESPACE_URL, f"tel:{number}"), CallCount.Window.DAY, day, rules.number_per_day, "number_per_day"),
        (member.user_id, CallCount.Window.DAY, day, rules.member_per_day, "member_per_day"),
        (member.user_id, CallCount.Window.MINUTE, minute, rules.member_per_minute, "member_per_minute"),
    ):
        if not (most and _added(organization_id, subject, window, starts_at, most)):
            raise errors.LimitReached(details={"limit": which})
    if queries.live_calls() >= rules.concurrent:
        raise errors.LimitReached(details={"limit": "concurrent"})


def _added(organization_id: UUID, subject: UUID, window: str, starts_at: datetime, most: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [uuid7(), organization_id, subject, window, starts_at, most])
        counted = cursor.fetchone()
    if counted == (1,) and (subject, window) == (organization_id, CallCount.Window.DAY):
        # The first call of a day: nobody asks for the days before any more.
        CallCount.objects.filter(starts_at__lt=starts_at - timedelta(days=1)).delete()
    return counted is not None
