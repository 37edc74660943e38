"""What a call still owes us, what to ask Twilio for it, and when to look again. Pure; times in UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from calls.rules.known import Known
from calls.rules.outcome import Outcome, contact_status

# An unconfirmed start: callbacks settle it, or two empty lists this far apart.
UNCONFIRMED_FIRST, UNCONFIRMED_AGAIN = timedelta(seconds=20), timedelta(seconds=200)
# A live call without news is checked at once-doubling intervals.
NEWS_FIRST, NEWS_LAST = timedelta(seconds=60), timedelta(minutes=10)
# Twilio may queue a call for 24 hours; we announced `ring_seconds` and wait this much longer.
QUEUE_GRACE = timedelta(seconds=30)
# A recording that nobody told us of is asked for this often after the end; then it is taken for lost at Twilio.
RECORDING_WAITS = tuple(timedelta(seconds=s) for s in (5, 20, 60, 300, 1800, 7200, 21600, 86400))

# What Twilio has not told of an ended call by then, it never will.
LAST_LOOK = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Questions:
    """What Twilio should be asked now."""

    find_call: bool = False  # we do not know whether Twilio made the call
    agent_leg: bool = False
    contact_leg: bool = False
    recordings: bool = False
    cancel: bool = False  # still queued long after the wait that we announced

    def __bool__(self) -> bool:
        return self.find_call or self.agent_leg or self.contact_leg or self.recordings or self.cancel


@dataclass(frozen=True, slots=True)
class Situation:
    """A call at a moment: what is known, what that amounts to, and how long nothing new was heard."""

    known: Known
    outcome: Outcome
    created_at: datetime
    last_news_at: datetime
    now: datetime
    asked: int  # how often Twilio was asked in vain since the last news
    ring_seconds: int
    recording_expected: bool  # the organization records calls
    media_owed: bool  # a completed recording's media is not in our storage yet


def recording_missing(situation: Situation) -> bool:
    """A conversation was to be recorded, and no recording has come to an end that we know of."""
    over = situation.outcome
    if not (situation.recording_expected and over.status == "completed" and over.duration_seconds):
        return False
    finals = [r for r in situation.known.recordings.values() if r.status in ("completed", "absent", "failed")]
    return not finals


def legs_missing(known: Known) -> tuple[bool, bool]:
    """Which legs (agent, contact) Twilio has not said its last word on."""
    agent = known.agent.call_sid is not None and not known.agent.is_over
    contact = contact_status(known)
    return agent, contact is not None and not known.contact.is_over


def questions(situation: Situation) -> Questions:
    """Return what to ask now: only what is due, so that the load grows with calls in trouble and not with all."""
    known, over = situation.known, situation.outcome
    if known.refused or known.given_up_at:
        return Questions()
    silent = situation.now - situation.last_news_at
    if known.agent.call_sid is None:
        return Questions(find_call=silent >= _unconfirmed_wait(situation.asked))
    agent_missing, contact_missing = legs_missing(known)
    proof_missing = known.agent.is_over and not over.is_final
    due = proof_missing or silent >= _news_wait(situation.asked)
    queued = not over.is_final and known.agent.status in (None, "queued", "initiated") and not known.instructed
    waited = situation.now - situation.created_at
    return Questions(
        agent_leg=agent_missing and due,
        contact_leg=(contact_missing and due) or proof_missing,
        recordings=recording_missing(situation) and _recording_due(situation),
        cancel=queued and waited >= timedelta(seconds=situation.ring_seconds) + QUEUE_GRACE,
    )


def next_look(situation: Situation) -> datetime | None:
    """Return when the sweeper should look at this call again, or None when it owes nothing.

    What is already due is not due again at once: it waits longer with every question that brought nothing.
    """
    known, over = situation.known, situation.outcome
    if known.refused or known.given_up_at:
        return None
    if over.is_final and situation.now - situation.created_at > LAST_LOOK:
        return None
    moments = []
    agent_missing, contact_missing = legs_missing(known)
    if known.agent.call_sid is None:
        moments.append(situation.last_news_at + _unconfirmed_wait(situation.asked))
    elif not over.is_final or agent_missing or contact_missing:
        moments.append(situation.last_news_at + _news_wait(situation.asked))
    if known.agent.is_over and not over.is_final:
        moments.append(situation.now)
    if not over.is_final and known.agent.status in (None, "queued", "initiated"):
        moments.append(situation.created_at + timedelta(seconds=situation.ring_seconds) + QUEUE_GRACE)
    if recording_missing(situation) and situation.asked < len(RECORDING_WAITS):
        moments.append(situation.last_news_at + RECORDING_WAITS[situation.asked])
    if situation.media_owed:
        moments.append(situation.now)
    again = situation.now + min(timedelta(seconds=2 ** min(situation.asked, 20)), NEWS_LAST)
    return max(min(moments), again) if moments else None


def _unconfirmed_wait(asked: int) -> timedelta:
    return UNCONFIRMED_FIRST if asked == 0 else UNCONFIRMED_AGAIN


def _news_wait(asked: int) -> timedelta:
    return min(NEWS_FIRST * 2 ** min(asked, 10), NEWS_LAST)


def _recording_due(situation: Situation) -> bool:
    if situation.asked >= len(RECORDING_WAITS):
        return False
    return situation.now - situation.last_news_at >= RECORDING_WAITS[situation.asked]
