"""The page of the audit, for an organization's admins: who did what, as sentences."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from crm import audit
from crm.access import require_admin
from crm.api_audit import EntryFilter
from crm.audit_sentences import choices, sentence_of
from crm.doors import in_organization
from crm.forms import AuditForm
from crm.models import AuditEntry, User
from crm.pages import is_part, page, place_in

PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Line:
    """An entry with its sentence, what it says word by word, and the call that it is about."""

    entry: AuditEntry
    sentence: str
    details: list[tuple[str, object]]
    call: UUID | None


@page
@require_safe
@in_organization
def entries(request: Any) -> HttpResponse:
    """Show what was done and refused, newest first; the filters are the REST export's, `before` pages by id."""
    require_admin(request.member)
    people = audit.people(request.member)
    members = [(str(pk), f"{user.name} ({user.email})" if user.name else user.email) for pk, user in people.items()]
    form = AuditForm(request.GET, actions=choices(), members=members)
    form.is_valid()  # what is wrong with a filter stands beside it, and narrows nothing
    filters = form.filters()
    rows = EntryFilter(filters, queryset=audit.entries(request.member)).qs
    before = place_in(request, "before")
    shown = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_ROWS + 1])
    kept = {name: request.GET[name] for name in form.fields if request.GET.get(name)}
    older = {"before": shown[PAGE_ROWS - 1].pk} if len(shown) > PAGE_ROWS else None
    context = {
        "form": form,
        "is_narrowed": bool(filters),
        "lines": [_line(one, people) for one in shown[:PAGE_ROWS]],
        "older": urlencode(kept | older) if older else "",
        "export": f"{reverse('api-audit-export')}?{urlencode(filters)}",
        "section": "settings",
    }
    return render(request, "audit/_lines.html" if is_part(request, "more-lines") else "audit/list.html", context)


def _line(entry: AuditEntry, people: dict[UUID, User]) -> Line:
    try:
        call = UUID(str(entry.details.get("call")))
    except ValueError:
        call = None
    return Line(entry, sentence_of(entry, people), list(entry.details.items()), call)
