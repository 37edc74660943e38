"""Write down how a conversation went."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from calls import access
from calls.errors import CallIsLive
from calls.models import CallLog, Disposition
from crm import tenancy
from crm.contacts import change_contact
from crm.do_not_call import add_number
from crm.errors import AppError
from crm.models import Membership

LONGEST_NOTE = 10_000


class BadOutcome(AppError):
    """An outcome that there is none of, or a note that is too long."""

    code = "bad_outcome"


def wrap_up(*, member: Membership, call_id: UUID, disposition: str | None = None, notes: str | None = None) -> CallLog:
    """Keep the outcome and the note of a call that `member` may see; None leaves either as it is, "" empties it.

    A note can be written while the call lives, an outcome once it is over. “Do not call” marks the contact, or lists
    the number of nobody's contact, all or nothing; taking it back is an admin's. Only these columns are written, so no
    fact that comes meanwhile is lost. Raises: NotFound, BadOutcome, CallIsLive.
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
        changes = {"disposition": disposition, "notes": notes}
        written = {name: value for name, value in changes.items() if value is not None and value != getattr(call, name)}
        for name, value in written.items():
            setattr(call, name, value)
        if written:
            call.save(update_fields=[*written, "updated_at"])
        if written.get("disposition") == Disposition.DO_NOT_CALL and call.contact_id is not None:
            change_contact(member=member, contact_id=call.contact_id, do_not_call=True)
        elif written.get("disposition") == Disposition.DO_NOT_CALL:
            add_number(member=member, number=call.to_number)
    return call


def suggested(call: CallLog) -> str:
    """Return the outcome that the network has told already; empty where only the rep knows."""
    return SAID_BY_THE_NETWORK.get((call.status, call.unanswered_by or ""), "")


SAID_BY_THE_NETWORK = {
    ("busy", "contact"): Disposition.BUSY.value,
    ("no-answer", "contact"): Disposition.NO_ANSWER.value,
}
