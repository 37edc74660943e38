"""What the simulator remembers, all in memory: accounts, calls, recordings, notifications, requests and switches."""

import asyncio
import hashlib
import secrets
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from .clock import Clock, whole_seconds
from .errors import NOTIFICATIONS
from .phones import Behaviour

API_VERSION = "2010-04-01"
FINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
KEPT_REQUESTS = 20_000

# The points on which Twilio's documentation is silent or contradicts itself; the first value is the default.
SWITCHES: dict[str, tuple[Any, ...]] = {
    "agent_left_child_status": ("canceled", "no-answer"),
    "dial_duration_on_no_answer": ("absent", "zero"),
    "media_range": ("full", "range"),
    "in_progress_callback": ("after_twiml", "before_twiml"),
    "webhook_retry": ("at_once", "after_a_second"),
}


def new_sid(prefix: str) -> str:
    """A fresh identifier such as `CA` and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)


def fixed_sid(prefix: str, *parts: str) -> str:
    """The same identifier for the same parts, so that a number keeps its SID from run to run."""
    return prefix + hashlib.md5("/".join(parts).encode(), usedforsecurity=False).hexdigest()


@dataclass
class OwnNumber:
    """A number of an account: bought (takes calls) or only verified as a caller ID."""

    sid: str
    number: str
    created_at: datetime
    has_voice: bool = True
    friendly_name: str = ""
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    voice_fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"


@dataclass
class Account:
    """A Twilio account with its numbers; `cps` is calls per second, 0 for no limit."""

    sid: str
    auth_token: str = field(repr=False)  # the primary one, which signs
    friendly_name: str
    type: str
    status: str
    created_at: datetime
    numbers: dict[str, OwnNumber] = field(default_factory=dict)
    verified: dict[str, OwnNumber] = field(default_factory=dict)
    api_keys: dict[str, str] = field(default_factory=dict, repr=False)
    secondary_auth_token: str = field(default="", repr=False)  # opens REST, signs nothing
    cps: float = 0
    prices: bool = True  # whether prices are worked out by now
    next_start_at: datetime | None = None

    def owns(self, number: str) -> bool:
        """Whether calls may show `number` as their origin."""
        bought = self.numbers.get(number)
        return (bought is not None and bought.has_voice) or number in self.verified


@dataclass
class Callback:
    """A subscription: where to send what; `events` empty means the documented default (`completed`)."""

    url: str = ""
    method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})
    sent: int = 0


@dataclass
class Call:
    """One leg, as Twilio's REST API shows it, and the requests made for it."""

    sid: str
    account: Account
    to: str
    from_: str
    direction: str
    created_at: datetime
    parent_sid: str | None = None
    status: str = "queued"
    updated_at: datetime | None = None
    dialled_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    queue_ms: int = 0
    answered_by: str | None = None
    price: str | None = None
    sip_code: int | None = None
    callback: Callback = field(default_factory=Callback)
    events: list[dict[str, Any]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    gathering: bool = False
    bridged_with: str | None = None

    @property
    def handset(self) -> str:
        """The number of the simulated phone at the far end of this leg."""
        return self.from_ if self.direction == "inbound" else self.to

    @property
    def over(self) -> bool:
        """Whether the status is final."""
        return self.status in FINAL

    @property
    def start_time(self) -> datetime | None:
        """When it was answered; for an unanswered call, when it was dialled."""
        return self.answered_at or self.dialled_at

    @property
    def duration(self) -> int:
        """Answered seconds so far or in all (0 if never answered)."""
        return whole_seconds(self.answered_at, self.ended_at)


@dataclass
class Recording:
    """A recording of a call; `pauses` are (from, to) spans left out of the audio."""

    sid: str
    account: Account
    call_sid: str
    channels: int
    source: str
    track: str
    created_at: datetime
    started_at: datetime
    updated_at: datetime
    callback: Callback
    status: str = "in-progress"
    duration: int | None = None
    price: str | None = None
    deleted: bool = False
    paused_at: datetime | None = None
    pause_behaviour: str = "silence"
    skipped_seconds: float = 0


@dataclass
class Notification:
    """One line of the Debugger, an error ("0") or a warning ("1")."""

    sid: str
    account: Account
    call_sid: str
    code: int
    log: str
    text: str
    at: datetime
    request_method: str | None = None
    request_url: str = ""
    request_variables: str = ""
    response_body: str = ""
    response_headers: str = ""


Kept = TypeVar("Kept", Call, Recording, Notification)


@dataclass
class World:
    """Everything that exists in this run; `changed` fires after each change, for the page."""

    clock: Clock
    accounts: dict[str, Account] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    notifications: dict[str, Notification] = field(default_factory=dict)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    asked: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    phones: dict[str, Behaviour] = field(default_factory=dict)
    default_phone: Behaviour = field(default_factory=Behaviour)
    switches: dict[str, Any] = field(default_factory=lambda: {name: values[0] for name, values in SWITCHES.items()})
    counts: Counter[str] = field(default_factory=Counter)
    webhooks_under_way: Counter[str] = field(default_factory=Counter)  # by account, also those that a fault delays
    base_url: str = ""
    version: int = 0
    order: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def touch(self) -> None:
        """Note a change and wake those who watch."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    def keep(self, shelf: dict[str, Kept], item: Kept) -> Kept:
        """Store `item` under its SID and remember its place in the order of creation; return it."""
        shelf[item.sid] = item
        self.order[item.sid] = len(self.order)
        self.touch()
        return item

    def phone(self, number: str) -> Behaviour:
        """How the phone `number` behaves."""
        return self.phones.get(number, self.default_phone)

    def notify(self, call: Call, code: int, **more: str) -> Notification:
        """Write `code` into the Debugger of the call's account (texts: `errors.NOTIFICATIONS`)."""
        log, text = NOTIFICATIONS.get(code, ("0", f"Error {code}"))
        now = self.clock.now()
        detail = more.pop("detail", "")
        text = f"{text}: {detail}" if detail else text
        note = Notification(new_sid("NO"), call.account, call.sid, code, log, text, now, **more)
        return self.keep(self.notifications, note)
