"""What the address of the dashboard says: which days, and whose calls."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calls.period import LONGEST, Period

EARLIEST = date(2000, 1, 1)
# The periods to choose from; their names are on the page.
CHOICES = (1, 7, 30, 90)
USUAL = 30


def _day(label: Any) -> forms.DateField:
    return forms.DateField(label=label, required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))


class FiguresForm(forms.Form):
    """The last `days` with today, or the reader's own from `since` to `until`; everybody's calls, or one `user`'s."""

    days = forms.TypedChoiceField(
        choices=[(days, days) for days in CHOICES],
        coerce=int,
        required=False,
        widget=forms.HiddenInput(),
    )
    since, until = _day(_("From")), _day(_("To"))
    user = forms.ChoiceField(label=_("Rep"), required=False)

    def __init__(self, data: Any, *, people: Iterable[tuple[UUID, str]]) -> None:
        super().__init__(data)
        choices = [(str(pk), name) for pk, name in people]
        self.fields["user"].choices = [("", _("Everybody")), *choices]  # type: ignore[attr-defined]
        if not choices:
            del self.fields["user"]

    def clean(self) -> dict[str, Any]:
        """Hold days that were typed to what can be counted; today is the last that can."""
        said = super().clean() or {}
        since, until = said.get("since"), said.get("until")
        if until and not since and "since" not in self.errors:
            self.add_error("since", _("Say the first day as well."))
        if since:
            last = min(until or timezone.localdate(), timezone.localdate())
            if since > last:
                self.add_error("until", _("The last day comes before the first, or the first is yet to come."))
            elif since < EARLIEST or (last - since) >= timedelta(days=LONGEST):
                self.add_error("since", _("That is too long: choose 366 days at most."))
            else:
                said["until"] = last
        return said

    def period(self, *, now: datetime, zone: tzinfo) -> Period:
        """Return the days; the usual ones where what is said makes no sense."""
        days = self.chosen_days
        if days is None:
            return Period(self.cleaned_data["since"], self.cleaned_data["until"], now, zone)
        return Period.of_days(days, now=now, zone=zone)

    @property
    def chosen_days(self) -> int | None:
        """How many days with today; None for the reader's own."""
        said = self.cleaned_data
        if said.get("since") and said.get("until") and not {"since", "until"} & self.errors.keys():
            return None
        return said.get("days") or USUAL

    @property
    def user_id(self) -> UUID | None:
        """Whose calls, if one rep's."""
        said = self.cleaned_data.get("user")
        return UUID(said) if said else None
