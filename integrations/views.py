"""The set-up page of an organization's Twilio account, for its admins."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from crm import tenancy
from crm.access import require_admin
from crm.errors import AppError
from crm.models import Membership
from crm.pages import explain_beside, page
from integrations import access, checks
from integrations.api import webhook_address
from integrations.forms import ConnectForm, NextTokenForm
from integrations.models import TwilioAccount
from integrations.services.connect import connect_twilio, refuse_bad_token
from integrations.services.rotate import promote_token, set_next_token

NUMBERS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One of the set-up: where it is on the page, and whether it is done, wrong or still to do."""

    anchor: str
    title: str
    is_done: bool
    is_wrong: bool = False


@page
@require_http_methods(["GET", "HEAD", "POST"])
def twilio(request: Any) -> HttpResponse:
    """Show how far the set-up is; a POST connects the account, and has Twilio asked about it."""
    require_admin(request.member)
    account = _account(request.member)
    form = ConnectForm(request.POST if request.method == "POST" else None, account=account)
    if request.method == "POST" and form.is_valid():
        try:
            connect_twilio(organization=request.member.organization, by=request.member, **form.cleaned_data)
        except AppError as error:
            explain_beside(form, error)
        else:
            return _verified(request, is_saved=True)
    return _shown(request, account, form=form)


@page
@require_POST
def verify(request: Any) -> HttpResponse:
    """Ask Twilio, without placing a call. Outside of any transaction."""
    require_admin(request.member)
    return _verified(request)


@page
@require_POST
def next_token(request: Any) -> HttpResponse:
    """Accept a second token once Twilio has; with `forget`, no longer."""
    require_admin(request.member)
    member = request.member
    if "forget" in request.POST:
        try:
            set_next_token(organization=member.organization, next_auth_token="", by=member)
        except AppError as error:
            messages.error(request, str(error.message))
        return redirect("twilio")
    form = NextTokenForm(request.POST)
    if form.is_valid():
        token = form.cleaned_data["auth_token"]
        try:
            refuse_bad_token(token, field="auth_token")
            checks.try_token(member.organization_id, token)
            set_next_token(organization=member.organization, next_auth_token=token, by=member)
        except AppError as error:
            explain_beside(form, error)
        else:
            return redirect("twilio")
    return _shown(request, _account(member), next_form=form)


@page
@require_POST
def promote(request: Any) -> HttpResponse:
    """End a rotation: the old token is dropped."""
    require_admin(request.member)
    try:
        promote_token(organization=request.member.organization, now="now" in request.POST, by=request.member)
    except AppError as error:
        messages.error(request, str(error.message))
    else:
        messages.success(request, _("The old token is no longer accepted."))
    return redirect("twilio")


def _account(member: Membership) -> TwilioAccount | None:
    with tenancy.inside(member.organization_id):
        return access.account_of(member.organization_id)


def _verified(request: Any, *, is_saved: bool = False) -> HttpResponse:
    """Ask Twilio; what was saved and does not work is no success."""
    try:
        found = checks.verify(request.member.organization_id)
    except AppError as error:
        messages.error(request, str(error.message))
        found = []
    if is_saved and any(one["result"] == checks.FAILED for one in found):
        messages.error(request, _("Saved, but it does not work yet: what is wrong stands under “Verification”."))
    elif is_saved:
        messages.success(request, _("Saved."))
    return redirect("twilio")


def _steps(member: Membership, account: TwilioAccount) -> list[Step]:
    """Return what it takes until calls work, as far as it is known: nothing is done that nobody has seen done."""
    wrong = {one["check"] for one in account.checks if one["result"] == checks.FAILED}
    asked = {one["check"] for one in account.checks if one["result"] != checks.UNKNOWN}

    def checked(anchor: str, title: str, *parts: str) -> Step:
        return Step(anchor, title, asked.issuperset(parts) and not wrong.intersection(parts), bool(wrong & {*parts}))

    signed = account.signed_at is not None
    return [
        checked("account-title", _("Account"), "account"),
        checked("numbers-title", _("Numbers"), "numbers", "caller_id"),
        Step("test-title", _("Test call"), member.phone_checked_at is not None),
        Step("webhook-title", _("Callbacks"), signed, not signed and "origin" in wrong),
    ]


def _shown(
    request: Any,
    account: TwilioAccount | None,
    *,
    form: ConnectForm | None = None,
    next_form: NextTokenForm | None = None,
) -> HttpResponse:
    with tenancy.inside(request.member.organization_id):
        numbers = list(access.numbers_of(request.member.organization_id)[: NUMBERS_SHOWN + 1])
    steps = _steps(request.member, account) if account else []
    context = {
        "account": account,
        "steps": steps,
        "done": sum(one.is_done for one in steps),
        "form": form or ConnectForm(account=account),
        "next_form": next_form or NextTokenForm(),
        "findings": checks.worded(account.checks) if account else [],
        "numbers": numbers[:NUMBERS_SHOWN],
        "has_more_numbers": len(numbers) > NUMBERS_SHOWN,
        "webhook_address": webhook_address(account) if account else "",
        "rejected_why": checks.refusal_of(account.last_rejected_why) if account else "",
        "section": "settings",
    }
    return render(request, "integrations/twilio.html", context)
