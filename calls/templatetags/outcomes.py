"""The outcomes that a rep chooses from, as the wrap-up shows them."""

from django import template
from django.utils.translation import gettext as _

from calls.models import NOT_CONNECTED, CallLog, Disposition
from calls.services.wrap_up import suggested

register = template.Library()


@register.simple_tag
def outcomes(call: CallLog) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return both groups with their outcomes: value, name, and whether it is chosen, or told by the network."""
    chosen = call.disposition or suggested(call)

    def group(title: str, members: list[Disposition]) -> tuple[str, list[tuple[str, str, bool]]]:
        return title, [(one.value, str(one.label), one.value == chosen) for one in members]

    connected = [one for one in Disposition if one not in NOT_CONNECTED]
    return [group(_("Not connected"), list(NOT_CONNECTED)), group(_("Connected"), connected)]
