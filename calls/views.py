"""Pages about calls: the live panel, the history, one call."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from calls import access, journal, queries, sentences
from calls import panel as panels
from calls.errors import CallIsLive, CallIsOver
from calls.models import CallLog, CallStatus, JournalEntry, Recording, RecordingStatus
from calls.reconcile.apply import apply_callbacks
from calls.rules.explain import Told, Word, explain
from calls.services.hangup import hang_up
from calls.services.phone import start_test_call
from calls.services.start import start_call
from calls.services.wrap_up import BadOutcome, wrap_up
from crm import tenancy
from crm.doors import in_organization
from crm.errors import AppError, NotFound
from crm.models import Membership
from crm.pages import is_part, page, place_in
from integrations.twilio.words import News, timestamp

PAGE_ROWS = 50
COUNTED = 1000
# How long after its end a call's page waits for the recording.
RECORDING_COMES = timedelta(minutes=10)


def _is_id(text: str | None) -> bool:
    try:
        return bool(UUID(text or ""))
    except ValueError:
        return False


@page
@require_POST
def start(request: Any) -> HttpResponse:
    """Ring the member's phone, then the contact's; answer the panel. Outside of any transaction: Twilio is asked.

    The form's `key` makes a second click of the same button the same call.
    """
    contact_id, opportunity_id = (request.POST.get(name, "") for name in ("contact", "opportunity"))
    if any(text and not _is_id(text) for text in (contact_id, opportunity_id)):
        raise NotFound
    return _started(
        request,
        lambda key: start_call(
            member=request.member,
            contact_id=UUID(contact_id) if contact_id else None,
            to=request.POST.get("to", ""),
            opportunity_id=UUID(opportunity_id) if opportunity_id else None,
            idempotency_key=key,
        ),
    )


@page
@require_POST
def test_phone(request: Any) -> HttpResponse:
    """Ring the member's own phone and ask for a key; answer the panel. Outside of any transaction, as above."""
    return _started(request, lambda key: start_test_call(member=request.member, idempotency_key=key))


def _started(request: Any, begin: Callable[[str | None], tuple[UUID, bool]]) -> HttpResponse:
    try:
        call_id, _created = begin(request.POST.get("key", "")[:200] or None)
    except AppError as error:
        if not request.htmx:
            raise
        return _panel(request, error)
    request.session.pop("dismissed_call", None)
    return _panel(request) if request.htmx else redirect("call", call_id)


@page
@require_POST
def hangup(request: Any, call_id: UUID) -> HttpResponse:
    """End a call, whatever its state; one that is over already is what was wanted. Outside of any transaction."""
    try:
        hang_up(member=request.member, call_id=call_id)
    except CallIsOver:
        pass
    except AppError as error:
        if not request.htmx or error.status == 404:
            raise
        return _panel(request, error)
    return _panel(request) if request.htmx else redirect("call", call_id)


@page
@require_POST
def outcome(request: Any, call_id: UUID) -> HttpResponse:
    """Keep how a call went, from its page or from the panel; htmx gets the form back."""
    error = None
    try:
        wrap_up(
            member=request.member,
            call_id=call_id,
            disposition=request.POST.get("disposition", ""),
            notes=request.POST.get("notes", "").replace("\r\n", "\n"),
        )
    except (BadOutcome, CallIsLive) as refused:
        if not request.htmx:
            raise
        error = str(refused.message)
    if not request.htmx:
        return redirect("call", call_id)
    with tenancy.inside(request.member.organization_id):
        call = access.get_call(request.member, call_id)
    context = {"call": call, "place": request.POST.get("place", "")[:5], "is_saved": error is None, "wrong": error}
    return render(request, "calls/_wrap_up.html", context)


@page
@require_GET
def live(request: Any) -> HttpResponse:
    """Answer the live panel; nothing at all (204) while it is as the page has `seen` it."""
    return _panel(request)


@page
@require_POST
def dismiss(request: Any) -> HttpResponse:
    """Put a call that is over out of sight, on every page of this session."""
    request.session["dismissed_call"] = request.POST.get("call", "")[:36]
    return _panel(request) if request.htmx else redirect("contacts")


def _panel(request: Any, error: AppError | None = None) -> HttpResponse:
    _catch_up(request.member)
    with tenancy.inside(request.member.organization_id):
        found = panels.panel(request.member, dismissed=request.session.get("dismissed_call"))
        if error is not None:
            found = panels.refused(found, error)
        elif request.GET.get("seen") == found.seen:
            return HttpResponse(status=204)
        response = render(request, "calls/_panel.html", {"panel": found})
    if request.method == "POST" or "seen" in request.GET:
        response["HX-Trigger"] = "call-changed"  # lists of calls that are open follow
    if error is not None:
        response.status_code = error.status
        response["X-Swap"] = "yes"  # static/app.js: an error, and yet the page to show
    return response


def _catch_up(member: Membership) -> None:
    """Apply what no worker has applied yet: with the broker down, the panel still says whose phone rings."""
    with tenancy.inside(member.organization_id):
        call = queries.live_call(member)
        waiting = call is not None and queries.journal(call).filter(applied_at=None).exists()
    if call is not None and waiting:
        apply_callbacks(member.organization_id, call.pk)


@page
@require_GET
@in_organization
def calls(request: Any) -> HttpResponse:
    """List calls, newest first: a rep's own, the team's for managers and admins; `before` pages by id."""
    rows = queries.conversations(request.member)
    counted = rows.values("pk")[: COUNTED + 1].count()
    before = place_in(request, "before")
    shown = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_ROWS + 1])
    context = {
        "rows": [panels.row_of(one) for one in shown[:PAGE_ROWS]],
        "before": shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None,
        "is_first": before is None,
        "count": number_format(min(counted, COUNTED), force_grouping=True) + "+" * (counted > COUNTED),
        "ready": panels.readiness(request.member),
        "section": "calls",
    }
    return render(request, "calls/list.html", context)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a journal entry says: what it was before, what it became, and whose word stands if not this."""

    label: str
    after: sentences.Shown
    before: sentences.Shown | None = None
    won: bool = False
    overruled_by: "Entry | None" = None
    stands: sentences.Shown | None = None


@dataclass(slots=True)
class Entry:
    """A journal entry with the time that it happened at, what it changed, and what became of its word."""

    entry: JournalEntry
    number: int
    title: str
    status: str
    event_at: datetime | None
    parameters: list[tuple[str, sentences.Shown]]
    is_news: bool
    lines: list[Line] = field(default_factory=list)


@page
@require_GET
@in_organization
def call(request: Any, call_id: UUID) -> HttpResponse:
    """Show everything known of one call; its main part refreshes itself until nothing more will come."""
    found = access.get_call(request.member, call_id)
    entries = list(queries.journal(found))
    recordings = list(queries.recordings(found))
    ready = panels.readiness(request.member)
    told = [
        *(
            found.updated_at,
            ready.blocked,
            ready.busy,
            [(one.status, one.stored_at, one.deleted_at) for one in recordings],
        ),
        [(one.digest, one.applied_at, one.failures) for one in entries],
    ]
    seen = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
    polls = _polls(found, recordings)
    if polls and request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context = {
        "call": found,
        "row": panels.row_of(found),
        "error": sentences.error_sentence(found),
        "legs": list(found.legs.all()),
        "journal": _journal(found, entries),
        "recordings": recordings,
        "is_watched": queries.is_watched(found),
        "may_play": request.member.is_at_least(queries.rules().may_play),
        "no_recording": "" if recordings else _no_recording(found),
        "polls": polls,
        "seen": seen,
        "ready": ready,
        "section": "calls",
    }
    return render(request, "calls/_call.html" if is_part(request, "call") else "calls/call.html", context)


def _journal(call: CallLog, entries: list[JournalEntry]) -> list[Entry]:
    """Tell the entries: each with what it changed when they are folded in order of arrival."""
    settled = None if call.is_live else call.status
    told = explain([_news(call, one) for one in entries], settled=settled, is_test=call.is_test)
    shown = [_entry(number, entry, one) for number, (entry, one) in enumerate(zip(entries, told, strict=True), start=1)]
    for one, about in zip(shown, told, strict=True):
        one.lines = [_line(word, shown) for word in about.words]
    return shown


def _news(call: CallLog, entry: JournalEntry) -> list[News] | None:
    """What an entry says; None while the call does not know it. A note of a kind that is no news says nothing."""
    if entry.applied_at is None:
        return None
    if not journal.is_heard(call, entry):
        return []
    try:
        return journal.news_of([entry])
    except (LookupError, TypeError, ValueError):
        return []


def _entry(number: int, entry: JournalEntry, told: Told) -> Entry:
    said = entry.payload
    return Entry(
        entry=entry,
        number=number,
        title=sentences.entry_title(entry.source, entry.kind),
        status=sentences.entry_status(said),
        event_at=_event_at(said),
        parameters=[(name, sentences.parameter_value(value)) for name, value in sorted(said.items())],
        is_news=told.said,
    )


def _event_at(said: dict[str, Any]) -> datetime | None:
    """When it happened: by Twilio's clock where it says so, by ours for a step of our own."""
    try:
        return timestamp(str(said.get("Timestamp") or "")) or datetime.fromisoformat(str(said.get("at")))
    except ValueError:
        return None


def _line(word: Word, entries: list[Entry]) -> Line:
    def shown(value: Any) -> sentences.Shown:
        return sentences.field_value(word.field, value)

    overruled = word.overruled_by is not None
    return Line(
        label=sentences.field_label(word.field),
        before=shown(word.before) if word.changed and word.before is not None else None,
        after=shown(word.after),
        won=word.won,
        overruled_by=entries[word.overruled_by] if word.overruled_by is not None else None,
        stands=shown(word.stands) if overruled else None,
    )


def _polls(call: CallLog, recordings: list[Recording]) -> bool:
    """Will more come soon? While the call lives, and until its recording can be played."""
    if call.is_live:
        return True
    if not _is_fresh(call):
        return False
    if not recordings:
        return _recording_may_come(call)
    return any(
        not one.stored_at and one.status in (RecordingStatus.IN_PROGRESS, RecordingStatus.COMPLETED)
        for one in recordings
    )


def _is_fresh(call: CallLog) -> bool:
    return timezone.now() - (call.ended_at or call.created_at) < RECORDING_COMES


def _recording_may_come(call: CallLog) -> bool:
    return call.is_recorded and call.status == CallStatus.COMPLETED and _is_fresh(call)


def _no_recording(call: CallLog) -> str:
    if call.is_test:
        return _("A test call is not recorded.")
    if not call.is_recorded:
        return _("Not recorded (recording is off)")
    if call.is_live:
        return _("The recording comes after the call.")
    if _recording_may_come(call):
        return _("Processing…")
    return _("Nothing was recorded")
