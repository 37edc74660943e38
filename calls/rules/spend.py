"""What a call costs: Twilio's price once it is known, and until then what it is taken to cost. Pure.

Amounts are in the account's currency, which we learn with the first price.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from calls.rules.known import Known, Leg
from calls.rules.outcome import COMPLETED, IN_PROGRESS, Outcome, contact_status, was_dialled
from integrations.twilio.words import CENT_PARTS, Price

# A call takes this much talk of the day's money when it starts: what lasts longer is counted while it lasts.
RESERVED_MINUTES = 5
RESERVED = timedelta(minutes=RESERVED_MINUTES)
# A minute of a leg to where no leg has had a price for a week. Twilio's own list says some cents for most countries'
# telephones, up to one for those that fraud is fond of, and several for premium numbers and satellites.
AT_HOME, ABROAD, COSTLY = Decimal("0.10"), Decimal("0.50"), Decimal("3.00")


def presumed_rate(*, is_abroad: bool, is_costly: bool) -> Decimal:
    """What a minute of a leg is taken to cost before there is a price to go by."""
    return COSTLY if is_costly else ABROAD if is_abroad else AT_HOME


def reserved(minute_rate: Decimal) -> Decimal:
    """What a call takes of its day's money when it starts."""
    return minute_rate * RESERVED_MINUTES


def overtime(charge: Decimal, begun_at: datetime, now: datetime) -> Decimal:
    """What a live call costs beyond what it has reserved."""
    over = now - begun_at - RESERVED
    return (charge * Decimal(over / RESERVED)).quantize(CENT_PARTS) if over > timedelta(0) else Decimal(0)


def unpriced(known: Known) -> tuple[bool, bool]:
    """Which legs (agent, contact) were answered and are over, and have no price yet. Others cost nothing.

    Of a call that was given up also those of whose end nobody told: they may have been answered.
    """
    agent, contact = known.agent, contact_status(known)
    untold = is_untold(known) and agent.call_sid is not None
    contact_untold = untold and was_dialled(known) and not known.contact.is_over
    return (
        (agent.status == COMPLETED or untold) and agent.price is None,
        (contact == COMPLETED or contact_untold) and known.contact.price is None,
    )


def is_untold(known: Known) -> bool:
    """Whether the call was given up before anybody told of its end."""
    return known.given_up_at is not None and not known.agent.is_over


def price(known: Known, over: Outcome) -> Price | None:
    """What the whole call costs; None while that is not known, and where Twilio has named no price.

    Nor is there a sum of two currencies.
    """
    prices = [leg.price for leg in (known.agent, known.contact) if leg.price is not None]
    if not over.is_final or any(unpriced(known)) or len({one.unit for one in prices}) != 1:
        return None
    return Price(sum((one.amount for one in prices), Decimal(0)), prices[0].unit)


def charge(known: Known, over: Outcome, minute_rate: Decimal) -> Decimal:
    """What a call counts for in the money of its day: its price, or what it is taken to cost until that is known.

    While it lives, what it has reserved; then both legs' rate for the minutes of the longer one, which are those until
    it was given up where nobody told of its end; nothing if nobody answered, or if it was never made.
    """
    found = price(known, over)
    return found.amount if found is not None else minute_rate * _minutes(known, over)


def per_minute(leg: Leg) -> Decimal | None:
    """What a minute of this leg cost; None if that is not known, or if it was free: that says nothing of the next."""
    if leg.price is None or not leg.price.amount:
        return None
    return (leg.price.amount / _leg_minutes(leg)).quantize(CENT_PARTS)


def _minutes(known: Known, over: Outcome) -> int:
    legs = (known.agent, known.contact)
    answered = [leg for leg in legs if leg.answered_at or leg.status in (IN_PROGRESS, COMPLETED)]
    if not over.is_final:
        return RESERVED_MINUTES
    until = known.given_up_at if is_untold(known) else None
    longest = max((_leg_minutes(leg, until) for leg in answered), default=0)
    if answered and not known.agent.is_over:  # it lasts longer than the contact's, nobody knows how much
        return max(RESERVED_MINUTES, longest)
    return longest


def _leg_minutes(leg: Leg, until: datetime | None = None) -> int:
    """The minutes that Twilio charges for: each that has begun; without an end, those `until` then."""
    seconds: float = leg.duration_seconds or 0
    ended_at = leg.ended_at or until
    if not seconds and leg.answered_at and ended_at:
        seconds = (ended_at - leg.answered_at).total_seconds()
    return max(1, -int(-seconds // 60))
