"""What a call still owes us, what to ask Twilio for it, and when to look again. Pure; times in UTC."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from calls.rules import spend
from calls.rules.known import Known
from calls.rules.outcome import COMPLETED, FAILED, Outcome, contact_status, was_dialled

# An unconfirmed start: callbacks settle it, or two empty lists, the second after this much silence.
UNCONFIRMED_FIRST, UNCONFIRMED_AGAIN = timedelta(seconds=20), timedelta(seconds=200)
# A live call without news is checked at doubling intervals.
NEWS_FIRST, NEWS_LAST = timedelta(seconds=60), timedelta(minutes=10)
# Twilio tries each callback for at most 15 seconds; what has not come by then never will.
CALLBACK_WINDOW = timedelta(seconds=15)
# Twilio may queue a call for 24 hours; we announced `ring_seconds` and wait this much longer.
QUEUE_GRACE = timedelta(seconds=30)
# A wish to end a call whose answer never came may not have been done: Twilio is told again.
HANGUP_AGAIN = timedelta(seconds=10)
# A recording that nobody told us of is asked for this often after the end; then it is taken for lost at Twilio.
RECORDING_WAITS = tuple(timedelta(seconds=s) for s in (5, 20, 60, 300, 1800, 7200, 21600, 86400))

# Twilio works a price out minutes or hours after the end; then it is asked for each time when the silence has doubled.
PRICE_FIRST, PRICE_LAST_WAIT = timedelta(minutes=10), timedelta(hours=12)

# What Twilio has not told of an ended call by then, it never will.
LAST_LOOK = timedelta(hours=48)
# Its media is another matter: Twilio keeps that until somebody deletes it, and what is in the way is ours to mend (a
# token that was replaced, an account whose bill is a month's). Asked for with waits that grow with the silence, so it
# comes home a twelfth of an outage later at most; after a month somebody must be told.
MEDIA_LAST_WAIT, MEDIA_LAST_LOOK = timedelta(hours=4), timedelta(days=30)
# So often after any news, however old that is: a dead letter may be replayed after a month.
MEDIA_TRIES = 10


@dataclass(frozen=True, slots=True)
class Questions:
    """What Twilio should be asked now."""

    find_call: bool = False  # we do not know whether Twilio made the call
    agent_leg: bool = False
    contact_leg: bool = False
    recordings: bool = False
    price: bool = False
    cancel: bool = False  # still queued long after the wait that we announced, or nobody wants it any more

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))


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
    if not (situation.recording_expected and over.status == COMPLETED and over.duration_seconds != 0):
        return False
    finals = [r for r in situation.known.recordings.values() if r.status in ("completed", "absent", "failed")]
    return not finals


def legs_missing(known: Known) -> tuple[bool, bool]:
    """Which legs (agent, contact) Twilio has not said its last word on."""
    agent = known.agent.call_sid is not None and not known.agent.is_over
    return agent, was_dialled(known) and not known.contact.is_over and not known.no_contact_leg


def questions(situation: Situation) -> Questions:
    """Return what to ask now: only what is due, so that the load grows with calls in trouble and not with all."""
    due = {name for name, at in _moments(situation).items() if at <= situation.now}
    if "cancel" in due:
        due.add("agent_leg")
    return Questions(**dict.fromkeys(due, True))


def next_look(situation: Situation) -> datetime | None:
    """Return when the sweeper should look at this call again, or None when it owes nothing; always after `now`.

    What is already due is not due again at once: it waits longer with every question that brought nothing.
    """
    moments, looks = _moments(situation), []
    price = moments.pop("price", None)
    doubled, silence = timedelta(seconds=2 ** min(situation.asked, 20)), situation.now - situation.last_news_at
    if moments:
        looks.append(max(min(moments.values()), situation.now + min(doubled, NEWS_LAST)))
    if price is not None:
        looks.append(price if price > situation.now else situation.now + min(silence, PRICE_LAST_WAIT))
    if fetches_media(situation):
        looks.append(situation.now + min(doubled, max(NEWS_LAST, min(silence / 12, MEDIA_LAST_WAIT))))
    return min(looks, default=None)


def owes_only_price(situation: Situation) -> bool:
    """Whether nothing but its price is still to come: of the conversation, all is known that ever will be."""
    return _moments(situation).keys() == {"price"} and not fetches_media(situation)


def fetches_media(situation: Situation) -> bool:
    """Whether Twilio is (still) asked for media that is owed."""
    young = situation.now - situation.last_news_at <= MEDIA_LAST_LOOK
    return situation.media_owed and (young or situation.asked < MEDIA_TRIES or not situation.outcome.is_final)


def _moments(situation: Situation) -> dict[str, datetime]:
    """When each question that is open falls due. A live call always has one."""
    known, over, asked = situation.known, situation.outcome, situation.asked
    if _too_late(situation):
        return {}
    moments: dict[str, datetime] = {}
    if over.is_final and (known.agent.is_over or known.given_up_at) and any(spend.unpriced(known)):
        moments["price"] = situation.last_news_at + PRICE_FIRST
    refused = known.refused and known.agent.status is None
    if refused or known.given_up_at:
        return moments
    if known.agent.call_sid is None:
        return {"find_call": situation.last_news_at + (UNCONFIRMED_FIRST if asked == 0 else UNCONFIRMED_AGAIN)}
    agent_missing, contact_missing = legs_missing(known)
    if agent_missing:
        moments["agent_leg"] = situation.last_news_at + _news_wait(asked)
    if contact_missing:
        moments["contact_leg"] = situation.last_news_at + _news_wait(asked)
    if known.agent.is_over and (not over.is_final or _cause_missing(situation)):
        moments["contact_leg"] = situation.last_news_at + _proof_wait(situation)
    contact = known.contact
    if over.status == COMPLETED and contact.call_sid and contact.answered_at is None and not known.is_asked_out:
        moments["contact_leg"] = situation.last_news_at + CALLBACK_WINDOW
    if not over.is_final and known.agent.status in (None, "queued", "initiated") and not known.instructed:
        moments["cancel"] = situation.created_at + timedelta(seconds=situation.ring_seconds) + QUEUE_GRACE
    if not over.is_final and not known.agent.is_over and known.is_hung_up and known.hangup_asked_at:
        again = known.hangup_asked_at + HANGUP_AGAIN
        moments["cancel"] = min(again, moments.get("cancel", again))
    if recording_missing(situation) and asked < len(RECORDING_WAITS):
        moments["recordings"] = situation.last_news_at + RECORDING_WAITS[asked]
    return moments


def _too_late(situation: Situation) -> bool:
    return situation.outcome.is_final and situation.now - situation.created_at > LAST_LOOK


def _cause_missing(situation: Situation) -> bool:
    """Twilio could not dial the contact, and says why only in its debugger."""
    known, over = situation.known, situation.outcome
    if over.status != FAILED or over.error_code is not None or contact_status(known) != FAILED:
        return False
    return not known.is_asked_out


def _proof_wait(situation: Situation) -> timedelta:
    """Without a key nobody was dialled, so Twilio's answer is as good now as later; else callbacks may be under way."""
    return CALLBACK_WINDOW if was_dialled(situation.known) and not situation.outcome.is_final else timedelta(0)


def _news_wait(asked: int) -> timedelta:
    """The silence before question number `asked` + 1: the waits between questions double, up to NEWS_LAST."""
    waited = timedelta(0)
    for number in range(min(asked, 5) + 1):
        waited += min(NEWS_FIRST * 2**number, NEWS_LAST)
    return waited + NEWS_LAST * max(0, asked - 5)
