"""The page of the organization's rules of calling, for its admins."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from calls import queries
from calls.forms import RulesForm
from calls.services.rules import BadRule, set_rules
from crm import tenancy
from crm.access import require_admin
from crm.countries import country_name
from crm.pages import explain_beside, page
from integrations.access import account_of


@page
@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: Any) -> HttpResponse:
    """Show the rules; a POST changes those that this admin changed. They count from the next call on."""
    require_admin(request.member)
    organization = request.member.organization
    with tenancy.inside(organization.pk):
        current, account, spent = queries.rules(), account_of(organization.pk), queries.spent_today()
    own_country = organization.region.upper()
    form = RulesForm(request.POST if request.method == "POST" else None, rules=current, own_country=own_country)
    if request.method == "POST" and form.is_valid():
        try:
            changes = form.changes()
            set_rules(organization=organization, by=request.member, **changes)
        except BadRule as error:
            explain_beside(form, error)
        else:
            said = _("Saved. The rules count from the next call on.") if changes else _("Nothing was changed.")
            messages.success(request, said)
            return redirect("rules")
    context = {
        "form": form,
        "account": account,
        "spent": spent,
        "chosen": [country_name(code) for code in current.allowed_countries or [own_country]],
        "section": "settings",
    }
    return render(request, "calls/rules.html", context)
