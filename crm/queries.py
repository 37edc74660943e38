"""Lists of the CRM core's rows for a member."""

from datetime import datetime
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, Q, QuerySet

from crm import access
from crm.models import Contact, DoNotCall, FollowUp, ImportedContact, Membership, Note, Opportunity, StageChange
from crm.numbers import digits_in
from crm.search import few


def contacts(
    member: Membership, *, search: str = "", number: str | None = None, imported: UUID | None = None
) -> QuerySet[Contact]:
    """Return the contacts that `member` may see, by name; `search` matches a name, a company or part of a number.

    Also, where `search` is a number as people write it in the organization's country, who has that (E.164) `number`.
    With `imported`, those that were in this imported file.
    """
    found = Contact.objects.filter(organization=member.organization).prefetch_related("numbers").order_by("name", "id")
    search = search.replace("\x00", "").strip()  # PostgreSQL has no text with a NUL in it
    if search:
        digits = "" if any(letter.isalpha() for letter in search) else digits_in(search)  # “Rua 9” is a name
        ids = few("crm_search_contacts", text=search, digits=digits)
        if ids is not None:
            matches = Q(pk__in=ids)
        else:
            matches = Q(name__icontains=search) | Q(company__icontains=search)
            if digits:
                matches |= Q(numbers__number__contains=digits)
        if number:
            matches |= Q(numbers__number=number)
        # Not distinct(): a second number that matches may not double the row, and the order must stay the index's.
        found = found.filter(pk__in=Contact.objects.filter(matches).values("pk"))
    if imported:
        found = found.filter(pk__in=ImportedContact.objects.filter(contact_import=imported).values("contact"))
    return found


def has_number(member: Membership, number: str) -> bool:
    """Whether any of the organization's contacts has this E.164 number."""
    return Contact.objects.filter(organization=member.organization, numbers__number=number).exists()


def opportunities(member: Membership, *, contact_id: UUID | None = None) -> QuerySet[Opportunity]:
    """Return the opportunities that `member` may see, newest first; those of one contact if it is said."""
    found = Opportunity.objects.filter(organization=member.organization).select_related("owner").order_by("-id")
    return found.filter(contact=contact_id) if contact_id else found


def stages(member: Membership) -> list[str]:
    """Return the stages that opportunities are in, by name; a hundred at most."""
    rows = Opportunity.objects.filter(organization=member.organization).exclude(stage="")
    return list(rows.order_by("stage").values_list("stage", flat=True).distinct()[:100])


def follow_ups(
    member: Membership, *, contact_id: UUID | None = None, opportunity_id: UUID | None = None
) -> QuerySet[FollowUp]:
    """Return the follow-ups that `member` may see, by due time: a rep's own, or the team's; of whom or what is said."""
    found = FollowUp.objects.filter(organization=member.organization)
    found = found if member.sees_whole_team else found.filter(owner=member.user_id)
    found = found.filter(contact=contact_id) if contact_id else found
    found = found.filter(opportunity=opportunity_id) if opportunity_id else found
    return found.select_related("contact", "owner", "opportunity").order_by("due_at", "id")


def open_follow_ups(member: Membership, *, due_before: datetime | None = None) -> QuerySet[FollowUp]:
    """Return `member`'s own follow-ups that are not done, the longest overdue first."""
    found = follow_ups(member).filter(owner=member.user_id, done_at=None)
    return found.filter(due_at__lt=due_before) if due_before else found


def notes(member: Membership, *, contact_id: UUID | None = None, opportunity_id: UUID | None = None) -> QuerySet[Note]:
    """Return the organization's notes, newest first; of whom or what is said."""
    found = Note.objects.filter(organization=member.organization)
    found = found.filter(contact=contact_id) if contact_id else found
    found = found.filter(opportunity=opportunity_id) if opportunity_id else found
    return found.select_related("author", "opportunity").order_by("-id")


def stage_changes(
    member: Membership, *, contact_id: UUID | None = None, opportunity_id: UUID | None = None
) -> QuerySet[StageChange]:
    """Return how a contact's opportunities, or one, went from stage to stage; newest first."""
    found = StageChange.objects.filter(organization=member.organization)
    found = found.filter(opportunity__contact=contact_id) if contact_id else found
    found = found.filter(opportunity=opportunity_id) if opportunity_id else found
    return found.select_related("by", "opportunity").order_by("-id")


def is_not_to_be_called(number: str, contact: Contact | None) -> bool:
    """Whether the organization that is set may not call this E.164 number, or whoever it belongs to."""
    if DoNotCall.objects.filter(number=number).exists():
        return True
    listed = Contact.objects.filter(do_not_call_since__isnull=False)
    return listed.filter(Q(numbers__number=number) | Q(pk=contact.pk if contact else None)).exists()


def numbers_not_to_call(member: Membership, *, search: str = "") -> QuerySet[DoNotCall]:
    """Return the organization's do-not-call list, newest first; `search` matches part of a number."""
    found = DoNotCall.objects.filter(organization=member.organization).order_by("-id")
    return found.filter(number__contains=digits_in(search)) if digits_in(search) else found


def members(member: Membership) -> QuerySet[Membership]:
    """Return everybody who is or was a member, by name; `has_second_factor` says who has set one up."""
    second_factors = Authenticator.objects.filter(user=OuterRef("user"), type=Authenticator.Type.TOTP)
    rows = access.members_of(member).annotate(has_second_factor=Exists(second_factors))
    return rows.order_by("-is_active", "user__name", "user__email", "id")
