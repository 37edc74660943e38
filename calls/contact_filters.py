"""What the list of contacts can be narrowed by; all of it stands in the page's address."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calls import queries
from crm import queries as crm_queries
from crm.errors import InvalidNumber
from crm.follow_ups import end_of_today
from crm.models import Contact, ContactImport, Membership
from crm.numbers import to_e164

ME, NOBODY = "me", "nobody"
NEVER, DUE = "never", "due"
PERIODS = (7, 30, 90)


class ContactFilterForm(forms.Form):
    """Who owns them, how far their opportunities are, when they were called; a filter more is a field and a method.

    The methods are called `by_` and the field's name, with what was chosen.
    """

    q = forms.CharField(label=_("Search contacts"), required=False, max_length=100)
    owner = forms.ChoiceField(label=_("Owner"), required=False)
    stage = forms.ChoiceField(label=_("Stage"), required=False)
    called = forms.ChoiceField(
        label=_("Last call"),
        required=False,
        choices=[
            ("", _("Any time")),
            (NEVER, _("Never called")),
            ("7", _("Not for a week")),
            ("30", _("Not for 30 days")),
            ("90", _("Not for 90 days")),
        ],
    )
    follow_up = forms.ChoiceField(
        label=_("Follow-up"), required=False, choices=[("", _("All")), (DUE, _("Due today or before"))]
    )

    def __init__(self, data: Any, *, member: Membership, owners: Sequence[Membership], stages: Sequence[str]) -> None:
        super().__init__(data)
        self.imported: ContactImport | None = None
        self.fields["import"] = forms.UUIDField(required=False, widget=forms.HiddenInput)
        self.member = member
        owner: Any = self.fields["owner"]
        people = [(str(one.user_id), str(one.user)) for one in owners if one.user_id != member.user_id]
        owner.choices = [("", _("Anybody")), (ME, _("Me")), (NOBODY, _("Nobody")), *people]
        stage: Any = self.fields["stage"]
        stage.choices = [("", _("All stages")), *((one, one) for one in stages)]

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the search is chosen."""
        return self.is_valid() and any(value for name, value in self.cleaned_data.items() if name != "q")

    @property
    def search(self) -> str:
        """What was typed."""
        return self.cleaned_data["q"] if self.is_valid() else str(self.data.get("q", ""))

    @property
    def imported_id(self) -> UUID | None:
        """Of the imported file whose contacts alone are wanted."""
        return self.cleaned_data["import"] if self.is_valid() else None

    @property
    def number(self) -> str | None:
        """The E.164 number that was typed or pasted whole, if it is one."""
        if any(letter.isalpha() for letter in self.search):
            return None
        try:
            return to_e164(self.search, region=self.member.organization.region)
        except InvalidNumber:
            return None

    def contacts(self) -> QuerySet[Contact]:
        """Return whom it leaves, by name; nobody for what is no filter."""
        rows = crm_queries.contacts(self.member, search=self.search, number=self.number, imported=self.imported_id)
        if not self.is_valid():
            return rows.none()
        for name, value in self.cleaned_data.items():
            if value and name not in ("q", "import"):
                rows = getattr(self, f"by_{name}")(rows, value)
        return rows

    def by_owner(self, rows: QuerySet[Contact], value: str) -> QuerySet[Contact]:
        """One member's, or nobody's."""
        return rows.filter(owner={ME: self.member.user_id, NOBODY: None}.get(value, value))

    def by_stage(self, rows: QuerySet[Contact], value: str) -> QuerySet[Contact]:
        """Who has an opportunity in that stage."""
        return rows.filter(pk__in=crm_queries.opportunities(self.member).filter(stage=value).values("contact"))

    def by_called(self, rows: QuerySet[Contact], value: str) -> QuerySet[Contact]:
        """Whom nobody here has called, ever or since so many days."""
        since = None if value == NEVER else timezone.now() - timedelta(days=int(value))
        return rows.exclude(queries.was_called(since))

    def by_follow_up(self, rows: QuerySet[Contact], value: str) -> QuerySet[Contact]:
        """Whom this member wants to turn to by the end of today."""
        due = crm_queries.open_follow_ups(self.member, due_before=end_of_today())
        return rows.filter(pk__in=due.values("contact"))

    def said(self) -> dict[str, str]:
        """Return what is chosen, by name, as text."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value} if self.is_valid() else {}

    def ids(self, most: int) -> list[UUID]:
        """Return the first ones, in order."""
        return list(self.contacts().values_list("pk", flat=True)[:most])
