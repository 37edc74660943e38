"""From Twilio's words to ours: each callback and each REST resource becomes news that `calls/rules` can fold.

Pure: no Django, no I/O. Names and values are those of twilio.com/docs/voice/twiml, …/voice/api/call-resource and
…/voice/api/recording; unknown parameters are ignored, an unknown status is kept as `unknown` and logged by the caller.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

AGENT, CONTACT = "agent", "contact"
UNKNOWN = "unknown"

# Twilio's word -> ours. They are the same on purpose; what is not in here is not a status.
STATUSES = {
    word: word
    for word in (
        "queued",
        "initiated",
        "ringing",
        "in-progress",
        "completed",
        "busy",
        "no-answer",
        "failed",
        "canceled",
    )
}
# <Dial>'s action says `answered` where a conference was joined.
DIAL_STATUSES = STATUSES | {"answered": "completed"}
RECORDING_STATUSES = {
    "in-progress": "in-progress",
    "paused": "in-progress",
    "processing": "in-progress",
    "stopped": "in-progress",
    "completed": "completed",
    "absent": "absent",
    "failed": "failed",
}
FINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
# What changes in a Call resource long after the call: its price is a fact of its own, and no news of the conversation.
LATE = ("price", "price_unit", "date_updated")
# As precise as Twilio's prices are, and more than any call costs.
CENT_PARTS, MOST_PRICE = Decimal("0.00001"), Decimal(1_000_000)


class Price(NamedTuple):
    """What a leg costs, not negative, and in which currency (ISO 4217)."""

    amount: Decimal
    unit: str

    def __str__(self) -> str:
        return f"{self.unit} {self.amount}"


@dataclass(frozen=True, slots=True)
class LegNews:
    """Something Twilio said about one leg. Times in UTC, durations in seconds; None where it said nothing."""

    role: str
    status: str | None = None
    call_sid: str | None = None
    parent_call_sid: str | None = None
    initiated_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: int | None = None
    sip_response_code: int | None = None
    error_code: int | None = None
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class InstructionsFetched:
    """The agent leg was answered and asked for its TwiML."""

    call_sid: str | None


@dataclass(frozen=True, slots=True)
class KeyNews:
    """The rep's answer to the key prompt: pressed a key, or let it run out."""

    pressed: bool


@dataclass(frozen=True, slots=True)
class DialNews:
    """How `<Dial>` ended. `agent_on_line`: the agent leg was still up, so the other side ended it."""

    status: str | None
    bridged: bool | None
    contact_sid: str | None
    duration_seconds: int | None
    agent_on_line: bool | None


@dataclass(frozen=True, slots=True)
class RecordingNews:
    """Something about one recording; `call_sid` is the agent leg's."""

    recording_sid: str
    status: str | None
    duration_seconds: int | None = None
    channels: int | None = None
    started_at: datetime | None = None
    error_code: int | None = None


@dataclass(frozen=True, slots=True)
class NoContactLeg:
    """Twilio was asked after the agent leg's end, and knows no child of it: nobody else was ever rung."""


@dataclass(frozen=True, slots=True)
class BothLegsAsked:
    """Twilio was asked about both legs after their end: no better word will come."""


@dataclass(frozen=True, slots=True)
class StartRefused:
    """`POST /Calls` was refused, or never reached Twilio: there is no call. `at` is our clock."""

    code: int | None
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """No callback and no answer to two questions: the call is taken for never made. `at` is our clock."""

    at: datetime


@dataclass(frozen=True, slots=True)
class HangupAsked:
    """A member pressed Cancel or Hang up. `at` is our clock."""

    at: datetime


@dataclass(frozen=True, slots=True)
class HangupInVain:
    """What a member asked for at `asked_at` ended nothing: the call was over already, or Twilio did not do it."""

    asked_at: datetime


@dataclass(frozen=True, slots=True)
class PhoneError:
    """Twilio's debugger says what went wrong with a leg (its Notifications)."""

    code: int


News = (
    LegNews
    | InstructionsFetched
    | KeyNews
    | DialNews
    | RecordingNews
    | NoContactLeg
    | BothLegsAsked
    | StartRefused
    | GivenUp
    | HangupAsked
    | HangupInVain
    | PhoneError
)


def timestamp(text: str | None) -> datetime | None:
    """Read Twilio's RFC 2822 date as UTC; None when it is missing or no date."""
    if not text:
        return None
    try:
        read = parsedate_to_datetime(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def whole(text: Any) -> int | None:
    """Read a count or a number of seconds; None when it is missing or not a natural number."""
    try:
        number = int(str(text))
    except ValueError:
        return None
    return number if 0 <= number < 2**31 else None


def price_of(amount: Any, unit: Any) -> Price | None:
    """Read a price: Twilio writes what it charges as a negative number, and null until it has worked it out.

    None also for what is no amount of money. twilio.com/docs/voice/api/call-resource#call-properties
    """
    if not (isinstance(unit, str) and re.fullmatch(r"[A-Z]{3}", unit)):
        return None
    try:
        cost = abs(Decimal(str(amount)))
        return Price(cost.quantize(CENT_PARTS), unit) if cost < MOST_PRICE else None
    except InvalidOperation:
        return None


def storable(text: str) -> str:
    """`text` as PostgreSQL's JSON can hold it: with neither NUL nor half a character (a lone surrogate)."""
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


def texts(params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters with one value each: of one that came twice, the last, as a form parser has it."""
    return {name: value if isinstance(value, str) else value[-1] for name, value in params.items()}


def sid_of(kind: str, text: object) -> str | None:
    """Return a SID of `kind` (CA, RE) as it is, or None for anything else: it goes into rows and addresses.

    Two letters and 32 hexadecimal digits (twilio.com/docs/glossary/what-is-a-sid).
    """
    return text if isinstance(text, str) and re.fullmatch(rf"{kind}[0-9a-f]{{32}}", text) else None


def is_e164(text: str) -> bool:
    """Whether Twilio's text for a number is a plain one: a plus sign and at most 15 digits (ITU-T E.164)."""
    return text.startswith("+") and text[1:].isascii() and text[1:].isdecimal() and len(text) <= 16


def status_of(word: str | None, known: Mapping[str, str] = STATUSES) -> str | None:
    """Translate a status; a word that Twilio has never documented becomes `unknown`."""
    return known.get(word, UNKNOWN) if word else None


def leg_callback(role: str, params: Mapping[str, Any]) -> list[News]:
    """Read a status callback of one leg. `Timestamp` is the time of the event that its status names."""
    params = texts(params)
    status = status_of(params.get("CallStatus"))
    at = timestamp(params.get("Timestamp"))
    final = status in FINAL
    return [
        LegNews(
            role=role,
            status=status,
            call_sid=sid_of("CA", params.get("CallSid")),
            parent_call_sid=sid_of("CA", params.get("ParentCallSid")),
            initiated_at=at if status in ("queued", "initiated") else None,
            ringing_at=at if status == "ringing" else None,
            answered_at=at if status == "in-progress" else None,
            ended_at=at if final else None,
            # `Duration` is in minutes; `CallDuration` in seconds.
            duration_seconds=whole(params.get("CallDuration")) if final else None,
            sip_response_code=whole(params.get("SipResponseCode")) if final else None,
            error_code=whole(params.get("ErrorCode")),
        )
    ]


def answer_callback(params: Mapping[str, Any]) -> list[News]:
    """Read the request for the agent leg's TwiML: it carries a status, but no time of its own.

    With an `ErrorCode` it is the fallback address that is asked, as our instructions did not arrive or made no sense.
    """
    params = texts(params)
    leg = LegNews(role=AGENT, status=status_of(params.get("CallStatus")), call_sid=sid_of("CA", params.get("CallSid")))
    trouble = whole(params.get("ErrorCode"))
    return [leg, PhoneError(trouble) if trouble else InstructionsFetched(sid_of("CA", params.get("CallSid")))]


def bridge_callback(params: Mapping[str, Any]) -> list[News]:
    """Read the request for TwiML that dials at once: where no key is asked for, answering is the yes."""
    return [*answer_callback(params), KeyNews(pressed=True)]


def key_callback(params: Mapping[str, Any]) -> list[News]:
    """Read `<Gather>`'s action: any digit is a yes, none is a no."""
    params = texts(params)
    return [KeyNews(pressed=bool(params.get("Digits")))]


def dial_callback(params: Mapping[str, Any]) -> list[News]:
    """Read `<Dial>`'s action. Its `CallStatus` is the agent leg's: over when the rep hung up first."""
    params = texts(params)
    bridged = params.get("DialBridged")
    parent = status_of(params.get("CallStatus"))
    news: list[News] = [
        DialNews(
            status=status_of(params.get("DialCallStatus"), DIAL_STATUSES),
            bridged=bridged.lower() == "true" if bridged else None,
            contact_sid=sid_of("CA", params.get("DialCallSid")),
            duration_seconds=whole(params.get("DialCallDuration")),
            agent_on_line=None if parent in (None, UNKNOWN) else parent == "in-progress",
        )
    ]
    if recording_sid := sid_of("RE", params.get("RecordingSid")):
        news.append(
            RecordingNews(
                recording_sid=recording_sid,
                status=None,
                duration_seconds=whole(params.get("RecordingDuration")),
            )
        )
    return news


def recording_callback(params: Mapping[str, Any]) -> list[News]:
    """Read a recording's status callback. Its address is never read: media is asked for by SID."""
    params = texts(params)
    sid = sid_of("RE", params.get("RecordingSid"))
    if not sid:
        return []
    return [
        RecordingNews(
            recording_sid=sid,
            status=status_of(params.get("RecordingStatus"), RECORDING_STATUSES),
            duration_seconds=whole(params.get("RecordingDuration")),
            channels=whole(params.get("RecordingChannels")),
            started_at=timestamp(params.get("RecordingStartTime")),
            error_code=whole(params.get("ErrorCode")) or None,
        )
    ]


def leg_resource(role: str, call: Mapping[str, Any]) -> list[News]:
    """Read a Call resource. `start_time` is when it was answered, so only an answered leg's is taken for that."""
    status = status_of(call.get("status"))
    answered = status in ("in-progress", "completed")
    final = status in FINAL
    return [
        LegNews(
            role=role,
            status=status,
            call_sid=call.get("sid"),
            parent_call_sid=call.get("parent_call_sid"),
            initiated_at=timestamp(call.get("date_created")),
            answered_at=timestamp(call.get("start_time")) if answered else None,
            ended_at=timestamp(call.get("end_time")) if final else None,
            duration_seconds=whole(call.get("duration")) if final else None,
        )
    ]


def leg_price(role: str, said: Mapping[str, Any]) -> list[News]:
    """Read the price of a Call resource."""
    return [LegNews(role=role, price=price_of(said.get("price"), said.get("price_unit")))]


def recording_resource(recording: Mapping[str, Any]) -> list[News]:
    """Read a Recording resource."""
    return [
        RecordingNews(
            recording_sid=recording["sid"],
            status=status_of(recording.get("status"), RECORDING_STATUSES),
            duration_seconds=whole(recording.get("duration")),
            channels=whole(recording.get("channels")),
            started_at=timestamp(recording.get("start_time")),
            error_code=whole(recording.get("error_code")) or None,
        )
    ]


def notification_resource(notification: Mapping[str, Any]) -> list[News]:
    """Read a Notification of a call: `log` 0 is an error, 1 a warning."""
    code = whole(notification.get("error_code"))
    return [PhoneError(code)] if code and str(notification.get("log")) == "0" else []
