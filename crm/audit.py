"""Who did what: added in the transaction of what was done, and never changed."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from crm import tenancy
from crm.models import AuditEntry, Membership, User

# A refusal that repeats is one within this time, so that who is refused cannot fill the table.
ONE_REFUSAL = timedelta(minutes=1)

TWILIO_CONNECTED, TWILIO_NEXT_TOKEN = "twilio.connected", "twilio.next_token"
TWILIO_TOKEN_FORGOTTEN, TWILIO_PROMOTED = "twilio.next_token_forgotten", "twilio.promoted"
RULES_CHANGED = "rules.changed"
NUMBER_LISTED, NUMBER_TAKEN_OFF, NUMBERS_IMPORTED = "do_not_call.added", "do_not_call.removed", "do_not_call.imported"
RECORDING_PLAYED, RECORDING_DOWNLOADED = "recording.played", "recording.downloaded"
RECORDING_DELETED = "recording.deleted"
MEMBER_INVITED, INVITATION_WITHDRAWN, MEMBER_JOINED = "member.invited", "member.invitation_withdrawn", "member.joined"
MEMBER_ADDED, MEMBER_CHANGED, ORGANIZATION_CHANGED = "member.added", "member.changed", "organization.changed"
SECOND_FACTOR_TAKEN, TOKEN_CREATED = "member.second_factor_taken", "token.created"
CONTACTS_IMPORTED, CONTACTS_EXPORTED = "contacts.imported", "contacts.exported"
REFUSED = "refused"
EXPORTED, CALLS_EXPORTED = "audit.exported", "calls.exported"
ACTIONS = (
    *(TWILIO_CONNECTED, TWILIO_NEXT_TOKEN, TWILIO_TOKEN_FORGOTTEN, TWILIO_PROMOTED, RULES_CHANGED),
    *(NUMBER_LISTED, NUMBER_TAKEN_OFF, NUMBERS_IMPORTED, REFUSED, EXPORTED, CALLS_EXPORTED),
    *(RECORDING_PLAYED, RECORDING_DOWNLOADED, RECORDING_DELETED),
    *(CONTACTS_IMPORTED, CONTACTS_EXPORTED),
    *(SECOND_FACTOR_TAKEN, TOKEN_CREATED),
    *(MEMBER_INVITED, INVITATION_WITHDRAWN, MEMBER_JOINED, MEMBER_ADDED, MEMBER_CHANGED, ORGANIZATION_CHANGED),
)


def storable(text: str) -> str:
    """Return what an entry keeps of what somebody typed: not too much, and nothing that PostgreSQL has no text for."""
    return text.replace("\x00", "\ufffd")[:200]


def note(member: Membership | None, action: str, /, **details: object) -> None:
    """Write down that `member` (None: the system) did `action`, inside of the organization; never with a secret."""
    AuditEntry.objects.create(
        user_id=member.user_id if member else None,
        who=member.user.email if member else "",
        action=action,
        details=details,
    )


def note_refusal(member: Membership, what: str, code: str, /, **details: object) -> None:
    """Write down that something was refused, in a transaction of its own: the other one was taken back."""
    with tenancy.inside(member.organization_id):
        recent = AuditEntry.objects.filter(user_id=member.user_id, action=REFUSED, at__gt=timezone.now() - ONE_REFUSAL)
        if not recent.filter(details__what=storable(what), details__code=code).exists():
            note(member, REFUSED, what=storable(what), code=code, **details)


def entries(member: Membership) -> QuerySet[AuditEntry]:
    """Return the organization's entries, newest first."""
    return AuditEntry.objects.filter(organization=member.organization).order_by("-id")


def people(member: Membership) -> dict[UUID, User]:
    """Return everybody who is or was a member of the organization, by name: whoever may be in the audit."""
    members = Membership.objects.filter(organization=member.organization).select_related("user")
    return {one.user_id: one.user for one in sorted(members, key=lambda one: str(one.user).lower())}


def no_entries() -> QuerySet[AuditEntry]:
    """Return none at all, which the OpenAPI document is made with."""
    return AuditEntry.objects.none()


def forget(organization_id: UUID, *, before: datetime) -> int:
    """Delete entries older than `before`; the database keeps the last 30 days of an organization that is open."""
    with tenancy.inside(organization_id):
        return AuditEntry.objects.filter(at__lt=before).delete()[0]
