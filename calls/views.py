"""Pages about contacts and calls: whom to call, the live panel, the history, one call."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from calls import access, journal, queries, sentences
from calls import panel as panels
from calls.errors import CallIsOver
from calls.models import CallLog, CallStatus, JournalEntry, Recording, RecordingStatus
from calls.reconcile.apply import apply_callbacks
from calls.rules.explain import Told, Word, explain
from calls.services.hangup import hang_up
from calls.services.start import start_call
from crm import access as crm_access
from crm import queries as crm_queries
from crm import tenancy
from crm.doors import in_organization
from crm.errors import AppError, NotFound
from crm.models import Contact, Membership
from crm.pages import is_part, page
from integrations.twilio.words import News, timestamp

PAGE_ROWS = 50
COUNTED = 1000
TIMELINE_ROWS = 20
# How long after its end a call's page waits for the recording.
RECORDING_COMES = timedelta(minutes=10)


@page
@require_GET
@in_organization
def contacts(request: Any) -> HttpResponse:
    """List the organization's contacts with a call button beside each number; `q` searches, `after` pages."""
    search = request.GET.get("q", "").strip()
    rows = crm_queries.contacts(request.member, search=search)
    shown = list(_behind(rows, request.GET.get("after"))[: PAGE_ROWS + 1])
    context = {
        "search": search,
        "contacts": shown[:PAGE_ROWS],
        "after": shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None,
        "ready": panels.readiness(request.member),
        "section": "contacts",
    }
    part = is_part(request, "contacts") or is_part(request, "more-contacts")
    return render(request, "contacts/_rows.html" if part else "contacts/list.html", context)


def _behind(rows: QuerySet[Contact], contact_id: str | None) -> QuerySet[Contact]:
    """Rows by name behind one contact; all of them if it is gone."""
    last = rows.filter(pk=contact_id).first() if contact_id and _is_id(contact_id) else None
    return rows.filter(Q(name__gt=last.name) | Q(name=last.name, pk__gt=last.pk)) if last else rows


def _is_id(text: str | None) -> bool:
    try:
        return bool(UUID(text or ""))
    except ValueError:
        return False


@page
@require_GET
@in_organization
def contact(request: Any, contact_id: UUID) -> HttpResponse:
    """Show a contact's numbers, and the calls with them that the member may see."""
    found = crm_access.get_contact(request.member, contact_id)
    rows = list(queries.calls(request.member).filter(contact=found)[: TIMELINE_ROWS + 1])
    context = {
        "contact": found,
        "rows": [_row(one) for one in rows[:TIMELINE_ROWS]],
        "has_more": len(rows) > TIMELINE_ROWS,
        "ready": panels.readiness(request.member),
        "section": "contacts",
    }
    return render(request, "contacts/contact.html", context)


@page
@require_POST
def start(request: Any) -> HttpResponse:
    """Ring the member's phone, then the contact's; answer the panel. Outside of any transaction: Twilio is asked.

    The form's `key` makes a second click of the same button the same call.
    """
    contact_id = request.POST.get("contact", "")
    if contact_id and not _is_id(contact_id):
        raise NotFound
    try:
        call_id, _created = start_call(
            member=request.member,
            contact_id=UUID(contact_id) if contact_id else None,
            to=request.POST.get("to", ""),
            idempotency_key=request.POST.get("key", "")[:200] or None,
        )
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


@dataclass(frozen=True, slots=True)
class Row:
    """A call in a list, with its words."""

    call: CallLog
    name: str
    words: str
    tone: str


def _row(call: CallLog) -> Row:
    return Row(call=call, name=panels.whom(call), words=panels.outcome_words(call), tone=panels.tone(call))


@page
@require_GET
@in_organization
def calls(request: Any) -> HttpResponse:
    """List calls, newest first: a rep's own, the team's for managers and admins; `before` pages by id."""
    rows = queries.calls(request.member)
    counted = rows.values("pk")[: COUNTED + 1].count()
    before = request.GET.get("before")
    if _is_id(before):
        rows = rows.filter(pk__lt=before)
    shown = list(rows[: PAGE_ROWS + 1])
    context = {
        "rows": [_row(one) for one in shown[:PAGE_ROWS]],
        "before": shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None,
        "is_first": not _is_id(before),
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
        "row": _row(found),
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
    told = explain([_news(one) for one in entries], settled=None if call.is_live else call.status)
    shown = [_entry(number, entry, one) for number, (entry, one) in enumerate(zip(entries, told, strict=True), start=1)]
    for one, about in zip(shown, told, strict=True):
        one.lines = [_line(word, shown) for word in about.words]
    return shown


def _news(entry: JournalEntry) -> list[News] | None:
    """What an entry says; None while the call does not know it. A note of a kind that is no news says nothing."""
    if entry.applied_at is None:
        return None
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
    if not call.is_recorded:
        return _("Not recorded (recording is off)")
    if call.is_live:
        return _("The recording comes after the call.")
    if _recording_may_come(call):
        return _("Processing…")
    return _("Nothing was recorded")
