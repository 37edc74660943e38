"""From what is known to what a person is told: status, stage, times, talk time, who did not answer, who ended it.

A status is final only on proof. The agent leg's `completed` alone proves nothing about the conversation: the contact
may have been busy, or never rung. Where proof is missing, `questions` says what to ask Twilio for.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from calls.rules.known import STATUS_ORDER, Known, furthest
from integrations.twilio.words import FINAL

QUEUED, INITIATED, RINGING, IN_PROGRESS = "queued", "initiated", "ringing", "in-progress"
COMPLETED, BUSY, NO_ANSWER, FAILED, CANCELED = "completed", "busy", "no-answer", "failed", "canceled"
AGENT, CONTACT, MEMBER, SYSTEM = "agent", "contact", "member", "system"
STAGE_QUEUED, RINGING_AGENT, RINGING_CONTACT, TALKING, ENDED = (
    "queued",
    "ringing_agent",
    "ringing_contact",
    "talking",
    "ended",
)
# Without a `DialCallStatus` of its own Twilio tells of an unreachable TwiML only in its debugger.
INSTRUCTIONS_UNREACHABLE = 11200
# Twilio's times are whole seconds, and a leg that is ended takes its child with it.
TOGETHER = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the call log's row says. Times in UTC; `duration_seconds` is talk time, None while the call lives."""

    status: str
    stage: str
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: int | None = None
    unanswered_by: str | None = None
    ended_by: str | None = None
    error_code: int | None = None
    error_message: str = ""

    @property
    def is_final(self) -> bool:
        """The conversation is over and its status will not change."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class _End:
    status: str
    unanswered_by: str | None
    ended_by: str | None
    error_code: int | None = None
    error_message: str = ""


def outcome(known: Known) -> Outcome:
    """Return what the facts amount to."""
    end = _end(known)
    started_at = known.agent.initiated_at or known.agent.ringing_at or known.agent.answered_at
    answered_at = known.contact.answered_at if _talked(known) else None
    if end is None:
        status, stage = _live(known)
        return Outcome(status, stage, started_at=started_at, answered_at=answered_at)
    return Outcome(
        status=end.status,
        stage=ENDED,
        started_at=started_at,
        answered_at=answered_at if end.status == COMPLETED else None,
        ended_at=_ended_at(known),
        duration_seconds=_talk_seconds(known) if end.status == COMPLETED and not known.is_test else 0,
        unanswered_by=end.unanswered_by,
        ended_by=end.ended_by,
        error_code=end.error_code,
        error_message=end.error_message,
    )


def contact_status(known: Known) -> str | None:
    """The contact leg's status: its own callbacks' or `<Dial>`'s, whichever is further."""
    return furthest(STATUS_ORDER)(known.contact.status, known.dial_status)


def was_dialled(known: Known) -> bool:
    """Whether somebody besides the rep may have been rung."""
    return not known.is_test and bool(known.key_pressed or contact_status(known) is not None)


def _talked(known: Known) -> bool:
    return contact_status(known) in (IN_PROGRESS, COMPLETED) and known.dial_bridged is not False


def _live(known: Known) -> tuple[str, str]:
    agent, contact = known.agent.status, contact_status(known)
    if contact in (IN_PROGRESS, COMPLETED):
        return IN_PROGRESS, TALKING
    if was_dialled(known):
        return RINGING, RINGING_CONTACT
    if known.is_test and known.key_pressed:
        return IN_PROGRESS, RINGING_AGENT
    if agent in (RINGING, IN_PROGRESS) or known.agent.is_over or known.instructed:
        return RINGING, RINGING_AGENT
    if agent == INITIATED:
        return INITIATED, RINGING_AGENT
    return QUEUED, STAGE_QUEUED


def _end(known: Known) -> _End | None:
    """How the conversation ended, or None while that is not proved."""
    contact = contact_status(known)
    if known.given_up_at:
        return _End(FAILED, None, SYSTEM, error_message="unconfirmed")
    if known.refused and known.agent.status is None:
        return _End(FAILED, None, SYSTEM, known.refused[0] or None, known.refused[1])
    if contact == COMPLETED:
        return _contact_answered(known)
    if contact == BUSY:
        return _End(BUSY, CONTACT, CONTACT)
    if contact == FAILED:
        return _End(FAILED, CONTACT, SYSTEM, _dial_error(known))
    if contact in (NO_ANSWER, CANCELED):
        return _contact_not_reached(known)
    if known.agent.is_over and contact is None:
        return _agent_not_connected(known)
    if known.agent.is_over and known.no_contact_leg:
        # A contact's leg that Twilio's lists lack, or never end: it ended with its parent at the latest.
        if _talked(known):
            return _End(COMPLETED, None, _who_hung_up(known))
        return _End(CANCELED, None, MEMBER if known.is_hung_up else AGENT)
    return None


def _contact_answered(known: Known) -> _End | None:
    """The contact's leg was answered and is over. Whether it was ever bridged, only `<Dial>`'s action says."""
    if known.dial_bridged is False:
        return _End(NO_ANSWER, CONTACT, CONTACT)
    if known.dial_status is None and not known.is_asked_out:
        return None
    return _End(COMPLETED, None, _who_hung_up(known))


def _contact_not_reached(known: Known) -> _End | None:
    """The contact's phone rang out, or the rep hung up meanwhile: Twilio says either word for either."""
    left = _agent_left(known)
    if left is None:
        return None
    if not left:
        return _End(NO_ANSWER, CONTACT, SYSTEM)
    return _End(CANCELED, None, MEMBER if known.is_hung_up else AGENT)


def _agent_left(known: Known) -> bool | None:
    """Did the agent leg end while the contact's phone rang? None while that is not proved.

    `<Dial>`'s action says it outright. Without it the times do: a rep who waited is told the reason for a second or
    more after the contact's leg ended. Ends within the same second prove it only once Twilio has nothing to add.
    """
    if known.contact_left_first is not None:
        return not known.contact_left_first
    if not known.agent.is_over or known.agent.ended_at is None or known.contact.ended_at is None:
        return known.agent.is_over if known.is_asked_out else None
    if known.agent.ended_at != known.contact.ended_at:
        return known.agent.ended_at < known.contact.ended_at
    return True if known.is_asked_out else None


def _agent_not_connected(known: Known) -> _End | None:
    """The agent leg is over and nothing is known of a contact leg."""
    agent = known.agent.status
    if agent == CANCELED:
        return _End(CANCELED, None, MEMBER if known.is_hung_up else SYSTEM)
    if agent == BUSY:
        return _End(BUSY, AGENT, AGENT)
    if agent == NO_ANSWER:
        return _End(NO_ANSWER, AGENT, SYSTEM)
    if agent == FAILED:
        return _End(FAILED, AGENT, SYSTEM, _error(known))
    if known.is_test and known.key_pressed:  # that was all it was for
        return _End(COMPLETED, None, MEMBER if known.is_hung_up else None)
    # Answered and over. Was the contact rung? A prompt that ran out, or no child at Twilio, says no.
    if known.key_pressed is not False and not known.no_contact_leg:
        return None
    if known.is_hung_up:
        return _End(CANCELED, None, MEMBER)
    if known.key_pressed is False:
        return _End(NO_ANSWER, AGENT, SYSTEM)
    if known.phone_error or not known.instructed:
        return _End(FAILED, None, SYSTEM, _error(known) or INSTRUCTIONS_UNREACHABLE)
    if known.key_pressed:  # the rep left before Twilio could dial
        return _End(CANCELED, None, AGENT)
    return _End(NO_ANSWER, AGENT, AGENT)


def _who_hung_up(known: Known) -> str | None:
    """Who ended a conversation; None when no fact says so."""
    if known.contact_left_first or _outlived(known):  # the agent leg was still up, so nobody had ended it
        return CONTACT
    if known.is_hung_up:
        return MEMBER
    if known.contact_left_first is False:
        return AGENT
    if known.agent.ended_at and known.contact.ended_at and known.agent.ended_at > known.contact.ended_at:
        return CONTACT
    return None


def _outlived(known: Known) -> bool:
    """Whether the agent leg ended so long after the contact's that what ended the one did not end the other."""
    agent, contact = known.agent.ended_at, known.contact.ended_at
    return agent is not None and contact is not None and agent - contact >= TOGETHER


def _ended_at(known: Known) -> datetime | None:
    if known.given_up_at:
        return known.given_up_at
    if known.refused and known.agent.status is None:
        return known.refused[2]
    return known.contact.ended_at or known.agent.ended_at


def _talk_seconds(known: Known) -> int | None:
    """Seconds from the bridge to its end: the contact leg's, never the agent leg's.

    Where nobody tells of that leg's end, the recording from its answer is as long; or else it ended with the agent's.
    """
    if known.contact.duration_seconds is not None:
        return known.contact.duration_seconds
    if known.dial_seconds is not None:
        return known.dial_seconds
    recorded = [one.duration_seconds for one in known.recordings.values() if one.duration_seconds is not None]
    if recorded and known.contact.ended_at is None:
        return max(recorded)
    ended_at = known.contact.ended_at or known.agent.ended_at
    if known.contact.answered_at and ended_at:
        return int((ended_at - known.contact.answered_at).total_seconds())
    return None


def _error(known: Known) -> int | None:
    return known.contact.error_code or known.agent.error_code or known.phone_error or None


def _dial_error(known: Known) -> int | None:
    """Why the contact's phone could not be called. 11xxx and 12xxx are about our answers to Twilio's requests.

    Whoever was dialled had been instructed for: such an error is about `<Dial>`'s action, when that request was lost.
    """
    code = _error(known)
    return None if code is not None and 11000 <= code < 13000 else code
