"""What an admin types on the page of the rules. The service judges it; a form only carries it there and back."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from calls.models import CallRules
from calls.services.rules import MOST, MOST_DAYS, MOST_SPEND
from crm.countries import countries
from crm.models import Role


class _WereChosen(forms.MultipleHiddenInput):
    """What a page showed as chosen; it is sent along also where that was nothing."""

    def format_value(self, value: Any) -> list[str]:
        """Begin with a blank."""
        return ["", *(value or [])]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Leave the blank out."""
        return [one for one in super().value_from_datadict(data, files, name) if one]


class DaysField(forms.TypedMultipleChoiceField):
    """The days on which calls are made; a bit each in the row."""

    hidden_widget = _WereChosen

    def __init__(self, **options: Any) -> None:
        super().__init__(
            choices=list(WEEKDAYS.items()),
            coerce=int,
            widget=forms.CheckboxSelectMultiple({"class": "days"}),
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        """Check the days of a row's bits."""
        return [day for day in WEEKDAYS if value >> day & 1] if isinstance(value, int) else value

    def clean(self, value: Any) -> int:
        """Return the bits. Raises: ValidationError."""
        return sum(1 << day for day in super().clean(value))


class CountriesField(forms.MultipleChoiceField):
    """Countries by name, those that are allowed first."""

    hidden_widget = _WereChosen
    widget = forms.CheckboxSelectMultiple({"class": "countries"})

    def allow(self, codes: Iterable[str]) -> None:
        """Put these on top of the list."""
        chosen = frozenset(codes)
        self.choices = sorted(countries(), key=lambda one: one[0] not in chosen)


def _clock(label: Any, hint: Any) -> forms.TimeField:
    widget = forms.TimeInput({"type": "time"}, format="%H:%M:%S")  # browsers hide :00
    return forms.TimeField(label=label, help_text=hint, required=False, widget=widget)


def _whole(label: Any, hint: Any, *, least: int = 0, most: int = MOST, required: bool = True) -> forms.IntegerField:
    return forms.IntegerField(label=label, help_text=hint, min_value=least, max_value=most, required=required)


def _role(label: Any) -> forms.ChoiceField:
    hint = _("And everybody above them. A rep hears only their own calls.")
    return forms.ChoiceField(label=label, choices=Role.choices, help_text=hint)


# The page's cards: key, title, what it is about, and its fields. A rule more is a line here; its name is the model's.
CARDS: tuple[tuple[str, Any, Any, dict[str, forms.Field]], ...] = (
    (
        "hours",
        _("Days and hours"),
        _("At the contact's clock: of the number's time zone, or of the one that the contact has."),
        {
            "days": DaysField(label=_("Calls are made on"), error_messages={"required": _("Choose at least one day.")}),
            "calls_from": _clock(_("Calls from"), _("Empty: from midnight on.")),
            "calls_until": _clock(
                _("Calls until"), _("Empty: until midnight. Earlier than the start: after midnight.")
            ),
        },
    ),
    (
        "where",
        _("Countries and costly numbers"),
        _("Calls to other countries are refused, whatever they cost."),
        {
            "allowed_countries": CountriesField(
                label=_("Countries that may be called"),
                help_text=_("None chosen: your organization's own country only."),
                required=False,
            ),
            "allows_costly_numbers": forms.BooleanField(
                label=_("Allow costly numbers"),
                help_text=_("Premium-rate, shared-cost, personal and satellite numbers: fraud begins with these."),
                required=False,
            ),
        },
    ),
    (
        "limits",
        _("Limits"),
        _("A fence around the bill, should a log-in be stolen. 0 allows no call at all. A day is a day in UTC."),
        {
            "number_per_day": _whole(_("Calls to one number, a day"), _("By everybody together.")),
            "member_per_minute": _whole(_("Calls of one member, a minute"), _("Nobody dials faster than this.")),
            "member_per_day": _whole(_("Calls of one member, a day"), _("More than your busiest rep makes.")),
            "organization_per_minute": _whole(_("Calls of the organization, a minute"), _("All members together.")),
            "organization_per_day": _whole(_("Calls of the organization, a day"), _("All members together.")),
            "concurrent": _whole(_("Calls at the same time"), _("Live calls of all members together.")),
            "daily_spend_cap": forms.DecimalField(
                label=_("Money a day"),
                help_text=_("In the Twilio account's currency; then calls are refused until 00:00 UTC. Empty: no cap."),
                min_value=0,
                max_value=MOST_SPEND,
                decimal_places=2,
                required=False,
            ),
        },
    ),
    (
        "outcomes",
        _("Outcomes"),
        "",
        {
            "requires_outcome": forms.BooleanField(
                label=_("No next call before the outcome of the last"),
                help_text=_("Counts for calls that are made from then on and in which a contact's phone rang."),
                required=False,
            ),
        },
    ),
    (
        "recordings",
        _("Recordings"),
        "",
        {
            "rep_decides_recording": forms.BooleanField(
                label=_("The rep decides whether a call is recorded"),
                help_text=_("Otherwise every call is as the Twilio page says."),
                required=False,
            ),
            "recording_days": _whole(
                _("Days that a recording is kept"),
                _("Empty: until an admin deletes it. A shorter time deletes older recordings, for good."),
                least=1,
                most=MOST_DAYS,
                required=False,
            ),
            "may_play": _role(_("Who may listen to recordings")),
            "may_download": _role(_("Who may download recordings")),
        },
    ),
)


@dataclass(frozen=True, slots=True)
class Card:
    """Fields that belong together, with a heading."""

    key: str
    title: Any
    hint: Any
    fields: list[forms.BoundField]


class RulesForm(forms.Form):
    """The organization's rules of calling.

    Each field carries what it showed along, so that only what this admin changed is changed: a page that was opened
    before a colleague's change does not take it back.
    """

    def __init__(self, data: Any = None, *, rules: CallRules, own_country: str) -> None:
        super().__init__(data)
        self.fields = {name: deepcopy(field) for *_, fields in CARDS for name, field in fields.items()}
        self.initial = {name: getattr(rules, name) for name in self.fields}
        for field in self.fields.values():
            field.show_hidden_initial = True
        # Their own is chosen where none is: who adds one to it does not forbid it.
        self.initial["allowed_countries"] = rules.allowed_countries or [own_country]
        self.fields["allowed_countries"].allow(self.initial["allowed_countries"])  # type: ignore[attr-defined]

    @property
    def cards(self) -> list[Card]:
        """The page's parts."""
        return [Card(key, title, hint, [self[name] for name in fields]) for key, title, hint, fields in CARDS]

    def changes(self) -> dict[str, Any]:
        """What is different from what the page showed."""
        return {name: self.cleaned_data[name] for name in self.changed_data}
