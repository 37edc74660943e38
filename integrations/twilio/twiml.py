"""The TwiML documents that we answer (twilio.com/docs/voice/twiml)."""

from typing import Any

from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from integrations.twilio.client import CONNECTION_OVERRIDES, LEG_EVENTS

GATHER_SECONDS = 10
VOICES = {"en": "en-US", "pt-br": "pt-BR"}


def press_a_key(*, sentence: str, language: str, key_url: str) -> str:
    """Say who is about to be called and wait for a key; `key_url` hears of it, also when none was pressed."""
    response = VoiceResponse()
    gather = Gather(
        num_digits=1,
        timeout=GATHER_SECONDS,
        action=key_url + CONNECTION_OVERRIDES,
        method="POST",
        action_on_empty_result=True,
    )
    gather.say(sentence, language=VOICES.get(language, "en-US"))
    response.append(gather)
    return str(response)


def dial(
    *,
    to: str,
    caller_id: str,
    ring_seconds: int,
    record: bool,
    action_url: str,
    status_url: str,
    recording_url: str,
) -> str:
    """Ring the contact and bridge; record both sides as two channels from the contact's answer."""
    response = VoiceResponse()
    options: dict[str, Any] = {}
    if record:
        options = {
            "record": "record-from-answer-dual",
            "recording_status_callback": recording_url + CONNECTION_OVERRIDES,
            "recording_status_callback_method": "POST",
            "recording_status_callback_event": "in-progress completed absent",
        }
    bridge = Dial(
        caller_id=caller_id,
        timeout=ring_seconds,
        action=action_url + CONNECTION_OVERRIDES,
        method="POST",
        **options,
    )
    bridge.number(
        to,
        status_callback=status_url + CONNECTION_OVERRIDES,
        status_callback_method="POST",
        status_callback_event=" ".join(LEG_EVENTS),
    )
    response.append(bridge)
    return str(response)


def say_and_hang_up(sentence: str, *, language: str) -> str:
    """Tell the rep one sentence and end the call."""
    response = VoiceResponse()
    response.say(sentence, language=VOICES.get(language, "en-US"))
    response.hangup()
    return str(response)


def hang_up() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)
