"""What we tell Twilio to do with a leg: TwiML made from the call's row, never from the request's address."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from calls import addresses, journal, queries
from calls.models import CallLog, JournalSource
from calls.rules import known as rules
from crm import tenancy
from crm.numbers import for_display
from integrations.twilio import twiml

# A leg that asks for its instructions this long after the click is nobody's any more.
TOO_OLD = timedelta(minutes=15)
ANSWERS = frozenset({"answer", "bridge", "key", "dial", "fallback"})


def answer(organization_id: UUID, call_id: UUID, kind: str, params: Mapping[str, Any]) -> str:
    """Return the TwiML for one of Twilio's questions; a call that is over, unwanted or too old is hung up."""
    with tenancy.inside(organization_id):
        call = CallLog.objects.select_related("contact", "organization").get(pk=call_id)
        unwanted = _is_unwanted(call)
    with translation.override(call.language):
        if kind == "dial" and not call.is_test:
            return _after_dial(call, params)
        if kind == "fallback":
            return twiml.say_and_hang_up(
                _("Sorry, something went wrong. The call was not made."), language=call.language
            )
        if unwanted or not call.is_live or timezone.now() - call.created_at > TOO_OLD:
            return twiml.hang_up()
        if call.is_test:
            return _of_test(call, kind, params)
        if kind == "answer":
            return twiml.press_a_key(
                sentence=_("Press any key to call %(name)s.") % {"name": _name(call)},
                language=call.language,
                key_url=addresses.callback_url(organization_id, call_id, "key"),
            )
        if kind == "key" and not params.get("Digits"):
            return twiml.say_and_hang_up(_("No key was pressed. Goodbye."), language=call.language)
        return twiml.dial(
            to=call.to_number,
            caller_id=call.from_number,
            ring_seconds=call.rings_for_seconds,
            record=call.is_recorded,
            action_url=addresses.callback_url(organization_id, call_id, "dial"),
            status_url=addresses.callback_url(organization_id, call_id, "contact"),
            recording_url=addresses.callback_url(organization_id, call_id, "recording"),
        )


def _of_test(call: CallLog, kind: str, params: Mapping[str, Any]) -> str:
    """Ask for a key, even where the organization asks for none: a voicemail that answers is no phone checked."""
    if kind == "dial":  # nobody ever was
        return twiml.hang_up()
    if kind != "key":
        return twiml.press_a_key(
            sentence=_("This is a test call of %(organization)s. Press any key.") % {"organization": call.organization},
            language=call.language,
            key_url=addresses.callback_url(call.organization_id, call.pk, "key"),
        )
    sentence = _("Thank you. Your phone works.") if params.get("Digits") else _("No key was pressed. Goodbye.")
    return twiml.say_and_hang_up(sentence, language=call.language)


def _is_unwanted(call: CallLog) -> bool:
    """Whether somebody wished the call's end, or it was given up.

    A wish that Twilio refused is granted now, and noted as granted: the answer to the leg's question ends it.
    """
    known = rules.fold(journal.news_of(queries.journal(call).filter(source=JournalSource.OURS)))
    if known.hangup_asked_at and not known.is_hung_up:
        journal.record_ours(call, "hang-up")
    return bool(known.hangup_asked_at or known.given_up_at)


def _name(call: CallLog) -> str:
    return call.contact.name if call.contact else for_display(call.to_number)


def _after_dial(call: CallLog, params: Mapping[str, Any]) -> str:
    """Tell a rep who is still there why nobody is at the other end."""
    if params.get("CallStatus") != "in-progress":
        return twiml.hang_up()
    sentences = {
        "busy": _("%(name)s is busy."),
        "no-answer": _("%(name)s did not answer."),
        "failed": _("%(name)s could not be reached."),
        "canceled": _("%(name)s did not answer."),
    }
    sentence = sentences.get(str(params.get("DialCallStatus")))
    if sentence is None:
        return twiml.hang_up()
    return twiml.say_and_hang_up(sentence % {"name": _name(call)}, language=call.language)
