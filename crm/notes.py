"""What members find worth knowing about a contact or an opportunity, without a call."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from crm import access, tenancy
from crm.errors import AppError, NotAllowed, NotFound
from crm.models import Membership, Note, Role

LONGEST_TEXT = 10_000


class BadNote(AppError):
    """Nothing, or too much."""

    code = "bad_note"


def create_note(*, member: Membership, contact: UUID, text: str, opportunity: UUID | None = None) -> Note:
    """Write a note down; everybody in the organization reads it. Raises: NotFound, BadNote."""
    with tenancy.inside(member.organization_id):
        try:
            found = access.get_contact(member, contact)
        except NotFound as error:
            raise NotFound(_("You have no such contact."), field="contact") from error
        row = Note(
            organization=member.organization,
            contact=found,
            opportunity_id=access.opportunity_of(member, found.pk, opportunity),
            author_id=member.user_id,
            text=_read(text),
        )
        row.save()
        return row


def change_note(*, member: Membership, note_id: UUID, text: str) -> Note:
    """Say it otherwise: its author's, or an admin's. Raises: NotFound, NotAllowed, BadNote."""
    with tenancy.inside(member.organization_id):
        row = _own(member, note_id)
        row.text = _read(text)
        row.save(update_fields=["text", "updated_at"])
        return row


def delete_note(*, member: Membership, note_id: UUID) -> None:
    """Take it back: its author's, or an admin's. Raises: NotFound, NotAllowed."""
    with tenancy.inside(member.organization_id):
        _own(member, note_id).delete()


def _own(member: Membership, note_id: UUID) -> Note:
    row = access.get_note(member, note_id, for_update=True)
    if row.author_id != member.user_id and member.role != Role.ADMIN:
        raise NotAllowed(_("Only its author or an admin changes a note."))
    return row


def _read(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text or len(text) > LONGEST_TEXT or "\x00" in text:
        raise BadNote(_("Write a note of up to 10,000 letters."), field="text")
    return text
