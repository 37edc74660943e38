"""What a person narrows the history by: the fields of its page, and what they mean to the list's filters."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import QueryDict
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from calls.filters import LONGEST_CALL, LONGEST_SEARCH
from calls.models import CallStatus, Direction, Disposition
from crm.models import User

ANY: list[tuple[str, Any]] = [("", _("Any"))]
# Of each chip: its name, and what it asks the list's filters for. Every call is an outbound one so far, so *missed* is
# that the rep's own phone, which rings first, did not answer, was busy or could not be reached, and *no reply* is the
# same of the contact's.
CHIPS: dict[str, tuple[Any, dict[str, str]]] = {
    "missed": (_("Missed"), {"unanswered_by": "agent"}),
    "no-reply": (_("No reply"), {"unanswered_by": "contact"}),
    "live": (_("In progress"), {"is_live": "true"}),
    "needs-outcome": (_("Needs outcome"), {"needs_outcome": "true"}),
}
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2999, 12, 31)


class TalkTimeField(forms.CharField):
    """A length of talk as people read it, m:ss, or as seconds."""

    default_error_messages = {"invalid": _("Write minutes and seconds, such as 2:30.")}

    def clean(self, value: Any) -> int | None:
        """Return the seconds; None when it is empty. Raises: ValidationError."""
        typed = super().clean(value)
        if not typed:
            return None
        parts = typed.split(":")
        if len(parts) > 3 or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        seconds = 0
        for part in parts:
            seconds = seconds * 60 + int(part)
        return min(seconds, LONGEST_CALL)


def _day(label: Any) -> forms.DateField:
    between = [MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)]
    widget = forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, required=False, widget=widget, input_formats=["%Y-%m-%d"], validators=between)


def _choice(label: Any, choices: Iterable[tuple[str, Any]] = ()) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=[*ANY, *choices])


def _talk(label: Any) -> TalkTimeField:
    return TalkTimeField(label=label, required=False, widget=forms.TextInput({"placeholder": "0:00"}))


class HistoryForm(forms.Form):
    """The page's filters, all of which live in its address; days are the viewer's."""

    search = forms.CharField(
        label=_("Search calls"),
        required=False,
        max_length=LONGEST_SEARCH,
        widget=forms.TextInput({"type": "search", "placeholder": _("Name or number")}),
    )
    user = _choice(_("Rep"))
    number = forms.CharField(
        label=_("Number"), required=False, max_length=LONGEST_SEARCH, widget=forms.TextInput({"inputmode": "tel"})
    )
    direction = _choice(_("Direction"), Direction.choices)
    status = _choice(_("Status"), CallStatus.choices)
    disposition = _choice(_("Outcome"), Disposition.choices)
    has_recording = _choice(_("Recording"), [("true", _("Recorded")), ("false", _("Not recorded"))])
    duration_min = _talk(_("Talk time from"))
    duration_max = _talk(_("Talk time to"))
    since = _day(_("From"))
    until = _day(_("To"))
    weekday = _choice(_("Day of the week"), [(str(day + 1), name) for day, name in WEEKDAYS.items()])
    hour = _choice(_("Hour"), [(str(hour), f"{hour:02}:00") for hour in range(24)])
    show = forms.ChoiceField(required=False, choices=[(key, key) for key in CHIPS], widget=forms.HiddenInput)

    def __init__(self, data: Any, *, people: Iterable[User] | None) -> None:
        """`people` are whose calls can be asked for; None leaves the question out, as for a rep."""
        super().__init__(data)
        if people is None:
            del self.fields["user"]
        else:
            named = [(str(one.pk), f"{one.name} ({one.email})" if one.name else one.email) for one in people]
            self.fields["user"].choices = ANY + named  # type: ignore[attr-defined]
        for name, field in self.fields.items():
            field.widget.attrs |= {"autocomplete": "off", "aria-describedby": f"id_{name}_error"}

    def clean(self) -> None:
        """A span that ends before it begins is a slip; what has no digit is no number."""
        found = self.cleaned_data
        if found.get("since") and found.get("until") and found["until"] < found["since"]:
            self.add_error("until", _("This is before the first day."))
        shortest, longest = found.get("duration_min"), found.get("duration_max")
        if shortest is not None and longest is not None and longest < shortest:
            self.add_error("duration_max", _("This is shorter than the other."))
        if found.get("number") and not any(one.isdigit() for one in found["number"]):
            self.add_error("number", _("This has no digit in it."))

    def filters(self) -> QueryDict:
        """Return what is valid of it as the REST list's filters: times with their offset, the last day included.

        As an address: one status in a plain dict would be no list of them, and narrow nothing.
        """
        found = self.cleaned_data
        said: dict[str, Any] = {
            name: found.get(name)
            for name in self.fields
            if name not in ("since", "until", "show") and found.get(name) not in (None, "")
        }
        if found.get("since"):
            said["created_after"] = _midnight(found["since"])
        if found.get("until"):
            said["created_before"] = _midnight(found["until"] + timedelta(days=1))
        if found.get("weekday") or found.get("hour"):
            said["zone"] = timezone.get_current_timezone_name()
        if found.get("show"):
            said |= CHIPS[found["show"]][1]
        return QueryDict(urlencode(said))

    def address(self, **instead: str) -> str:
        """Return the address's query with these filters as they were typed, some of them `instead`; "" without any."""
        typed = {name: self.data.get(name, "").strip() for name in self.fields}
        return urlencode({name: value for name, value in (typed | instead).items() if value})

    @property
    def more(self) -> list[forms.BoundField]:
        """The fields that are folded away beside the search."""
        return [self[name] for name in self.fields if name not in ("search", "show")]

    @property
    def in_use(self) -> int:
        """How many of those narrow the list, or try to."""
        return sum(1 for field in self.more if self.data.get(field.name, "").strip())


def _midnight(day: date) -> str:
    return datetime.combine(day, time.min, timezone.get_current_timezone()).isoformat()
