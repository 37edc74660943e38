"""Sentences about a call for a person, in their language."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calls.models import CallLog, CallStatus, JournalSource, LegStatus, Party, RecordingStatus, Stage
from crm.templatetags.show import talk
from integrations.twilio import errors as twilio

_CAUSES = {cause.code: cause.sentence for cause in (*twilio.CAUSES.values(), twilio.OTHER)} | {
    error.code: error.message for error in (twilio.TwilioUnreachable, twilio.TwilioUnconfirmed)
}

# What a journal entry is, by source and kind.
ENTRIES: dict[tuple[str, str], Any] = {
    (JournalSource.CALLBACK, "answer"): gettext_lazy("Rep's phone asked for instructions"),
    (JournalSource.CALLBACK, "bridge"): gettext_lazy("Rep's phone asked to be connected"),
    (JournalSource.CALLBACK, "fallback"): gettext_lazy("Rep's phone asked the fallback address"),
    (JournalSource.CALLBACK, "key"): gettext_lazy("Answer to the key prompt"),
    (JournalSource.CALLBACK, "dial"): gettext_lazy("Dial ended"),
    (JournalSource.CALLBACK, "agent"): gettext_lazy("Rep's phone: status callback"),
    (JournalSource.CALLBACK, "contact"): gettext_lazy("Contact's phone: status callback"),
    (JournalSource.CALLBACK, "recording"): gettext_lazy("Recording: status callback"),
    (JournalSource.POLL, "accepted"): gettext_lazy("Twilio accepted the call"),
    (JournalSource.POLL, "agent leg"): gettext_lazy("Asked about the rep's phone"),
    (JournalSource.POLL, "contact leg"): gettext_lazy("Asked about the contact's phone"),
    (JournalSource.POLL, "agent price"): gettext_lazy("Asked for the price of the rep's phone"),
    (JournalSource.POLL, "contact price"): gettext_lazy("Asked for the price of the contact's phone"),
    (JournalSource.POLL, "no contact leg"): gettext_lazy("Asked about the contact's phone: it was never rung"),
    (JournalSource.POLL, "both legs asked"): gettext_lazy("Asked about both phones after their end"),
    (JournalSource.POLL, "nothing to add"): gettext_lazy("Asked Twilio's debugger: it has nothing to add"),
    (JournalSource.POLL, "recording"): gettext_lazy("Asked about the recording"),
    (JournalSource.POLL, "notification"): gettext_lazy("Asked Twilio's debugger"),
    (JournalSource.OURS, "refused"): gettext_lazy("The call could not be started"),
    (JournalSource.OURS, "unconfirmed"): gettext_lazy("Twilio's answer to the start did not come"),
    (JournalSource.OURS, "not found"): gettext_lazy("Twilio does not know this call"),
    (JournalSource.OURS, "found"): gettext_lazy("Twilio knows this call after all"),
    (JournalSource.OURS, "given up"): gettext_lazy("The call was given up"),
    (JournalSource.OURS, "hang-up"): gettext_lazy("Somebody pressed Cancel or Hang up"),
    (JournalSource.OURS, "presumed over"): gettext_lazy("Twilio did not say how it ended; the agent leg had ended"),
    (JournalSource.OURS, "hang-up in vain"): gettext_lazy("The hang-up ended nothing"),
    (JournalSource.AUDIT, "lost"): gettext_lazy("A callback that never reached us"),
    (JournalSource.AUDIT, "not at Twilio"): gettext_lazy("Twilio does not know this call"),
}
# What a field of the call is called: the row's, and other facts; those of legs and recordings by their last part.
FIELDS: dict[str, Any] = {
    "status": gettext_lazy("Status"),
    "stage": gettext_lazy("Stage"),
    "started_at": gettext_lazy("Started"),
    "answered_at": gettext_lazy("Contact answered"),
    "ended_at": gettext_lazy("Ended"),
    "duration_seconds": gettext_lazy("Talk time"),
    "unanswered_by": gettext_lazy("Did not answer"),
    "ended_by": gettext_lazy("Ended by"),
    "error_code": gettext_lazy("Error code"),
    "error_message": gettext_lazy("Reason"),
    "agent": gettext_lazy("Rep's phone"),
    "contact": gettext_lazy("Contact's phone"),
    "recordings": gettext_lazy("Recording"),
    "instructed": gettext_lazy("Rep's phone has its instructions"),
    "key_pressed": gettext_lazy("Key pressed"),
    "dial_status": gettext_lazy("Result of the dial"),
    "dial_bridged": gettext_lazy("Both phones were connected"),
    "dial_seconds": gettext_lazy("Duration of the dial"),
    "contact_left_first": gettext_lazy("Rep still on the line at the end"),
    "no_contact_leg": gettext_lazy("Contact's phone was never rung"),
    "both_legs_asked": gettext_lazy("Twilio has nothing to add"),
    "phone_error": gettext_lazy("Error in Twilio's debugger"),
    "refused": gettext_lazy("Start refused"),
    "given_up_at": gettext_lazy("Given up"),
    "hangup_asked_at": gettext_lazy("Hang-up asked for"),
    "hangup_in_vain": gettext_lazy("Ended nothing: hang-up of"),
}
PARTS: dict[str, Any] = {
    "initiated_at": gettext_lazy("Started"),
    "started_at": gettext_lazy("Started"),
    "ringing_at": gettext_lazy("Rang"),
    "answered_at": gettext_lazy("Answered"),
    "ended_at": gettext_lazy("Ended"),
    "duration_seconds": gettext_lazy("Duration"),
    "channels": gettext_lazy("Channels"),
    "sip_response_code": gettext_lazy("SIP code"),
    "error_code": gettext_lazy("Error code"),
    "call_sid": gettext_lazy("Call SID"),
    "parent_call_sid": gettext_lazy("Parent's SID"),
    "price": gettext_lazy("Price"),
}
# Where a callback's or a resource's parameters say what became of what it tells about, the most telling first.
STATUS_PARAMETERS = (
    ("DialCallStatus", LegStatus),
    ("RecordingStatus", RecordingStatus),
    ("CallStatus", LegStatus),
    ("status", LegStatus),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A value for a person: a text, or a time that the page shows in the reader's own zone."""

    text: str = ""
    at: datetime | None = None


def error_sentence(call: CallLog) -> str:
    """Say why a call failed and what would mend it; empty when nothing did."""
    if call.error_code:
        return str(twilio.cause_of(call.error_code).sentence)
    if call.error_message == "unconfirmed":
        return _("Twilio never confirmed this call, so it was taken off. You can call again.")
    return str(_CAUSES.get(call.error_message, call.error_message))


def stuck_sentences(contact: str, why: str, *, asks_in: float, is_last_question: bool) -> str:
    """Say why a call holds its rep up, and when Twilio is asked again: `asks_in` seconds, told in coarse steps.

    `why`: `unconfirmed` (did Twilio make it?), `unwanted` (the same, and somebody pressed Cancel), `ending` (is it
    over?), `silent`. With `is_last_question` the rep is free if Twilio does not know the call this time either.
    """
    said = {"contact": contact}
    if why == "unwanted":
        reason = _(
            "You canceled your last call to %(contact)s, but Twilio has not confirmed yet whether it was made. "
            "Should your phone still ring, that call is hung up at once."
        )
    elif why == "unconfirmed":
        reason = _("Twilio has not confirmed your last call to %(contact)s.")
    elif why == "ending":
        reason = _("Twilio has not confirmed the end of your last call to %(contact)s.")
    else:
        reason = _("Twilio has told nothing new of your last call to %(contact)s for over a minute.")
    return " ".join([reason % said, _asks_again(asks_in), *([_last_question()] if is_last_question else [])])


def _asks_again(seconds: float) -> str:
    # In steps, so that a page which is told only what has changed is not told every second.
    if seconds > 60:
        return _("We ask again in about %(minutes)s min.") % {"minutes": ceil(seconds / 60)}
    for step in (10, 20, 30, 60):
        if 3 < seconds <= step:
            return _("We ask again in about %(seconds)s s.") % {"seconds": step}
    return _("We are asking again now.")


def _last_question() -> str:
    return _("If Twilio does not know the call then either, you can call again.")


def entry_title(source: str, kind: str) -> str:
    """Say what a journal entry is; one of a kind without a name of its own goes by its kind.

    The audit's `lost agent` is a callback of the kind `agent` that only Twilio's own record tells of.
    """
    lost = kind.removeprefix("lost ")
    if source == JournalSource.AUDIT and lost != kind:
        return _("Never reached us: %(callback)s") % {"callback": entry_title(JournalSource.CALLBACK, lost)}
    return str(ENTRIES.get((source, kind)) or kind.capitalize())


def entry_status(said: Mapping[str, Any]) -> str:
    """Translate the status that an entry's parameters name; a word that nobody has documented stays as it is."""
    for name, choices in STATUS_PARAMETERS:
        word = said.get(name)
        if word and isinstance(word, str):
            return str(dict(choices.choices).get(word, word))
    return ""


def field_label(field: str) -> str:
    """Name a field as `calls.rules.explain` has it: `status`, `agent.answered_at`, `recordings.RE….status`."""
    whose, _dot, part = field.partition(".")
    part = part.rpartition(".")[2]
    label = str(FIELDS.get(whose, whose))
    return f"{label} · {PARTS[part]}" if part in PARTS else label


def field_value(field: str, value: Any) -> Shown:
    """Show a field's value for a person."""
    whose, part = field.partition(".")[0], field.rpartition(".")[2]
    if isinstance(value, datetime):
        return Shown(at=value)
    if value in (None, ""):
        return Shown("–")
    if isinstance(value, bool):
        return Shown(_("Yes") if value else _("No"))
    if whose == "refused":
        return Shown(_cause(value[0], value[1]))
    if field == "error_message":
        return Shown(_cause(None, value))
    if part.endswith("_seconds"):
        return Shown(talk(value))
    choices: Any = {"stage": Stage, "unanswered_by": Party, "ended_by": Party, "dial_status": LegStatus}.get(field)
    if part == "status":
        choices = {"status": CallStatus, "recordings": RecordingStatus}.get(whose, LegStatus)
    words = dict(LegStatus.choices) | dict(choices.choices) if choices else {}
    return Shown(str(words.get(value, value)))


def parameter_value(value: Any) -> Shown:
    """Show a parameter as it came; what is more than a word, as JSON."""
    if value in (None, "", [], {}):
        return Shown("–")
    return Shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cause(code: int | None, message: str) -> str:
    if code:
        return str(twilio.cause_of(code).sentence)
    return _("Twilio never confirmed this call.") if message == "unconfirmed" else str(_CAUSES.get(message, message))
