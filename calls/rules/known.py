"""What is known of a call: a join-semilattice, so that facts commute and repeat harmlessly.

Every piece of news is lifted to a `Known`, and two are joined field by field with functions that are commutative,
associative and idempotent. The same facts in any order, any number of times, are therefore the same `Known`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import reduce
from typing import Any

from integrations.twilio import words
from integrations.twilio.words import News

# A later word wins over an earlier one, whatever came first. Among the final ones Twilio says only one for a leg;
# their order matters only where <Dial>'s action and the leg's callback would disagree.
STATUS_ORDER = (
    words.UNKNOWN,
    "queued",
    "initiated",
    "ringing",
    "in-progress",
    "canceled",
    "no-answer",
    "failed",
    "busy",
    "completed",
)
RECORDING_ORDER = (words.UNKNOWN, "in-progress", "failed", "absent", "completed")


def least(a: Any, b: Any) -> Any:
    """The smaller of two; None knows nothing."""
    return b if a is None else a if b is None else min(a, b)


def greatest(a: Any, b: Any) -> Any:
    """The greater of two; None knows nothing."""
    return b if a is None else a if b is None else max(a, b)


def furthest(order: tuple[str, ...]) -> Callable[[str | None, str | None], str | None]:
    """A join that keeps the word that stands later in `order`."""

    def join(a: str | None, b: str | None) -> str | None:
        return b if a is None else a if b is None else max(a, b, key=order.index)

    return join


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg as far as it is known; times in UTC, durations in seconds."""

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
    price: words.Price | None = None

    @property
    def is_over(self) -> bool:
        """Twilio has said its last word on this leg."""
        return self.status in words.FINAL


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording as far as it is known."""

    status: str | None = None
    duration_seconds: int | None = None
    channels: int | None = None
    started_at: datetime | None = None
    error_code: int | None = None


LEG_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "status": furthest(STATUS_ORDER),
    "call_sid": least,
    "parent_call_sid": least,
    "initiated_at": least,
    "ringing_at": least,
    "answered_at": least,
    "ended_at": least,
    "duration_seconds": greatest,
    "sip_response_code": greatest,
    "error_code": greatest,
    "price": greatest,
}
RECORDING_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "status": furthest(RECORDING_ORDER),
    "duration_seconds": greatest,
    "channels": greatest,
    "started_at": least,
    "error_code": greatest,
}


def join_leg(a: Leg, b: Leg) -> Leg:
    """Join what two facts say of one leg."""
    return Leg(**{name: join(getattr(a, name), getattr(b, name)) for name, join in LEG_JOINS.items()})


def join_recordings(a: dict[str, Recording], b: dict[str, Recording]) -> dict[str, Recording]:
    """Join what two facts say of recordings, by their SID."""
    joined = dict(a)
    for sid, found in b.items():
        other = joined.get(sid, Recording())
        joined[sid] = Recording(
            **{name: join(getattr(other, name), getattr(found, name)) for name, join in RECORDING_JOINS.items()}
        )
    return joined


@dataclass(frozen=True, slots=True)
class Known:
    """Everything known of a call. None, and an empty leg, say nothing; no field ever loses what it says.

    `is_test` is the row's own and no fact's: such a call rings the rep's phone, and there is no contact.
    """

    is_test: bool | None = None
    agent: Leg = Leg()
    contact: Leg = Leg()
    instructed: bool | None = None  # the agent leg fetched its TwiML
    key_pressed: bool | None = None
    dial_status: str | None = None
    dial_bridged: bool | None = None
    dial_seconds: int | None = None
    contact_left_first: bool | None = None  # the agent leg was still up when <Dial> ended
    no_contact_leg: bool | None = None
    both_legs_asked: bool | None = None
    phone_error: int | None = None
    refused: tuple[int, str, datetime] | None = None
    given_up_at: datetime | None = None
    hangup_asked_at: datetime | None = None  # the last time
    hangup_in_vain: datetime | None = None  # the last such wish that ended nothing
    recordings: dict[str, Recording] = field(default_factory=dict)

    @property
    def is_asked_out(self) -> bool:
        """Twilio was asked after both legs' end, and has nothing to add about the contact's."""
        return bool(self.both_legs_asked or self.no_contact_leg)

    @property
    def is_hung_up(self) -> bool:
        """A member asked for the end, and nothing says that it came to nothing."""
        asked, in_vain = self.hangup_asked_at, self.hangup_in_vain
        return asked is not None and (in_vain is None or asked > in_vain)


JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "is_test": greatest,
    "agent": join_leg,
    "contact": join_leg,
    "instructed": greatest,
    "key_pressed": greatest,
    "dial_status": furthest(STATUS_ORDER),
    "dial_bridged": greatest,
    "dial_seconds": greatest,
    "contact_left_first": least,
    "no_contact_leg": greatest,
    "both_legs_asked": greatest,
    "phone_error": greatest,
    "refused": least,
    "given_up_at": least,
    "hangup_asked_at": greatest,
    "hangup_in_vain": greatest,
    "recordings": join_recordings,
}


def join(a: Known, b: Known) -> Known:
    """Join two states of knowledge: commutative, associative, idempotent."""
    return Known(**{name: join_field(getattr(a, name), getattr(b, name)) for name, join_field in JOINS.items()})


def lift(news: News) -> Known:
    """What a single piece of news says, and nothing else."""
    match news:
        case words.LegNews(role=role):
            said = Leg(**{f.name: getattr(news, f.name) for f in fields(Leg)})
            return Known(agent=said) if role == words.AGENT else Known(contact=said)
        case words.InstructionsFetched(call_sid=sid):
            return Known(instructed=True, agent=Leg(call_sid=sid))
        case words.KeyNews(pressed=pressed):
            return Known(key_pressed=pressed)
        case words.DialNews():
            return Known(
                dial_status=news.status,
                dial_bridged=news.bridged,
                dial_seconds=news.duration_seconds,
                contact_left_first=news.agent_on_line,
                contact=Leg(call_sid=news.contact_sid),
            )
        case words.RecordingNews():
            found = Recording(news.status, news.duration_seconds, news.channels, news.started_at, news.error_code)
            return Known(recordings={news.recording_sid: found})
        case words.NoContactLeg():
            return Known(no_contact_leg=True)
        case words.BothLegsAsked():
            return Known(both_legs_asked=True)
        case words.PhoneError(code=code):
            return Known(phone_error=code)
        case words.StartRefused(code=code, message=message, at=at):
            return Known(refused=(code or 0, message, at))
        case words.GivenUp(at=at):
            return Known(given_up_at=at)
        case words.HangupAsked(at=at):
            return Known(hangup_asked_at=at)
        case words.HangupInVain(asked_at=at):
            return Known(hangup_in_vain=at)


def fold(news: Iterable[News], known: Known = Known()) -> Known:
    """Everything that `news` says together, added to what is `known`."""
    return reduce(join, map(lift, news), known)
