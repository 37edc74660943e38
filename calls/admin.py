"""The operator's view of reconcile: how far it is behind, what fails, what is dead, and once more for the dead."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calls.models import DueCall
from calls.reconcile import dead, sweep
from calls.reconcile.apply import APPLY
from crm import wake
from crm.models import Organization


class Trouble(admin.SimpleListFilter):
    """What an operator looks for."""

    title = _("trouble")
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the kinds."""
        return [
            ("dead", _("Dead facts")),
            ("failing", _("Failing")),
            ("unapplied", _("Unapplied facts")),
            ("overdue", _("Overdue")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DueCall]) -> QuerySet[DueCall]:
        """Keep the calls of the chosen kind."""
        kinds = {
            "dead": Q(dead__gt=0),
            "failing": Q(failures__gt=0),
            "unapplied": sweep.UNAPPLIED,
            "overdue": Q(due_at__lte=timezone.now()),
        }
        return queryset.filter(kinds.get(self.value() or "", Q()))


@admin.register(DueCall)
class DueCallAdmin(admin.ModelAdmin):
    """The sweeper's list: it tells that a call exists and what is wrong with it, and nothing of what was said."""

    list_display = (
        *("call_id", "organization", "is_live", "due_at", "unapplied_since", "aside_since"),
        *("failures", "dead", "last_error"),
    )
    list_filter = [Trouble, "is_live"]
    ordering = ["-dead", "-failures", "due_at"]
    actions = ["replay"]
    fields = (*list_display, "asked", "dead_facts")
    readonly_fields = fields
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[DueCall]:
        """Return the list, with each organization's name."""
        name = Organization.objects.filter(pk=OuterRef("organization_id")).values("name")[:1]
        found: QuerySet[DueCall] = super().get_queryset(request).annotate(organization_name=Subquery(name))
        return found

    @admin.display(description=_("organization"))
    def organization(self, due: Any) -> str:
        """Return its name."""
        return str(due.organization_name)

    @admin.display(description=_("dead facts"))
    def dead_facts(self, due: DueCall) -> SafeString | str:
        """List what could not be applied and why; not what it says."""
        letters = list(dead.dead_letters(due.organization_id, due.call_id))
        if not letters:
            return "–"
        lines = ((one.received_at.isoformat(" ", "seconds"), one.source, one.kind, one.last_error) for one in letters)
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{} {} {}: {}</li>", lines))

    @admin.action(description=_("Replay the dead facts of the selected calls"), permissions=["view"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DueCall]) -> None:
        """Give the dead facts of these calls all their tries again."""
        count = sum(dead.revive(due.organization_id, due.call_id) for due in queryset)
        wake.after_commit(APPLY)
        said = _("Facts that are applied again: %(count)d") % {"count": count}
        self.message_user(request, said, messages.SUCCESS if count else messages.WARNING)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show how far behind we are above the list."""
        return super().changelist_view(request, {**(extra_context or {}), "backlog": sweep.backlog()})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The machinery writes this list."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: DueCall | None = None) -> bool:
        """The machinery writes this list."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DueCall | None = None) -> bool:
        """A call that is taken off it would be forgotten."""
        return False
