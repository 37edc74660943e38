"""Lists of calls and what hangs on them, for a member; and the few that the machinery needs."""

from django.db.models import QuerySet

from calls.models import LIVE, CallLog, CallRules, Direction, DueCall, JournalEntry, Recording
from crm.models import Membership


def calls(member: Membership) -> QuerySet[CallLog]:
    """Return the calls that `member` may see, newest first: a rep's own, or the whole team's."""
    found = (
        CallLog.objects.filter(organization=member.organization)
        .select_related("contact", "user", "opportunity")
        .prefetch_related("legs")
        .order_by("-id")
    )
    return found if member.sees_whole_team else found.filter(user=member.user)


def live_call(member: Membership) -> CallLog | None:
    """Return the call that `member` is on, if any."""
    return calls(member).filter(user=member.user, direction=Direction.OUTBOUND, status__in=LIVE).first()


def rules() -> CallRules:
    """Return the rules of the organization that is set: the defaults where nobody has changed them."""
    return CallRules.objects.first() or CallRules()


def live_calls() -> int:
    """Return how many calls the organization that is set has under way."""
    return CallLog.objects.filter(direction=Direction.OUTBOUND, status__in=LIVE).count()


def journal(call: CallLog) -> QuerySet[JournalEntry]:
    """Return everything that is known of `call` as it came, in order of arrival."""
    return JournalEntry.objects.filter(call_id=call.pk).order_by("received_at", "digest")


def recordings(call: CallLog) -> QuerySet[Recording]:
    """Return the recordings of `call`, oldest first."""
    return Recording.objects.filter(call_id=call.pk).order_by("id")


def is_watched(call: CallLog) -> bool:
    """Whether the sweeper comes again for `call`: it lives, or something of it is still owed."""
    return DueCall.objects.filter(pk=call.pk).exclude(due_at=None).exists()
