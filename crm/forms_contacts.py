"""What a member types of a contact or an opportunity. The services judge it; a form only carries it there and back."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from crm.contacts import MOST_NUMBERS, time_zones
from crm.errors import AppError
from crm.models import Contact, Membership, Opportunity, Role, User
from crm.numbers import for_display

TEXT = {"autocomplete": "off"}  # what is typed is somebody else's, not the member's own
FEWEST_ROWS, EMPTY_ROWS = 3, 2


def _owner() -> forms.TypedChoiceField:
    return forms.TypedChoiceField(label=_("Owner"), required=False, coerce=UUID, empty_value=None)


class _WrittenForm(forms.Form):
    """A form that tells what was changed.

    Each field of a row that exists carries what it showed along, so that a page which was opened before a
    colleague's change does not take it back.
    """

    def __init__(self, data: Any, *, initial: dict[str, Any], owners: list[Membership], owner: User | None) -> None:
        super().__init__(data, initial=initial)
        people = {one.user_id: str(one.user) for one in owners}
        if owner is not None:  # also one who has left
            people[owner.pk] = str(owner)
        field: Any = self.fields["owner"]
        field.choices = [("", _("Nobody")), *((str(key), name) for key, name in people.items())]

    def _carry(self) -> None:
        for field in self.fields.values():
            field.show_hidden_initial = True

    def explain(self, error: AppError) -> None:
        """Show an error beside its field, or above the form where there is none."""
        self.add_error(error.field if error.field in self.fields else None, str(error.message))


class ContactForm(_WrittenForm):
    """A contact with its numbers; rows that are empty do not count. Without `contact`, a new one."""

    name = forms.CharField(
        label=_("Name"),
        max_length=200,
        widget=forms.TextInput(TEXT),
        error_messages={"required": _("Enter the contact's name.")},
    )
    company = forms.CharField(label=_("Company"), max_length=200, required=False, widget=forms.TextInput(TEXT))
    email = forms.EmailField(label=_("E-mail"), max_length=254, required=False, widget=forms.EmailInput(TEXT))
    owner = _owner()
    time_zone = forms.ChoiceField(
        label=_("Time zone"), required=False, help_text=_("Calling hours are the contact's. Empty: the number's own.")
    )
    do_not_call = forms.BooleanField(
        label=_("Do not call"), required=False, help_text=_("Nobody here can call any number of theirs any more.")
    )

    def __init__(
        self,
        data: Any = None,
        *,
        member: Membership,
        owners: list[Membership],
        contact: Contact | None = None,
        number: str = "",
    ) -> None:
        numbers = [(for_display(one.number), one.label) for one in contact.numbers.all()] if contact else [(number, "")]
        initial: dict[str, Any] = {"owner": str(member.user_id)}
        if contact is not None:
            initial = {name: getattr(contact, name) for name in ("name", "company", "email", "time_zone")}
            initial["owner"] = str(contact.owner_id or "")
            initial["do_not_call"] = contact.do_not_call_since is not None
        for place, (typed, label) in enumerate(numbers):
            initial |= {f"number_{place}": typed, f"label_{place}": label}
        super().__init__(data, initial=initial, owners=owners, owner=contact.owner if contact else None)
        zone: Any = self.fields["time_zone"]
        own = {contact.time_zone} - {""} if contact else set()
        places = {name for name in time_zones() if "/" in name and not name.startswith("Etc/")}
        zone.choices = [("", _("The number's own")), *((name, name.replace("_", " ")) for name in sorted(places | own))]
        self.places = range(max(MOST_NUMBERS, len(numbers)))
        for place in self.places:
            self._add_row(place)
        # Who may not take it back does not see a box that does nothing.
        self.is_listed = bool(contact and contact.do_not_call_since)
        if self.is_listed and member.role != Role.ADMIN:
            del self.fields["do_not_call"]
        if contact is not None:
            self._carry()

    def _add_row(self, place: int) -> None:
        counted = {"place": place + 1}
        self.fields[f"number_{place}"] = forms.CharField(
            label=gettext("Number %(place)s") % counted,
            max_length=40,
            required=False,
            widget=forms.TextInput(TEXT | {"inputmode": "tel"}),
        )
        self.fields[f"label_{place}"] = forms.CharField(
            label=gettext("Label %(place)s") % counted, max_length=40, required=False, widget=forms.TextInput(TEXT)
        )

    def rows(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """The numbers' rows to show: those that say something, and some to fill in."""
        rows = [(self[f"number_{place}"], self[f"label_{place}"]) for place in self.places]
        full = [place for place, row in enumerate(rows, 1) if any(field.value() for field in row)]
        return rows[: max(FEWEST_ROWS, max(full, default=0) + EMPTY_ROWS)]

    def clean(self) -> None:
        """A label alone is a number that was forgotten."""
        for place in self.places:
            number = f"number_{place}"
            if self.cleaned_data.get(f"label_{place}") and not self.cleaned_data.get(number, "-"):
                self.add_error(number, gettext("Enter the number, or remove its label."))

    def said(self) -> dict[str, Any]:
        """Return everything that was typed, for a new contact."""
        return self._plain(self.cleaned_data) | {"numbers": self._numbers()}

    def changes(self) -> dict[str, Any]:
        """Return what differs from what the page showed, and the numbers as it showed them."""
        changed = {name: self.cleaned_data[name] for name in self.changed_data}
        if changed.keys() == self._plain(changed).keys():
            return changed
        seen = [self.data.get(self.add_initial_prefix(f"number_{place}"), "") for place in self.places]
        labels = [self.data.get(self.add_initial_prefix(f"label_{place}"), "") for place in self.places]
        shown = [{"number": number, "label": label} for number, label in zip(seen, labels, strict=True) if number]
        return self._plain(changed) | {"numbers": self._numbers(), "seen": shown}

    @staticmethod
    def _plain(values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if not name.startswith(("number_", "label_"))}

    def _filled(self) -> list[int]:
        return [place for place in self.places if self.cleaned_data[f"number_{place}"]]

    def _numbers(self) -> list[dict[str, str]]:
        said = self.cleaned_data
        return [{"number": said[f"number_{place}"], "label": said[f"label_{place}"]} for place in self._filled()]

    def explain(self, error: AppError) -> None:
        """Show an error of the third number that was typed beside the row where it stands."""
        match (error.field or "").split("."):
            case ["numbers", place, "number"]:
                self.add_error(f"number_{self._filled()[int(place)]}", str(error.message))
            case _:
                super().explain(error)


class OpportunityForm(_WrittenForm):
    """An opportunity of a contact. Without `opportunity`, a new one."""

    title = forms.CharField(
        label=_("Title"),
        max_length=200,
        widget=forms.TextInput(TEXT),
        error_messages={"required": _("Enter what it is about.")},
    )
    stage = forms.CharField(
        label=_("Stage"),
        max_length=60,
        required=False,
        widget=forms.TextInput(TEXT),
        help_text=_("Such as: new, proposal sent, won."),
    )
    amount = forms.DecimalField(label=_("Amount"), min_value=0, max_digits=14, decimal_places=2, required=False)
    owner = _owner()

    def __init__(
        self,
        data: Any = None,
        *,
        member: Membership,
        owners: list[Membership],
        opportunity: Opportunity | None = None,
    ) -> None:
        initial: dict[str, Any] = {"owner": str(member.user_id)}
        if opportunity is not None:
            initial = {name: getattr(opportunity, name) for name in ("title", "stage", "amount")}
            initial["owner"] = str(opportunity.owner_id or "")
        super().__init__(data, initial=initial, owners=owners, owner=opportunity.owner if opportunity else None)
        if opportunity is not None:
            self._carry()

    def changes(self) -> dict[str, Any]:
        """Return what differs from what the page showed."""
        return {name: self.cleaned_data[name] for name in self.changed_data}
