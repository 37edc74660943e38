"""Call one contact of a list after the other: each press of a button is one call, and nobody is called twice."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from calls import access, errors, queries
from calls.models import EntryState, Run, RunEntry
from calls.panel import why_busy
from calls.services.start import start_call
from crm import tenancy
from crm.errors import AppError, NotFound
from crm.models import Membership

MOST_CONTACTS = 1_000
# So many refusals in a row take a second or two; then the rep is told, and presses again.
MOST_REFUSED = 50
# What is wrong with this contact, and not with the member, the account or the hour's limits: the next one may do.
OF_THE_CONTACT = (
    errors.DoNotCall,
    errors.CountryNotAllowed,
    errors.CostlyNumber,
    errors.OutsideCallingHours,
    errors.ContactHasNoNumber,
    errors.OwnPhone,
    NotFound,
)


def begin_run(*, member: Membership, contact_ids: Sequence[UUID]) -> Run:
    """Take a list down as it is now, the first thousand of it, to be called through; the run before it is ended.

    Raises: NobodyInTheList.
    """
    wanted = list(dict.fromkeys(contact_ids))[:MOST_CONTACTS]
    if not wanted:
        raise errors.NobodyInTheList
    with tenancy.inside(member.organization_id):
        Membership.objects.select_for_update(no_key=True).get(pk=member.pk)  # two at once take turns
        Run.objects.filter(user=member.user_id, ended_at=None).update(ended_at=timezone.now())
        run = Run.objects.create(user_id=member.user_id, total=len(wanted))
        RunEntry.objects.bulk_create(
            RunEntry(organization_id=member.organization_id, run=run, position=place, contact_id=contact_id)
            for place, contact_id in enumerate(wanted, start=1)
        )
    return run


def call_next(*, member: Membership, run_id: UUID, key: str, caller_id: str = "") -> UUID | None:
    """Call the next contact that may be called; return the call's id, or None when the list is through.

    Each begins as every call does (`start_call`), outside of any transaction. The same `key` is the same press, and
    returns the same call. Who may not be called is passed over, and the list says why.
    Raises: NotFound, NotAllowed, RunIsOver, ManyNotCallable, BadIdempotencyKey, and what `start_call` raises for
    another reason than the contact; the contact then stays the next.
    """
    if not (key.isprintable() and key):
        raise errors.BadIdempotencyKey
    for _refused in range(MOST_REFUSED):
        with tenancy.inside(member.organization_id):
            # Locked while one is chosen: a press that comes meanwhile chooses the same, and is the same call.
            run = access.own_run(member, run_id)
            earlier = queries.call_of_press(member, key)
            if earlier is not None:
                return earlier.pk
            if run.ended_at is not None:
                raise errors.RunIsOver
            if queries.live_call(member):
                raise why_busy(member)
            entry = _next(member, run)
            if entry is None:
                return None
            remembered = queries.remembered_numbers(member, [entry.contact_id]).get(entry.contact_id, "")
            to = remembered if entry.contact.numbers.filter(number=remembered).exists() else ""
        try:
            call_id, _is_new = start_call(
                member=member,
                contact_id=entry.contact_id,
                to=to,
                caller_id=caller_id,
                idempotency_key=f"{queries.RUN_KEY}{entry.pk}:{key}",
            )
        except AppError as error:
            if not _is_of_the_contact(error):
                raise
            _settle(member, run, entry, EntryState.REFUSED, reason=error.code)
        else:
            _settle(member, run, entry, EntryState.CALLED, call_id=call_id)
            return call_id
    raise errors.ManyNotCallable


def skip(*, member: Membership, run_id: UUID, entry_id: UUID) -> None:
    """Pass over a contact that waits. Raises: NotFound, NotAllowed."""
    with tenancy.inside(member.organization_id):
        run = access.own_run(member, run_id)
        entry = RunEntry.objects.filter(run=run, pk=entry_id).first()
        if entry is None:
            raise NotFound
        _settle(member, run, entry, EntryState.SKIPPED)


def end_run(*, member: Membership, run_id: UUID) -> None:
    """Call nobody else of it; the result stays. Raises: NotFound, NotAllowed."""
    with tenancy.inside(member.organization_id):
        _end(access.own_run(member, run_id))


def _next(member: Membership, run: Run) -> RunEntry | None:
    """Choose whom to call; one whom a process called that died before it could say so counts as called."""
    while (entry := queries.next_entry(run)) is not None:
        made = queries.call_of_entry(member, entry)
        if made is None:
            return entry
        _settle(member, run, entry, EntryState.CALLED, call_id=made.pk)
    _end(run)
    return None


def _settle(
    member: Membership, run: Run, entry: RunEntry, state: EntryState, *, reason: str = "", call_id: UUID | None = None
) -> None:
    """Write down what became of a contact that waits; the last one ends the run."""
    with tenancy.inside(member.organization_id), transaction.atomic():
        Run.objects.select_for_update(no_key=True).get(pk=run.pk)
        # Whoever skips a contact while they are being called comes too late.
        open_states = (EntryState.WAITING, EntryState.SKIPPED) if state == EntryState.CALLED else (EntryState.WAITING,)
        RunEntry.objects.filter(pk=entry.pk, state__in=open_states).update(
            state=state, reason=reason, call_id=call_id, settled_at=timezone.now()
        )
        if queries.next_entry(run) is None:
            _end(run)


def _end(run: Run) -> None:
    Run.objects.filter(pk=run.pk, ended_at=None).update(ended_at=timezone.now())


def _is_of_the_contact(error: AppError) -> bool:
    return isinstance(error, OF_THE_CONTACT) or (
        isinstance(error, errors.LimitReached) and error.details.get("limit") == "number_per_day"
    )
