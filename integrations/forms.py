"""What an admin types on the set-up page. The services judge it; a form only carries it there and back."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from integrations.models import TwilioAccount

SECRET = {"autocomplete": "new-password", "spellcheck": "false"}
PLAIN = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class ConnectForm(forms.Form):
    """The account, its secrets, and the rules of its calls; a secret that is left empty stays as it is."""

    account_sid = forms.CharField(
        label=_("Account SID"), max_length=34, widget=forms.TextInput({**PLAIN, "placeholder": "AC…"})
    )
    auth_token = forms.CharField(
        label=_("Auth token"), max_length=128, required=False, widget=forms.PasswordInput(SECRET)
    )
    default_caller_id = forms.CharField(
        label=_("Caller ID"),
        max_length=40,
        help_text=_("What your contacts see. A number of this Twilio account, or one that is verified there."),
        widget=forms.TextInput({"inputmode": "tel", "autocomplete": "off", "list": "numbers"}),
    )
    ring_seconds = forms.IntegerField(
        label=_("Ring time"), min_value=5, max_value=120, initial=30, help_text=_("Seconds that each phone rings.")
    )
    confirms_with_key = forms.BooleanField(
        label=_("Reps press a key before the contact is called"),
        required=False,
        initial=True,
        help_text=_("So that a rep's voicemail never reaches a contact."),
    )
    records_calls = forms.BooleanField(label=_("Record calls"), required=False, initial=True)
    api_key_sid = forms.CharField(
        label=_("API key SID"), max_length=34, required=False, widget=forms.TextInput({**PLAIN, "placeholder": "SK…"})
    )
    api_key_secret = forms.CharField(
        label=_("API key secret"), max_length=128, required=False, widget=forms.PasswordInput(SECRET)
    )
    region = forms.CharField(
        label=_("Region"), max_length=8, required=False, widget=forms.TextInput({**PLAIN, "placeholder": "ie1"})
    )
    edge = forms.CharField(
        label=_("Edge"), max_length=20, required=False, widget=forms.TextInput({**PLAIN, "placeholder": "dublin"})
    )

    def __init__(self, data: Any = None, *, account: TwilioAccount | None) -> None:
        shown = {name: getattr(account, name, None) for name in self.base_fields} if account else {}
        super().__init__(data, initial={name: value for name, value in shown.items() if value is not None})
        self.fields["auth_token"].required = account is None
        if account is not None:
            self.fields["auth_token"].help_text = _(
                "Stored, and never shown. Another one replaces it at once; to lose no callback, do it below instead."
            )
        if account is not None and account.sealed_api_key_secret:
            self.fields["api_key_secret"].help_text = _("Stored. Type another to replace it; it is never shown.")


class NextTokenForm(forms.Form):
    """Twilio's secondary auth token."""

    auth_token = forms.CharField(
        label=_("Secondary auth token"), max_length=128, widget=forms.PasswordInput({**SECRET, "id": "id_next_token"})
    )
