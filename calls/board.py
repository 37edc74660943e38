"""The live board: who of the team is on a call, with whom, since when; and who is free."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from calls import figures, queries
from calls.figures import Tally
from calls.models import LIVE, CallLog, Stage
from calls.panel import outcome_words, title, tone
from calls.period import Period
from crm import access
from crm.models import Membership

# In this order: who talks, whose call rings, who is free.
_ORDER = {"talking": 0, "waiting": 1, "": 2}


@dataclass(frozen=True, slots=True)
class Line:
    """A member, or whoever else has a call. `seconds` is how long it has been in its stage, counted here."""

    key: str
    name: str
    call: CallLog | None
    whom: str
    words: str
    tone: str
    seconds: int
    today: Tally
    last_ended_at: datetime | None
    has_phone: bool


@dataclass(frozen=True, slots=True)
class Board:
    """Everybody, those on a call first."""

    lines: list[Line] = field(default_factory=list)

    @property
    def busy(self) -> int:
        """How many are on a call."""
        return sum(one.call is not None for one in self.lines)

    @property
    def seen(self) -> str:
        """A digest of everything but the clocks: while it is the same, a page need not be told again."""
        said = [
            (one.key, one.name, one.call and str(one.call.pk), one.whom, one.words, one.today, one.last_ended_at)
            for one in self.lines
        ]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def board(member: Membership) -> Board:
    """Return the team as it stands: active members, and calls that are none of theirs."""
    now = timezone.now()
    today = Period.of_days(1, now=now, zone=timezone.get_current_timezone()).stretch
    tallies, ends = figures.by_rep(member, today), figures.last_ends(member, today)
    calls = list(queries.calls(member).filter(status__in=LIVE))
    live = {call.user_id: call for call in reversed(calls)}  # somebody's newest, should there be two
    lines = [
        _line(
            str(one.user_id),
            str(one.user),
            live.pop(one.user_id, None),
            now=now,
            today=tallies.get(one.user_id, Tally()),
            last_ended_at=ends.get(one.user_id),
            has_phone=bool(one.phone_number),
        )
        for one in access.possible_owners(member)
    ]
    others = [_line(str(call.pk), str(call.user or ""), call, now=now) for call in live.values()]
    return Board(sorted([*lines, *others], key=lambda one: (_ORDER[one.tone], -one.seconds, one.name.casefold())))


def _line(
    key: str,
    name: str,
    call: CallLog | None,
    *,
    now: datetime,
    today: Tally | None = None,
    last_ended_at: datetime | None = None,
    has_phone: bool = True,
) -> Line:
    since = _since(call) if call else now
    return Line(
        key=key,
        name=name,
        call=call,
        whom=title(call) if call else "",
        words=outcome_words(call) if call else "",
        tone=tone(call) if call else "",
        seconds=max(int((now - since).total_seconds()), 0),
        today=today or Tally(),
        last_ended_at=last_ended_at,
        has_phone=has_phone,
    )


def _since(call: CallLog) -> datetime:
    """When the conversation began, or while there is none, the call."""
    talking = call.stage == Stage.TALKING and call.answered_at
    return call.answered_at if talking and call.answered_at else call.created_at
