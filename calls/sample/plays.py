"""What Twilio and our own steps would have told of a call, for each way in which the sample's calls end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from random import Random
from typing import Any

from calls.models import JournalSource

MARK = "5a3b1e"  # in every SID of the sample, which are nobody's at Twilio
RINGS_FOR = 30

# How it ends -> of so many calls in a hundred.
SHARES = {
    "contact hangs up": 27.0,
    "rep hangs up": 17.0,
    "member ends": 3.0,
    "voicemail": 7.0,
    "contact does not answer": 21.0,
    "contact is busy": 8.0,
    "contact cannot be reached": 2.5,
    "rep does not wait": 4.0,
    "member cancels the ringing": 1.5,
    "rep does not answer": 4.0,
    "rep is busy": 1.0,
    "rep presses no key": 1.5,
    "member cancels": 1.5,
    "refused": 1.0,
}
TALKS = ("contact hangs up", "rep hangs up", "member ends", "voicemail")
NOT_TALKED = {  # the contact leg's last word, how many seconds it rings, SIP's word
    "contact does not answer": ("no-answer", RINGS_FOR, 487),
    "contact is busy": ("busy", 2, 486),
    "contact cannot be reached": ("failed", 1, 404),
    "rep does not wait": ("canceled", 14, 487),
    "member cancels the ringing": ("canceled", 9, 487),
}
NOT_TAKEN = {  # the same of the agent leg
    "rep does not answer": ("no-answer", RINGS_FOR, 487),
    "rep is busy": ("busy", 2, 486),
    "member cancels": ("canceled", 5, 487),
}
LEAVES_FIRST = ("rep hangs up", "member ends", "rep does not wait", "member cancels the ringing")  # the rep's side
# Why Twilio does not dial, and why it refuses a start: twilio.com/docs/api/errors
NOT_CALLABLE, PERMISSION = 13224, 21215


@dataclass(frozen=True, slots=True)
class Line:
    """Between whom a call is, and at which account."""

    account_sid: str
    caller_id: str
    agent_number: str
    to_number: str
    user_id: str
    minute_price: Decimal


@dataclass(frozen=True, slots=True)
class Play:
    """One call: between whom, when it begins (a whole second), how it ends and how long they talk."""

    line: Line
    begins_at: datetime
    ends: str
    talk_seconds: int = 0
    is_recorded: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """An entry of the journal before it is a row."""

    source: JournalSource
    kind: str
    payload: dict[str, Any]
    at: datetime


def sid(kind: str, dice: Random) -> str:
    """Make a SID up, one that `MARK` tells from Twilio's."""
    return f"{kind}{MARK}{dice.getrandbits(104):026x}"


def facts(play: Play, dice: Random) -> list[Fact]:
    """Return all that is known of a call in the end, in order of arrival."""
    return sorted(_told(play, dice), key=lambda fact: fact.at)


def _told(play: Play, dice: Random) -> Iterator[Fact]:
    if play.ends == "refused":
        said = {"code": PERMISSION, "message": "twilio_rejected", "at": play.begins_at.isoformat()}
        yield Fact(JournalSource.OURS, "refused", said, play.begins_at)
        return
    legs = _Legs(play, sid("CA", dice), sid("CA", dice))
    yield legs.accepted()
    yield legs.agent("initiated", 0)
    yield legs.agent("ringing", 1)
    if play.ends in NOT_TAKEN:
        word, rings, sip = NOT_TAKEN[play.ends]
        if word == "canceled":
            yield legs.hang_up(1 + rings)
        yield legs.agent(word, 1 + rings, SipResponseCode=str(sip), CallDuration="0", Duration="0")
        return
    taken = 1 + dice.randint(3, 12)
    yield legs.agent("in-progress", taken)
    yield legs.ask("answer", taken)
    if play.ends == "rep presses no key":
        yield legs.ask("key", taken + 18, Digits="", msg="Gather End")
        yield from legs.agent_completed(taken, taken + 19)
        return
    dialled = taken + dice.randint(4, 9)
    yield legs.ask("key", dialled, Digits="1", msg="Gather End")
    yield legs.contact("initiated", dialled)
    if play.ends in NOT_TALKED:
        yield from _not_talked(play, legs, taken, dialled)
    else:
        yield from _talked(play, legs, taken, dialled + dice.randint(4, 22), dice)


def _not_talked(play: Play, legs: "_Legs", taken: int, dialled: int) -> Iterator[Fact]:
    word, rings, sip = NOT_TALKED[play.ends]
    if word != "failed":
        yield legs.contact("ringing", dialled + 1)
    over = dialled + 1 + rings
    left = play.ends in LEAVES_FIRST
    if play.ends == "member cancels the ringing":
        yield legs.hang_up(over)
    yield legs.contact(word, over, SipResponseCode=str(sip), CallDuration="0", Duration="0")
    yield legs.dialled(word, over, left=left, DialBridged="false")
    if word == "failed":
        said = {"error_code": str(NOT_CALLABLE), "log": "0", "call_sid": legs.agent_sid}
        yield legs.poll("notification", said, over + 20)
    yield from legs.agent_completed(taken, over if left else over + 5)


def _talked(play: Play, legs: "_Legs", taken: int, answered: int, dice: Random) -> Iterator[Fact]:
    over, talked = answered + play.talk_seconds, str(play.talk_seconds)
    left = play.ends in LEAVES_FIRST
    yield legs.contact("ringing", answered - 2)
    yield legs.contact("in-progress", answered)
    if play.ends == "member ends":
        yield legs.hang_up(over)
    minutes = str(-(-play.talk_seconds // 60))
    yield legs.contact("completed", over, SipResponseCode="200", CallDuration=talked, Duration=minutes)
    recorded: dict[str, str] = {}
    if play.is_recorded:
        recorded = {"RecordingSid": sid("RE", dice), "RecordingDuration": talked}
        yield legs.recording(recorded, answered, over + 2)
    yield legs.dialled("completed", over, left=left, DialBridged="true", DialCallDuration=talked, **recorded)
    yield legs.price("contact", play.talk_seconds, over)
    yield from legs.agent_completed(taken, over if left else over + 2)


class _Legs:
    """Writes what Twilio says of the two legs of a call; times are seconds since it began."""

    def __init__(self, play: Play, agent_sid: str, contact_sid: str) -> None:
        self.agent_sid, self.contact_sid = agent_sid, contact_sid
        self._line, self._begins_at = play.line, play.begins_at
        of_account = {"AccountSid": play.line.account_sid, "ApiVersion": "2010-04-01", "From": play.line.caller_id}
        self._agent = of_account | {"CallSid": agent_sid, "To": play.line.agent_number, "Direction": "outbound-api"}
        self._contact = of_account | {"CallSid": contact_sid, "To": play.line.to_number, "Direction": "outbound-dial"}
        self._contact["ParentCallSid"] = agent_sid

    def accepted(self) -> Fact:
        """Twilio's answer to the start."""
        said = {"sid": self.agent_sid, "status": "queued", "date_created": format_datetime(self._begins_at)}
        said |= {"to": self._line.agent_number, "from": self._line.caller_id, "direction": "outbound-api"}
        return self.poll("accepted", said, 0)

    def agent(self, status: str, second: int, **more: str) -> Fact:
        """A status callback of the rep's leg."""
        return self._callback("agent", self._agent | self._progress(status, second) | more, second)

    def contact(self, status: str, second: int, **more: str) -> Fact:
        """A status callback of the contact's leg."""
        return self._callback("contact", self._contact | self._progress(status, second) | more, second)

    def agent_completed(self, taken: int, over: int) -> Iterator[Fact]:
        """The rep's leg ends after it was answered, and has its price."""
        seconds = over - taken
        more = {"SipResponseCode": "200", "CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
        yield self.agent("completed", over, **more)
        yield self.price("agent", seconds, over)

    def ask(self, kind: str, second: int, **more: str) -> Fact:
        """A request for TwiML."""
        return self._callback(kind, self._agent | {"CallStatus": "in-progress"} | more, second)

    def dialled(self, status: str, second: int, *, left: bool, **more: str) -> Fact:
        """`<Dial>`'s action; `left`: the rep's leg was over by then."""
        said = {"CallStatus": "completed" if left else "in-progress", "DialCallStatus": status}
        return self._callback("dial", self._agent | said | {"DialCallSid": self.contact_sid} | more, second)

    def recording(self, recorded: dict[str, str], began: int, second: int) -> Fact:
        """The recording's callback, which has neither numbers nor a status of the call."""
        said = {"AccountSid": self._line.account_sid, "CallSid": self.agent_sid, "RecordingStatus": "completed"}
        said |= {"RecordingChannels": "2", "RecordingSource": "DialVerb", "RecordingTrack": "both", "ErrorCode": "0"}
        said["RecordingStartTime"] = format_datetime(self._at(began))
        return self._callback("recording", said | recorded, second)

    def price(self, role: str, seconds: int, second: int) -> Fact:
        """What a leg costs, which Twilio tells some minutes later."""
        amount = self._line.minute_price * max(1, -(-seconds // 60))
        said = {"sid": self.agent_sid if role == "agent" else self.contact_sid}
        return self.poll(f"{role} price", said | {"price": f"-{amount}", "price_unit": "USD"}, second + 600)

    def hang_up(self, second: int) -> Fact:
        """Somebody presses Hang up in the page."""
        at = self._at(second)
        return Fact(JournalSource.OURS, "hang-up", {"at": at.isoformat(), "by": self._line.user_id}, at)

    def poll(self, kind: str, said: dict[str, Any], second: int) -> Fact:
        """Twilio's answer to a question."""
        return Fact(JournalSource.POLL, kind, said, self._at(second))

    def _callback(self, kind: str, said: dict[str, str], second: int) -> Fact:
        return Fact(JournalSource.CALLBACK, kind, said, self._at(second))

    def _progress(self, status: str, second: int) -> dict[str, str]:
        return {"CallStatus": status, "Timestamp": format_datetime(self._at(second))}

    def _at(self, second: int) -> datetime:
        return self._begins_at + timedelta(seconds=second)
