"""The parameters of Twilio's voice webhooks, by kind of request."""

import math

from .clock import rfc2822
from .state import API_VERSION, Call, Recording, World

# Calling codes of the countries that sample numbers come from; the longest prefix wins.
COUNTRIES = {"1": "US", "33": "FR", "34": "ES", "351": "PT", "39": "IT", "44": "GB", "49": "DE", "52": "MX", "54": "AR"}
COUNTRIES |= {"55": "BR", "56": "CL", "57": "CO", "61": "AU", "81": "JP", "91": "IN"}


def country_of(number: str) -> str:
    """The ISO code of an E.164 number's country, "" if it is none of the sample's."""
    return next((COUNTRIES[number[1:n]] for n in (4, 3, 2) if number[1:n] in COUNTRIES), "")


def call_params(world: World, call: Call, status: str | None = None) -> dict[str, str]:
    """What every request about a call carries; a child leg has its parent and, as captured, no geography."""
    params = {
        "CallSid": call.sid,
        "AccountSid": call.account.sid,
        "From": call.from_,
        "To": call.to,
        "Caller": call.from_,
        "Called": call.to,
        "CallStatus": status or call.status,
        "ApiVersion": API_VERSION,
        "Direction": call.direction,
    }
    if call.parent_sid:
        params["ParentCallSid"] = call.parent_sid
        parent = world.calls.get(call.parent_sid)
        if parent is not None and parent.direction == "inbound":
            params |= {"ForwardedFrom": parent.to, "CalledVia": parent.to}
    else:
        for side, number in (("From", call.from_), ("To", call.to), ("Caller", call.from_), ("Called", call.to)):
            params |= {f"{side}City": "", f"{side}State": "", f"{side}Zip": "", f"{side}Country": country_of(number)}
    if call.answered_by:
        params["AnsweredBy"] = call.answered_by
    return params


def status_params(world: World, call: Call, status: str) -> dict[str, str]:
    """A status callback; `CallDuration` is in seconds, `Duration` in begun minutes, both only at the end."""
    params = call_params(world, call, status)
    params |= {
        "CallbackSource": "call-progress-events",
        "Timestamp": rfc2822(world.clock.now()) or "",
        "SequenceNumber": str(call.callback.sent),
    }
    if call.over:
        params |= {"CallDuration": str(call.duration), "Duration": str(math.ceil(call.duration / 60))}
        if call.sip_code is not None:
            params["SipResponseCode"] = str(call.sip_code)
    return params


def recording_url(world: World, recording: Recording) -> str:
    """Where the media is, without extension, as in webhooks."""
    return f"{world.base_url}/{API_VERSION}/Accounts/{recording.account.sid}/Recordings/{recording.sid}"


def recording_params(world: World, recording: Recording) -> dict[str, str]:
    """A recording callback: about the parent call, without From, To or CallStatus."""
    params = {
        "AccountSid": recording.account.sid,
        "CallSid": recording.call_sid,
        "RecordingSid": recording.sid,
        "RecordingUrl": recording_url(world, recording),
        "RecordingStatus": recording.status,
        "RecordingChannels": str(recording.channels),
        "RecordingStartTime": rfc2822(recording.started_at) or "",
        "RecordingSource": recording.source,
        "RecordingTrack": recording.track,
        "ErrorCode": "0",
    }
    if recording.duration is not None:
        params["RecordingDuration"] = str(recording.duration)
    return params
