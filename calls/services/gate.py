"""The gate before a dial: the organization's rules, and the limits that a stolen session runs into."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from calls import errors, queries
from calls.models import CallCount, CallRules, MinuteRate
from calls.rules import gate, spend
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
# The rep's own phone, which each call rings first.
REFUSALS_OF_PHONE: dict[gate.No, type[AppError]] = {
    gate.No.COSTLY: errors.CostlyPhone,
    gate.No.COUNTRY: errors.PhoneCountryNotAllowed,
}
# Adds one, unless that would be too many: then no row comes back.
COUNT = """
INSERT INTO calls_callcount (id, organization_id, subject, "window", starts_at, count)
VALUES (%s, %s, %s, %s, %s, 1)
ON CONFLICT (organization_id, subject, "window", starts_at) DO UPDATE SET count = calls_callcount.count + 1
WHERE calls_callcount.count < %s
RETURNING count
"""


# Takes what a call is reserved, unless that is more than is left: then no row comes back.
RESERVE = """
INSERT INTO calls_dayspend (id, organization_id, day, amount, unit)
SELECT %(id)s, %(organization)s, %(day)s, %(amount)s, ''
WHERE %(most)s::numeric IS NULL OR %(amount)s <= %(most)s::numeric
ON CONFLICT (organization_id, day) DO UPDATE SET amount = calls_dayspend.amount + excluded.amount
WHERE %(most)s::numeric IS NULL OR calls_dayspend.amount + excluded.amount <= %(most)s::numeric
RETURNING amount
"""


def refuse(member: Membership, contact: Contact | None, number: str) -> dict[str, Any]:
    """Pass the rules and the limits, count the call and reserve its money: in the transaction that inserts its row.

    Returns the row's fields that say what is reserved, and of which day.
    Raises: OwnPhone, DoNotCall, CostlyNumber, CountryNotAllowed, OutsideCallingHours, PhoneDoNotCall, CostlyPhone,
    PhoneCountryNotAllowed, LimitReached.
    """
    if number == member.phone_number:
        raise errors.OwnPhone(field="to")
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
    _refuse_phone(member, rules)
    _count(member, number, rules, now)
    return _reserve(member, (member.phone_number, number), rules, now)


def refuse_test(member: Membership) -> dict[str, Any]:
    """The same for a test call, which rings the member's own phone, at any hour.

    Raises: PhoneDoNotCall, CostlyPhone, PhoneCountryNotAllowed, LimitReached.
    """
    rules, now = queries.rules(), timezone.now()
    _refuse_phone(member, rules)
    _count(member, member.phone_number, rules, now)
    return _reserve(member, (member.phone_number,), rules, now)


def _refuse_phone(member: Membership, rules: CallRules) -> None:
    """Hold the rep's own phone to the rules: else a stolen session enters a premium number or a victim's, and it rings.

    The organization's own country always is one that it calls its reps in, whatever countries it calls contacts in.
    """
    if is_not_to_be_called(member.phone_number, None):
        raise errors.PhoneDoNotCall
    countries = frozenset({*rules.allowed_countries, member.organization.region.upper()})
    said = described(member.phone_number, among=countries)
    no = gate.refusal_of_cost(
        said.country, said.is_costly, countries=countries, allows_costly=rules.allows_costly_numbers
    )
    if no is not None:
        raise REFUSALS_OF_PHONE[no]


def _count(member: Membership, number: str, rules: CallRules, now: datetime) -> None:
    """Count the call, and the ring of a phone that nobody has checked as one of that number: it may be anybody's.

    The last ring of such a number in a day is left to the test call, by which the rep checks the phone.
    """
    minute, day = now.replace(second=0, microsecond=0), now.replace(hour=0, minute=0, second=0, microsecond=0)
    organization_id = member.organization_id
    # The organization's first: whoever holds its rows counts alone, the live calls and numbers in either order.
    for subject, window, starts_at, most, which in (
        (organization_id, CallCount.Window.DAY, day, rules.organization_per_day, "organization_per_day"),
        (organization_id, CallCount.Window.MINUTE, minute, rules.organization_per_minute, "organization_per_minute"),
        (_of_number(number), CallCount.Window.DAY, day, rules.number_per_day, "number_per_day"),
        (member.user_id, CallCount.Window.DAY, day, rules.member_per_day, "member_per_day"),
        (member.user_id, CallCount.Window.MINUTE, minute, rules.member_per_minute, "member_per_minute"),
    ):
        if not (most and _added(organization_id, subject, window, starts_at, most)):
            raise errors.LimitReached(details={"limit": which})
    if member.phone_checked_at is None and member.phone_number != number:
        subject, most = _of_number(member.phone_number), rules.number_per_day - 1
        if not (most > 0 and _added(organization_id, subject, CallCount.Window.DAY, day, most)):
            raise errors.UncheckedPhoneLimitReached(details={"limit": "unchecked_phone_per_day"})
    if queries.live_calls() >= rules.concurrent:
        raise errors.LimitReached(details={"limit": "concurrent"})


def _of_number(number: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"tel:{number}")


def _added(organization_id: UUID, subject: UUID, window: str, starts_at: datetime, most: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [uuid7(), organization_id, subject, window, starts_at, most])
        counted = cursor.fetchone()
    if counted == (1,) and (subject, window) == (organization_id, CallCount.Window.DAY):
        # The first call of a day: nobody asks for the days before any more.
        CallCount.objects.filter(starts_at__lt=starts_at - timedelta(days=1)).delete()
        MinuteRate.objects.filter(day__lte=starts_at.date() - queries.RATES_COUNT).delete()
    return counted is not None


def _reserve(member: Membership, numbers: tuple[str, ...], rules: CallRules, now: datetime) -> dict[str, Any]:
    """Take what the call is presumed to cost from what is left of the day's money; a price comes hours later."""
    today, cap = now.astimezone(UTC).date(), rules.daily_spend_cap
    rate = queries.minute_rate(member.organization, numbers, today)
    amount = spend.reserved(rate)
    most = None if cap is None else cap - queries.overtime(today, now)
    row: dict[str, Any] = {
        "id": uuid7(),
        "organization": member.organization_id,
        "day": today,
        "amount": amount,
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(RESERVE, row)
        if cursor.fetchone() is None:
            raise errors.SpendLimitReached(details={"limit": "spend_per_day"})
    return {"minute_rate": rate, "charge": amount, "charged_on": today}
