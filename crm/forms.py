"""What a member types on the pages of the CRM core. The services judge it; a form only carries it there and back."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from crm.countries import countries
from crm.models import Membership, Organization, Role
from crm.numbers import for_display

PHONE = {"inputmode": "tel", "autocomplete": "tel"}


class ListNumberForm(forms.Form):
    """A number that nobody may call any more."""

    number = forms.CharField(
        label=_("Number"), max_length=40, widget=forms.TextInput({"inputmode": "tel", "autocomplete": "off"})
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=200, required=False, widget=forms.TextInput({"autocomplete": "off"})
    )


class ImportForm(forms.Form):
    """A file of such numbers."""

    file = forms.FileField(
        label=_("CSV file"),
        help_text=_("One number in a row; with several columns, “number” above the one that counts. At most 2 MB."),
        widget=forms.FileInput({"accept": ".csv,.txt,text/csv,text/plain"}),
        error_messages={"required": _("Choose a file."), "empty": _("This file is empty.")},
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        required=False,
        widget=forms.TextInput({"autocomplete": "off", "id": "id_import_reason"}),
    )


def _day(label: Any) -> forms.DateField:
    limits = [MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2999, 12, 31))]
    widget = forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, required=False, widget=widget, validators=limits)


class AuditForm(forms.Form):
    """What the audit is narrowed by; the days are those of the reader's `zone`, which a script fills in."""

    action = forms.ChoiceField(label=_("What"), required=False)
    user = forms.ChoiceField(label=_("Who"), required=False)
    since = _day(_("From"))
    until = _day(_("To"))
    zone = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput({"data-zone": ""}))

    def __init__(self, data: Any, *, actions: list[tuple[str, Any]], members: list[tuple[str, str]]) -> None:
        super().__init__(data)
        anything: list[tuple[str, Any]] = [("", _("Everything"))]
        everybody: list[tuple[str, Any]] = [("", _("Everybody"))]
        self.fields["action"].choices = anything + actions  # type: ignore[attr-defined]
        self.fields["user"].choices = everybody + members  # type: ignore[attr-defined]

    def clean(self) -> None:
        """A span that ends before it begins is a slip."""
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and until < since:
            self.add_error("until", _("This is before the first day."))

    def filters(self) -> dict[str, str]:
        """Return what is valid of it as the REST endpoint's filters: times with their offset, the last one included."""
        said = {name: self.cleaned_data.get(name, "") for name in ("action", "user")}
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since:
            said["since"] = self._midnight(since)
        if until:
            said["until"] = self._midnight(until + timedelta(days=1))
        return {name: value for name, value in said.items() if value}

    def _midnight(self, day: date) -> str:
        try:
            zone: Any = ZoneInfo(self.cleaned_data.get("zone") or "UTC")
        except (LookupError, ValueError, OSError):
            zone = UTC
        return datetime.combine(day, time.min, zone).isoformat()


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(label=_("E-mail"), max_length=254)
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.REP)


class MemberForm(forms.Form):
    """What an admin changes about a member."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
    phone_number = forms.CharField(
        label=_("Phone"),
        max_length=40,
        required=False,
        help_text=_("Rung first on every call of theirs."),
        widget=forms.TextInput(PHONE),
    )
    caller_id = forms.ChoiceField(
        label=_("Caller ID"), required=False, help_text=_("What the people see whom this member calls.")
    )

    def __init__(self, data: Any = None, *, member: Membership, numbers: Iterable[str]) -> None:
        super().__init__(data, initial={name: getattr(member, name) for name in self.base_fields})
        kept = [member.caller_id] if member.caller_id else []
        choices = [(number, for_display(number)) for number in dict.fromkeys([*numbers, *kept])]
        caller_id: Any = self.fields["caller_id"]
        caller_id.choices = [("", _("The organization's")), *choices]


class ProfileForm(forms.Form):
    """What a member changes about themselves."""

    name = forms.CharField(label=_("Name"), max_length=200, widget=forms.TextInput({"autocomplete": "name"}))
    phone_number = forms.CharField(
        label=_("Phone"),
        max_length=40,
        required=False,
        help_text=_("Rung first on every call of yours; pick it up and you are connected."),
        widget=forms.TextInput(PHONE),
    )


class OrganizationForm(forms.Form):
    """What an admin changes about the organization."""

    name = forms.CharField(label=_("Name"), max_length=200, widget=forms.TextInput({"autocomplete": "organization"}))
    region = forms.ChoiceField(
        label=_("Country"),
        choices=countries,
        help_text=_("How numbers without a country code are read."),
    )
    requires_mfa = forms.BooleanField(
        label=_("Members need a second factor"),
        required=False,
        help_text=_("Nobody gets in with a password alone; who has no authenticator app yet is asked to set one up."),
    )

    def __init__(self, data: Any = None, *, organization: Organization) -> None:
        super().__init__(data, initial={name: getattr(organization, name) for name in self.base_fields})


class JoinForm(forms.Form):
    """What somebody without an account enters to join."""

    name = forms.CharField(label=_("Your name"), max_length=200, widget=forms.TextInput({"autocomplete": "name"}))
    phone_number = forms.CharField(
        label=_("Your phone"),
        max_length=40,
        required=False,
        help_text=_("Rung first when you call somebody. You can enter it later."),
        widget=forms.TextInput(PHONE),
    )
    password = forms.CharField(
        label=_("Choose a password"),
        max_length=128,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
