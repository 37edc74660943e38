"""The operator's admin: organizations with their members and their Twilio account; secrets go in and never come out."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from phonenumbers import SUPPORTED_REGIONS

from crm import audit, tenancy
from crm.accounts import take_second_factor, vouch_for_email
from crm.errors import AppError, InvalidNumber
from crm.members import change_member_as_operator
from crm.models import Membership, Organization, User
from crm.numbers import to_e164
from integrations.models import TwilioAccount
from integrations.services.connect import (
    ACCOUNT_SID,
    SECRET,
    BadAuthToken,
    BadCredentials,
    connect_twilio,
    refuse_while_calls_live,
)


class TwilioAccountForm(forms.ModelForm):
    """The account; its token can be replaced and not read."""

    auth_token = forms.CharField(
        label=_("auth token"),
        required=False,
        strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text=_("Write-only. Leave it empty to keep the one that is stored."),
    )

    class Meta:
        model = TwilioAccount
        fields = [
            "account_sid",
            "auth_token",
            "default_caller_id",
            "confirms_with_key",
            "records_calls",
            "ring_seconds",
        ]

    def clean_account_sid(self) -> str:
        """AC and 32 hexadecimal digits."""
        sid: str = self.cleaned_data["account_sid"]
        if not ACCOUNT_SID.fullmatch(sid):
            raise ValidationError(BadCredentials.message)
        return sid

    def clean_auth_token(self) -> str:
        """A new account needs one, of signs that a request to Twilio can carry."""
        token: str = self.cleaned_data["auth_token"]
        if token and not SECRET.fullmatch(token):
            raise ValidationError(BadAuthToken.message)
        if not token and not self.instance.sealed_auth_token:
            raise ValidationError(_("Enter the account's auth token."))
        return token

    def clean_default_caller_id(self) -> str:
        """E.164, or as people in the organization's country write it."""
        return _e164(self.cleaned_data["default_caller_id"], self.instance.organization)

    def clean(self) -> dict[str, Any]:
        """Another account waits until the calls of this one are over, as everywhere."""
        cleaned = super().clean() or {}
        if cleaned.get("account_sid", self.instance.account_sid) != self.instance.account_sid:
            if not cleaned.get("auth_token") and "auth_token" not in self.errors:
                self.add_error("auth_token", _("Enter the account's auth token."))
            try:
                refuse_while_calls_live(cleaned["account_sid"])
            except AppError as refusal:
                self.add_error("account_sid", str(refusal.message))
        return cleaned

    def save(self, commit: bool = True) -> TwilioAccount:
        """Connect it by the service, which also forgets what was another account's, and writes it down."""
        given = {name: self.cleaned_data[name] for name in self.Meta.fields if name != "organization"}
        kept = {name: getattr(self.instance, name) for name in ("api_key_sid", "region", "edge")}
        account = connect_twilio(
            organization=self.instance.organization,
            **given,
            **({} if "account_sid" in self.changed_data else kept),
        )
        self.instance.pk = account.pk
        return account


class MembershipForm(forms.ModelForm):
    """A user, a role, a phone."""

    class Meta:
        model = Membership
        fields = ["user", "role", "phone_number", "is_active"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.fields["user"].disabled = True  # what somebody did stays theirs

    def clean_phone_number(self) -> str:
        """E.164, or as people in the organization's country write it; empty while there is none."""
        typed: str = self.cleaned_data["phone_number"]
        return _e164(typed, self.instance.organization) if typed else ""

    def clean(self) -> dict[str, Any]:
        """Change a member as their admins would: the last admin stays, tokens and sessions end, the audit knows."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        changes = {name: cleaned[name] for name in self.changed_data if name in cleaned and name != "user"}
        if changes and not self.instance._state.adding and not self.errors:
            try:
                with transaction.atomic():
                    change_member_as_operator(member=self.instance, **changes)
                    transaction.set_rollback(True)
            except AppError as error:
                raise ValidationError(str(error.message)) from error
        return cleaned

    def save(self, commit: bool = True) -> Membership:
        """Leave a member who was there to the service."""
        if self.instance._state.adding:
            made: Membership = super().save(commit)
            audit.note(None, audit.MEMBER_ADDED, member=made.user.email, role=made.role)
            return made
        changes = {name: self.cleaned_data[name] for name in self.changed_data if name != "user"}
        return change_member_as_operator(member=self.instance, **changes)


def _e164(typed: str, organization: Organization) -> str:
    try:
        return to_e164(typed, region=organization.region)
    except InvalidNumber as error:
        raise ValidationError(error.message) from error


class TwilioAccountInline(admin.StackedInline):
    """One account per organization."""

    model = TwilioAccount
    form = TwilioAccountForm
    extra = 1
    max_num = 1
    can_delete = False


class MembershipInline(admin.TabularInline):
    """Who works there; a member who left is made inactive, so that their calls keep their name."""

    model = Membership
    form = MembershipForm
    extra = 1
    can_delete = False
    autocomplete_fields = ["user"]


class OrganizationForm(forms.ModelForm):
    """An organization; its country decides how numbers are read and where it may call."""

    def clean_region(self) -> str:
        """ISO 3166, two letters."""
        region: str = self.cleaned_data["region"].upper()
        if region not in SUPPORTED_REGIONS:
            raise ValidationError(_("No country has this code."))
        return region


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):
    """An organization; its tenant rows are edited inside it, and only there."""

    form = OrganizationForm
    list_display = ["name", "slug", "region", "is_active", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}

    def get_inlines(self, request: HttpRequest, obj: Organization | None) -> list[Any]:
        """Members and account come once the organization exists."""
        return [MembershipInline, TwilioAccountInline] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        """Deleting a tenant is no click: make it inactive."""
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show and save one organization inside of it, the page's rendering included."""
        organization = self.get_object(request, object_id) if object_id else None
        if organization is None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        with tenancy.inside(organization.pk):
            response = super().changeform_view(request, object_id, form_url, extra_context)
            if isinstance(response, TemplateResponse):
                response.render()
        return response

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        """Write down for its admins what the operator changed."""
        super().save_model(request, obj, form, change)
        if change and form.changed_data:
            was = {name: form.initial.get(name) for name in form.changed_data}
            now = {name: form.cleaned_data[name] for name in form.changed_data}
            audit.note(None, audit.ORGANIZATION_CHANGED, **now, before=was)

    def response_add(self, request: HttpRequest, obj: Organization, post_url_continue: str | None = None) -> Any:
        """Go on to the members and the account of a new organization."""
        return redirect("admin:crm_organization_change", obj.pk)


# Whose addresses and second factors they are is on the person's page; what allauth would show are its columns.
admin.site.unregister([EmailAddress, Authenticator])


@admin.register(User)
class PersonAdmin(UserAdmin):
    """A person, who signs in by e-mail."""

    add_form = AdminUserCreationForm
    ordering = ["email"]
    list_display = ["email", "name", "is_active", "is_staff"]
    search_fields = ["email", "name"]
    fieldsets = [
        (None, {"fields": ["email", "password", "name"]}),
        (_("Access"), {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "name", "usable_password", "password1", "password2"]})]
    readonly_fields = ["date_joined", "last_login"]
    actions = ["take_second_factor"]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Believe the address that the operator typed."""
        super().save_model(request, obj, form, change)
        vouch_for_email(obj)

    @admin.action(description=_("Take away the second factor (its owner lost it)"), permissions=["change"])
    def take_second_factor(self, request: HttpRequest, people: QuerySet[User]) -> None:
        """Let somebody who has lost their phone and their codes in again with the password alone."""
        for person in people:
            take_second_factor(person)
            self.log_change(request, person, "Second factor taken away")
        self.message_user(request, _("They log in with their password, and can set up another."))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Calls, journal and members keep their people: who has left is made inactive."""
        return False
