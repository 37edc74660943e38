"""Pages of figures: the dashboard, and the live board."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from calls import board as boards
from calls import dashboard as shown
from calls import figures, panel
from calls.charts import column_chart
from calls.figures import Tally
from calls.forms_figures import CHOICES, FiguresForm
from crm.access import members_of, require_manager
from crm.doors import in_organization
from crm.models import Role
from crm.pages import is_part, page


@page
@require_safe
@in_organization
def dashboard(request: Any) -> HttpResponse:
    """Show the figures of some days: the team's, or one rep's; a rep sees their own."""
    member = request.member
    team = list(members_of(member).order_by("user__name", "user__email")) if member.sees_whole_team else []
    names = {one.user_id: str(one.user) for one in team}
    form = FiguresForm(request.GET, people=names.items())
    form.is_valid()  # what is wrong with it stands beside it
    zone = timezone.get_current_timezone()
    period = form.period(now=timezone.now(), zone=zone)
    scope = shown.Scope(period, form.user_id)
    hours = figures.by_hour(member, period, user_id=scope.user_id)
    now = Tally.sum(one.tally for one in hours)
    before = figures.total(member, period.comparable, user_id=scope.user_id)
    reps = {one.user_id for one in team if one.role == Role.REP and one.is_active and one.user.is_active}
    by_rep = figures.by_rep(member, period.stretch) if team and not scope.user_id else {}
    bars = shown.bars(scope, hours)
    context = {
        "form": form,
        "choices": _choices(form),
        "period": period,
        "days": shown.days_words(period.first, period.last),
        "days_before": shown.days_words(period.before.first, period.before.last),
        "zone": zone,
        "who": names.get(scope.user_id, "") if scope.user_id else "",
        "scope": scope,
        "now": now,
        "live_link": shown.live_link(scope),
        "cards": shown.cards(scope, now, before),
        "bars": bars,
        "bars_title": shown.bars_title(period),
        "chart": column_chart(bars),
        "reps": shown.rep_rows(scope, by_rep, names=names, reps=reps) if team and not scope.user_id else [],
        "heat": shown.heat(scope, hours) if period.length > 1 else None,
        "enough": shown.ENOUGH,
        "outcomes": shown.outcome_rows(scope, figures.by_outcome(member, period.stretch, user_id=scope.user_id)),
        "ready": panel.readiness(member),
        "section": "dashboard",
    }
    return render(request, "dashboard/dashboard.html", context)


def _choices(form: FiguresForm) -> list[tuple[str, str, bool]]:
    """The periods to choose from: name, address, and whether it is the one that is shown."""
    names = {1: _("Today"), 7: _("7 days"), 30: _("30 days"), 90: _("90 days")}
    user = {"user": str(form.user_id)} if form.user_id else {}
    return [(names[days], "?" + urlencode({"days": days} | user), days == form.chosen_days) for days in CHOICES]


@page
@require_safe
@in_organization
def live_board(request: Any) -> HttpResponse:
    """Show who is on a call, to managers and admins; htmx gets nothing at all (204) while it is as it has `seen` it."""
    require_manager(request.member)
    found = boards.board(request.member)
    is_for_htmx = is_part(request, "board")
    if is_for_htmx and request.GET.get("seen") == found.seen:
        return HttpResponse(status=204)
    context = {"board": found, "ready": panel.readiness(request.member), "section": "live"}
    return render(request, "dashboard/_board.html" if is_for_htmx else "dashboard/live.html", context)
