"""Replace what a call has reserved of its day's money by what it costs, as that becomes known."""

from django.db.models import F

from calls import queries
from calls.models import CallLog, DaySpend, MinuteRate
from calls.rules import spend
from calls.rules.known import Known
from calls.rules.outcome import Outcome


def settle(call: CallLog, known: Known, over: Outcome) -> None:
    """Set what the call costs on its row, which the caller has locked and saves; move its day's money by the change.

    The row's own charge says what the day holds of it, so folding the same facts again moves nothing. The day's row
    comes before the call's is written: a start holds the first while it waits for whoever has changed the second.
    """
    price = spend.price(known, over)
    is_new = price is not None and price != (call.price, call.price_unit)
    call.price, call.price_unit = price if price is not None else (None, None)
    if call.charged_on is None or call.charge is None or call.minute_rate is None:  # no start of ours took any
        return
    charge = spend.charge(known, over, call.minute_rate)
    if charge != call.charge or is_new:
        unit = {"unit": price.unit} if price is not None else {}
        DaySpend.objects.filter(day=call.charged_on).update(amount=F("amount") + (charge - call.charge), **unit)
        call.charge = charge
    if is_new:
        _learn(call, known)


def _learn(call: CallLog, known: Known) -> None:
    """Remember what a minute of each leg cost: the most of a day, in whatever order prices come."""
    for number, leg in ((call.agent_number, known.agent), (call.to_number, known.contact)):
        amount = spend.per_minute(leg)
        if amount is None:
            continue
        country, is_costly = queries.destination(number)
        where = {"country": country, "is_costly": is_costly, "day": call.charged_on}
        rate = MinuteRate(organization_id=call.organization_id, amount=amount, **where)
        MinuteRate.objects.bulk_create([rate], ignore_conflicts=True)
        MinuteRate.objects.filter(**where, amount__lt=amount).update(amount=amount)
