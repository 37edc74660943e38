"""One call or recording for a member: a foreign row, or another rep's, is missing."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from calls import queries
from calls.models import CallLog, Recording, Run
from crm.errors import NotAllowed, NotFound
from crm.models import Membership


def get_call(member: Membership, call_id: UUID) -> CallLog:
    """Return a call that `member` may see, with contact, rep and legs. Raises: NotFound."""
    found = queries.calls(member).filter(pk=call_id).first()
    if found is None:
        raise NotFound
    return found


def get_run(member: Membership, run_id: UUID) -> Run:
    """Return a run that `member` may see. Raises: NotFound."""
    found = queries.runs(member).filter(pk=run_id).first()
    if found is None:
        raise NotFound
    return found


def own_run(member: Membership, run_id: UUID) -> Run:
    """Return `member`'s own run, locked: its presses take turns. Raises: NotFound, NotAllowed for a colleague's."""
    found = get_run(member, run_id)
    if found.user_id != member.user_id:
        raise NotAllowed(_("Only whoever began these calls goes on with them."))
    return Run.objects.select_for_update(no_key=True).get(pk=run_id)


def get_recording(member: Membership, recording_id: UUID) -> Recording:
    """Return a recording of a call that `member` may see. Raises: NotFound."""
    found = (
        Recording.objects.filter(pk=recording_id, call__in=queries.calls(member).values("pk"))
        .select_related("call")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def get_audio(member: Membership, recording_id: UUID, *, as_file: bool) -> Recording:
    """Return a recording that `member` may listen to, or download. Raises: NotFound, NotAllowed."""
    recording, rules = get_recording(member, recording_id), queries.rules()
    if not member.is_at_least(rules.may_download if as_file else rules.may_play):
        raise NotAllowed
    return recording
