"""What a rep types after a call. The service judges it; a form only carries it there."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from calls.services.wrap_up import UNSAID, FollowUpWanted, Unsaid
from crm.follow_ups import LONGEST_TEXT, in_days, on_day

NONE, TOMORROW, THREE_DAYS, PICKED = "none", "tomorrow", "days", "pick"


class WrapUpForm(forms.Form):
    """The parts of a wrap-up that are more than a word: what a part of a page does not send stays as it is.

    So does what comes back as the page showed it (`notes_was` and the like): another page may have changed it since.
    """

    follow_up = forms.ChoiceField(
        choices=[(NONE, ""), (TOMORROW, ""), (THREE_DAYS, ""), (PICKED, "")],
        required=False,
    )
    due_on = forms.DateField(required=False, error_messages={"invalid": _("Choose a day.")})
    due_time = forms.TimeField(required=False, error_messages={"invalid": _("Enter a time.")})
    text = forms.CharField(max_length=LONGEST_TEXT, required=False)
    opportunity = forms.UUIDField(required=False)
    done = forms.TypedMultipleChoiceField(coerce=UUID, required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        field: Any = self.fields["done"]
        field.choices = [(one, one) for one in data.getlist("done")[:100]]

    def clean(self) -> None:
        """A day is picked where one is to be."""
        said = self.cleaned_data
        if said.get("follow_up") == PICKED and not said.get("due_on") and "due_on" not in self.errors:
            self.add_error("due_on", _("Choose a day."))

    @property
    def sentence(self) -> str:
        """What is wrong, of several the first."""
        return str(next(iter(self.errors.values()))[0])

    def said(self) -> dict[str, Any]:
        """Return what was sent, as the service names it."""
        said: dict[str, Any] = {"done": self.cleaned_data["done"]}
        if "opportunity" in self.data and not self._is_as_shown("opportunity"):
            said["opportunity"] = self.cleaned_data["opportunity"]
        for name in ("disposition", "notes"):
            if name in self.data and not self._is_as_shown(name):
                said[name] = self.data[name].replace("\r\n", "\n")
        return said | {"follow_up": self._follow_up()}

    def _is_as_shown(self, name: str) -> bool:
        said, shown = self.data.get(name, ""), self.data.get(f"{name}_was")
        return shown is not None and said.replace("\r\n", "\n") == shown.replace("\r\n", "\n")

    def _follow_up(self) -> FollowUpWanted | Unsaid | None:
        text = self.cleaned_data["text"]
        match self.cleaned_data["follow_up"]:
            case "":
                return UNSAID
            case "none" if self._is_as_shown("follow_up"):
                return UNSAID
            case "tomorrow":
                return FollowUpWanted(in_days(1), text)
            case "days":
                return FollowUpWanted(in_days(3), text)
            case "pick":
                return FollowUpWanted(on_day(self.cleaned_data["due_on"], self.cleaned_data["due_time"]), text)
        return None
