"""Sentences about a call for a person, in their language."""

from django.utils.translation import gettext as _

from calls.models import CallLog
from integrations.twilio import errors as twilio

_CAUSES = {error.code: error.message for error in (twilio.TwilioUnreachable, twilio.TwilioUnconfirmed)}


def error_sentence(call: CallLog) -> str:
    """Say why a call failed and what would mend it; empty when nothing did."""
    if call.error_code:
        return str(twilio.cause_of(call.error_code).sentence)
    if call.error_message == "unconfirmed":
        return _("Twilio never confirmed this call, so it was taken off. You can call again.")
    return str(_CAUSES.get(call.error_message, call.error_message))
