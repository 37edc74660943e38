"""Write down how a conversation went, and what comes of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from calls import access
from calls.errors import CallIsLive
from calls.models import CallLog, Disposition
from crm import access as crm_access
from crm import tenancy
from crm.contacts import change_contact
from crm.do_not_call import add_number
from crm.errors import AppError
from crm.follow_ups import change_follow_up, create_follow_up, delete_follow_up
from crm.models import Membership

LONGEST_NOTE = 10_000


class Unsaid(Enum):
    """Where None has a meaning of its own."""

    UNSAID = "unsaid"


UNSAID: Final = Unsaid.UNSAID


class BadOutcome(AppError):
    """An outcome that there is none of, or a note that is too long."""

    code = "bad_outcome"


@dataclass(frozen=True, slots=True)
class FollowUpWanted:
    """When to turn to the contact again, and what for."""

    due_at: datetime
    text: str = ""


def wrap_up(
    *,
    member: Membership,
    call_id: UUID,
    disposition: str | None = None,
    notes: str | None = None,
    opportunity: UUID | Unsaid | None = UNSAID,
    follow_up: FollowUpWanted | Unsaid | None = UNSAID,
    done: Iterable[UUID] = (),
) -> CallLog:
    """Keep the outcome and the note of a call that `member` may see; None leaves either as it is, "" empties it.

    A note can be written while the call lives, an outcome once it is over. “Do not call” marks the contact, or lists
    the number of nobody's contact, all or nothing; taking it back is an admin's. `opportunity` is the contact's that
    the call was about, or None; `follow_up` what is to come of it, the call's only one, or None for nothing; `done`
    are follow-ups that the call has settled. Only these columns are written, so no fact that comes meanwhile is lost.
    Raises: NotFound, BadOutcome, CallIsLive, BadFollowUp.
    """
    if disposition is not None and disposition not in ("", *Disposition.values):
        raise BadOutcome(_("There is no such outcome."), field="disposition")
    if notes is not None and (len(notes) > LONGEST_NOTE or "\x00" in notes):
        raise BadOutcome(_("A note has 10,000 letters at most."), field="notes")
    with tenancy.inside(member.organization_id):
        access.get_call(member, call_id)
        call = CallLog.objects.select_for_update(no_key=True).get(pk=call_id)
        if disposition and call.is_live:
            raise CallIsLive(field="disposition")
        changes: dict[str, object] = {"disposition": disposition, "notes": notes}
        written = {name: value for name, value in changes.items() if value is not None and value != getattr(call, name)}
        if opportunity is not UNSAID and call.contact_id is not None and opportunity != call.opportunity_id:
            written["opportunity_id"] = crm_access.opportunity_of(member, call.contact_id, opportunity)
        for name, value in written.items():
            setattr(call, name, value)
        if written:
            call.save(update_fields=[*(name.removesuffix("_id") for name in written), "updated_at"])
        if follow_up is not UNSAID and call.contact_id is not None:
            _follow_up(member, call, call.contact_id, follow_up)
        for follow_up_id in done:
            if crm_access.is_follow_up(follow_up_id):  # one that was deleted meanwhile is settled, too
                change_follow_up(member=member, follow_up_id=follow_up_id, done=True)
        if written.get("disposition") == Disposition.DO_NOT_CALL and call.contact_id is not None:
            change_contact(member=member, contact_id=call.contact_id, do_not_call=True)
        elif written.get("disposition") == Disposition.DO_NOT_CALL:
            add_number(member=member, number=call.to_number)
    return call


def _follow_up(member: Membership, call: CallLog, contact_id: UUID, wanted: FollowUpWanted | None) -> None:
    if wanted is not None:
        create_follow_up(
            member=member,
            contact=contact_id,
            due_at=wanted.due_at,
            text=wanted.text,
            opportunity=call.opportunity_id,
            call_id=call.pk,
        )
        return
    earlier = crm_access.follow_up_after(member, call.pk)
    if earlier is not None and earlier.done_at is None and member.user_id == earlier.owner_id:
        delete_follow_up(member=member, follow_up_id=earlier.pk)


def suggested(call: CallLog) -> str:
    """Return the outcome that the network has told already; empty where only the rep knows."""
    return SAID_BY_THE_NETWORK.get((call.status, call.unanswered_by or ""), "")


SAID_BY_THE_NETWORK = {
    ("busy", "contact"): Disposition.BUSY.value,
    ("no-answer", "contact"): Disposition.NO_ANSWER.value,
}
