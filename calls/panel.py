"""What a page says about a call: whose phone rings, how it ended, and whether a new one can be started."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from calls import queries
from calls.errors import CallInProgress, NoPhone
from calls.models import (
    CallLog,
    CallStatus,
    Direction,
    DueCall,
    EntryState,
    JournalSource,
    Leg,
    LegStatus,
    Party,
    Run,
    Stage,
)
from calls.sentences import error_sentence, stuck_sentences
from crm.errors import AppError
from crm.models import Membership
from crm.numbers import for_display
from integrations.access import numbers_of
from integrations.models import TwilioAccount
from integrations.twilio.errors import TwilioNotConnected
from integrations.twilio.words import FINAL

MOST_CALLER_IDS = 20
# A call that is over stays in the panel of a page that is loaded this long afterwards.
LINGERS = timedelta(minutes=2)
# And so long while nobody has said how it went: a note takes its time.
WAITS = timedelta(minutes=10)
# Twilio answers a start within a second or two; what takes longer is worth a word.
UNCONFIRMED_AFTER = timedelta(seconds=5)
# Twilio tells of an end within a second or two as well.
UNENDED_AFTER = timedelta(seconds=5)
# A call on which nobody talks, and of which nothing new was heard for this long, may be over.
SILENT_AFTER = timedelta(seconds=60)
# Talk time may come a moment after the end.
SETTLES = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A live call that keeps its rep from the next one without being a conversation.

    `sentence` says why, and when Twilio is asked again; `ends` whether Hang up can do anything for it still.
    """

    call_id: UUID
    sentence: str
    ends: bool = True


@dataclass(frozen=True, slots=True)
class Readiness:
    """Can the member start a call now? `blocked` says why never, `busy` that another call is in the way.

    `stuck` is that other call, if it is one that the member has reason to wonder about. Where Twilio is not connected,
    the banner on top of every page says so.
    """

    blocked: str = ""
    is_connected: bool = True
    busy: bool = False
    stuck: Stuck | None = None
    caller_ids: tuple[str, ...] = ()  # where there is a choice
    recording: str = ""  # "on" or "off" until the rep says otherwise; empty where that is not the rep's to say


@dataclass(frozen=True, slots=True)
class RunStrip:
    """How far a member's calls through a list have come: so many of `total` are settled, and who is next."""

    id: UUID
    settled: int
    total: int
    next_id: UUID | None = None  # the entry's
    next_name: str = ""

    @property
    def is_over(self) -> bool:
        """Nobody is left to call."""
        return self.next_id is None


@dataclass(frozen=True, slots=True)
class Panel:
    """The live panel at one moment. `seconds` is talk time so far, counted here; the page only lets it tick on."""

    status: str = ""
    tone: str = "idle"  # idle, waiting, talking, done, bad
    call: CallLog | None = None
    name: str = ""
    live: bool = False
    polls: bool = False
    ending: bool = False
    seconds: int | None = None
    error_code: int | None = None
    alert: str = ""
    alert_code: int | None = None
    stuck: Stuck | None = None
    run: RunStrip | None = None

    @property
    def seen(self) -> str:
        """A digest of everything but the clock: while it is the same, a page need not be told again."""
        call_id = self.call and str(self.call.pk)
        said = (call_id, self.status, self.tone, self.live, self.polls, self.ending, self.alert, self.stuck, self.run)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]

    @property
    def is_recording(self) -> bool:
        """The conversation is being recorded right now."""
        return bool(self.call and self.call.is_recorded and self.call.stage == Stage.TALKING)


def readiness(member: Membership) -> Readiness:
    """Return whether `member`'s call buttons work, and if not, why."""
    if not member.phone_number:
        return Readiness(blocked=str(NoPhone.message))
    account = TwilioAccount.objects.first()
    if account is None:
        return Readiness(blocked=str(TwilioNotConnected.message), is_connected=False)
    call = queries.live_call(member)
    from_where = caller_ids(member)
    recording = "on" if account.records_calls else "off"
    return Readiness(
        busy=call is not None,
        stuck=_stuck(call, _History.of(call)) if call else None,
        caller_ids=from_where if len(from_where) > 1 else (),
        recording=recording if queries.rules().rep_decides_recording else "",
    )


def caller_ids(member: Membership) -> tuple[str, ...]:
    """Return the numbers that `member` may call from, the one that calls come from by default first; twenty at most."""
    account = TwilioAccount.objects.first()
    owned = [one.number for one in numbers_of(member.organization_id) if one.has_voice]
    default = account.default_caller_id if account else ""
    own = member.caller_id if member.caller_id in owned else default
    return tuple(dict.fromkeys(one for one in (own, default, *owned) if one))[:MOST_CALLER_IDS]


def why_busy(member: Membership) -> CallInProgress:
    """Return the refusal of a second call: which one is in the way, and why it still is, if it is stuck."""
    call = queries.live_call(member)
    stuck = _stuck(call, _History.of(call)) if call else None
    return CallInProgress(stuck.sentence if stuck else None, details={"call": str(call.pk)} if call else {})


def whom(call: CallLog) -> str:
    """Return the name of whom the call is with, or else the number."""
    return call.contact.name if call.contact else for_display(call.to_number)


def title(call: CallLog) -> str:
    """Return what a call is called where it stands alone: the name or number that it is with, or that it is a test."""
    return _("Test call") if call.is_test else whom(call)


def panel(member: Membership, *, dismissed: str | None = None) -> Panel:
    """Return the panel of `member`'s live call, or of their last one while it is fresh and not `dismissed`.

    In the middle of a run the last call stays for as long as its rep needs, and whom to call next is always said.
    """
    call = queries.calls(member).filter(user=member.user, direction=Direction.OUTBOUND).first()
    active = queries.active_run(member)
    if call is None:
        return _between(strip_of(active))
    own = queries.run_of_call(call) if str(call.pk) != dismissed else None
    run = strip_of(active or own)
    if call.is_live:
        return replace(_live(call), run=run)
    if active is not None and own != active and call.disposition:
        return _between(run)  # a call of before, and all is said about it
    ended_at = max(call.ended_at or call.created_at, call.created_at)
    is_fresh = timezone.now() - ended_at <= (LINGERS if call.disposition or call.is_test else WAITS)
    if str(call.pk) == dismissed or not (is_fresh or (own is not None and own == active)):
        return _between(strip_of(active))
    settling = call.status == CallStatus.COMPLETED and call.duration_seconds is None
    return Panel(
        status=_ended(call),
        tone="done" if call.status == CallStatus.COMPLETED else "bad",
        call=call,
        name=title(call),
        polls=settling and timezone.now() - ended_at < SETTLES,
        error_code=call.error_code,
        run=run,
    )


def _between(run: RunStrip | None) -> Panel:
    """The panel without a call: nothing, or whom a list calls next."""
    return Panel() if run is None else Panel(status=_("Calling through a list"), run=run)


def strip_of(run: Run | None) -> RunStrip | None:
    """Return how far a run has come; None without one."""
    if run is None:
        return None
    counts = queries.counts_of(run)
    entry = queries.next_entry(run) if run.ended_at is None else None
    settled = run.total - counts[EntryState.WAITING]
    if entry is None:
        return RunStrip(run.pk, settled, run.total)
    return RunStrip(run.pk, settled, run.total, entry.pk, entry.contact.name)


def refused(found: Panel, error: AppError) -> Panel:
    """Return the panel with what went wrong in it; a call that never began has nothing else to say."""
    if not found.live and "call" not in error.details:
        found = Panel(run=found.run)  # not the last call's name over somebody else's refusal
    alert = replace(found, alert=str(error.message), alert_code=error.twilio_code, error_code=None)
    if found.live:
        return alert
    return replace(alert, status=_("The call was not started"), tone="bad")


def outcome_words(call: CallLog) -> str:
    """Say in a few words how the call stands or ended, and who did not answer, for whoever reads the history."""
    if call.is_live:
        return str(call.get_stage_display())
    by = call.unanswered_by
    if call.status == CallStatus.COMPLETED and call.is_test:
        return _("Phone works")
    if call.status == CallStatus.NO_ANSWER and by == Party.AGENT:
        return _("Rep didn't answer")
    if call.status == CallStatus.NO_ANSWER and by == Party.CONTACT:
        return _("Contact didn't answer")
    if call.status == CallStatus.BUSY and by == Party.AGENT:
        return _("Rep was busy")
    if call.status == CallStatus.BUSY and by == Party.CONTACT:
        return _("Contact was busy")
    return str(call.get_status_display())


def tone(call: CallLog) -> str:
    """Return the colour of the call's status: waiting, talking, done, missed or bad."""
    if call.is_live:
        return "talking" if call.stage == Stage.TALKING else "waiting"
    if call.status == CallStatus.COMPLETED:
        return "done"
    return "bad" if call.status == CallStatus.FAILED else "missed"


@dataclass(frozen=True, slots=True)
class _History:
    """What a live call's journal says of waiting."""

    last_news_at: datetime
    hangup_asked_at: datetime | None
    is_unknown: bool  # Twilio was asked, and did not know the call

    @classmethod
    def of(cls, call: CallLog) -> Self:
        """Read it off the journal."""
        entries = list(queries.journal(call).values_list("source", "kind", "received_at"))
        ours = {kind: at for source, kind, at in entries if source == JournalSource.OURS}  # the last of each
        news = [at for source, _kind, at in entries if source in (JournalSource.CALLBACK, JournalSource.POLL)]
        asked, in_vain = ours.get("hang-up"), ours.get("hang-up in vain")
        if asked and in_vain and in_vain > asked:
            asked = None  # Twilio did not do it, and whoever pressed was told
        return cls(max([*news, call.created_at]), asked, "not found" in ours)


def _stuck(call: CallLog, history: _History) -> Stuck | None:
    """Say why a live call holds its rep up, or None when it is as it should be."""
    now, asked = timezone.now(), history.hangup_asked_at
    ends = True
    if not call.confirmed:
        if asked is None and now - call.created_at <= UNCONFIRMED_AFTER:
            return None
        why, ends = ("unwanted", False) if asked else ("unconfirmed", True)
    elif asked is not None:
        if now - asked <= UNENDED_AFTER:
            return None
        why = "ending"
    elif now - history.last_news_at > SILENT_AFTER and not _is_conversation(call):
        why = "silent"
    else:
        return None
    due_at = DueCall.objects.filter(pk=call.pk).values_list("due_at", flat=True).first()
    return Stuck(
        call.pk,
        stuck_sentences(
            whom(call),
            why,
            asks_in=(due_at - now).total_seconds() if due_at else 0,
            is_last_question=history.is_unknown and not call.confirmed,
        ),
        ends,
    )


def _is_conversation(call: CallLog) -> bool:
    """People talk for long without news; but when a leg is over, they do not talk."""
    return call.stage == Stage.TALKING and not any(leg.ended_at for leg in call.legs.all())


def _live(call: CallLog) -> Panel:
    talking = call.stage == Stage.TALKING
    history = _History.of(call)
    ending = history.hangup_asked_at is not None
    seconds = None
    if talking and call.answered_at:
        seconds = max(int((timezone.now() - call.answered_at).total_seconds()), 0)
    return Panel(
        status=_("Ending the call…") if ending else _live_words(call),
        tone="talking" if talking else "waiting",
        call=call,
        name=title(call),
        live=True,
        polls=True,
        ending=ending,
        seconds=None if ending else seconds,
        stuck=_stuck(call, history),
    )


def _live_words(call: CallLog) -> str:
    said: dict[str, Any] = {"contact": whom(call), "phone": for_display(call.agent_number)}
    if call.stage == Stage.TALKING:
        return _("Connected")
    if call.stage == Stage.RINGING_CONTACT:
        return _("Ringing %(contact)s…") % said
    if call.stage == Stage.RINGING_AGENT and call.is_test:
        return _test_words(call) % said
    if call.stage == Stage.RINGING_AGENT:
        if _agent_status(call) == LegStatus.IN_PROGRESS:
            return _("Press a key on your phone to call %(contact)s") % said
        return _("Calling your phone %(phone)s — pick up to be connected") % said
    unconfirmed = not call.confirmed and call.status == CallStatus.QUEUED
    if unconfirmed and timezone.now() - call.created_at > UNCONFIRMED_AFTER:
        return _("Checking with Twilio whether the call was made…")
    return _("Queued")


def _test_words(call: CallLog) -> str:
    agent = _agent_status(call)
    if call.status == CallStatus.IN_PROGRESS:
        return _("Your phone works")
    if agent == LegStatus.IN_PROGRESS:
        return _("You answered: press a key on your phone")
    if agent == LegStatus.RINGING:
        return _("Your phone is ringing — pick up and press a key")
    if agent in FINAL:
        return _("Asking Twilio how the test call ended…")
    return _("Calling your phone %(phone)s — pick up and press a key")


def _ended(call: CallLog) -> str:
    said: dict[str, Any] = {"contact": whom(call)}
    by_agent = call.unanswered_by == Party.AGENT
    if call.status == CallStatus.COMPLETED and call.is_test:
        return _("Your phone works")
    if call.status == CallStatus.COMPLETED:
        if call.duration_seconds is None:
            return _("Ended")
        minutes, seconds = divmod(call.duration_seconds, 60)
        return _("Ended · %(time)s talk") % {"time": f"{minutes}:{seconds:02}"}
    if call.status == CallStatus.BUSY:
        return _("Your phone was busy") if by_agent else _("%(contact)s was busy") % said
    if call.status == CallStatus.NO_ANSWER:
        return _unanswered(call) if by_agent else _("%(contact)s didn't answer") % said
    if call.status == CallStatus.CANCELED:
        return _("Canceled")
    reason = error_sentence(call)
    return _("Failed: %(reason)s") % {"reason": reason} if reason else _("Failed")


def _unanswered(call: CallLog) -> str:
    if _agent_status(call) != LegStatus.COMPLETED:
        return _("You didn't answer")
    if call.ended_by == Party.AGENT and call.is_test:
        return _("You hung up before you pressed a key")
    if call.ended_by == Party.AGENT:
        return _("You hung up before %(contact)s was called") % {"contact": whom(call)}
    return _("You didn't answer: no key was pressed")


def _agent_status(call: CallLog) -> str | None:
    return next((leg.status for leg in call.legs.all() if leg.role == Leg.LegRole.AGENT), None)


@dataclass(frozen=True, slots=True)
class Row:
    """A call in a list, with its words."""

    call: CallLog
    name: str
    words: str
    tone: str


def row_of(call: CallLog) -> Row:
    """Return a call as lists show it."""
    return Row(call=call, name=title(call), words=outcome_words(call), tone=tone(call))
