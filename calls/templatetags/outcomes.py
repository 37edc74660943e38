"""The outcomes that a rep chooses from, as the wrap-up shows them."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.utils.translation import gettext as _

from calls import errors
from calls.models import NOT_CONNECTED, CallLog, CallStatus, Disposition
from calls.services.wrap_up import suggested
from crm import access, queries
from crm.follow_ups import end_of_today, in_days
from crm.models import FollowUp, Membership, Opportunity

register = template.Library()


@register.simple_tag
def outcomes(call: CallLog) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return both groups with their outcomes: value, name, and whether it is chosen, or told by the network."""
    chosen = call.disposition or suggested(call)

    def group(title: str, members: list[Disposition]) -> tuple[str, list[tuple[str, str, bool]]]:
        return title, [(one.value, str(one.label), one.value == chosen) for one in members]

    connected = [one for one in Disposition if one not in NOT_CONNECTED]
    return [group(_("Not connected"), list(NOT_CONNECTED)), group(_("Connected"), connected)]


@dataclass(frozen=True, slots=True)
class After:
    """What a wrap-up offers beside the outcome: the contact's opportunities, what is due, what was made."""

    opportunities: list[Opportunity]
    due: list[FollowUp]
    follow_up: FollowUp | None
    talked: bool
    tomorrow: Any
    in_three_days: Any


@register.simple_tag
def after_call(call: CallLog, member: Membership) -> After | None:
    """Return what the wrap-up of a call with a contact offers; None for nobody's number."""
    if call.contact_id is None:
        return None
    made = access.follow_up_after(member, call.pk)
    due = queries.open_follow_ups(member, due_before=end_of_today()).filter(contact=call.contact_id)
    return After(
        opportunities=list(queries.opportunities(member, contact_id=call.contact_id)[:50]),
        due=[one for one in due[:5] if one.call_id != call.pk],
        follow_up=made if made is not None and made.done_at is None else None,
        talked=call.status == CallStatus.COMPLETED,
        tomorrow=in_days(1),
        in_three_days=in_days(3),
    )


@register.filter
def reason(code: str) -> str:
    """Say why a contact could not be called, from the code that the run has kept."""
    return str(errors.sentence_of(code))
