"""What a member types of a follow-up or a note. The services judge it; a form only carries it there and back."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.follow_ups import LONGEST_TEXT, on_day
from crm.models import FollowUp, Membership, Opportunity
from crm.notes import LONGEST_TEXT as LONGEST_NOTE


class FollowUpForm(forms.Form):
    """When to turn to a contact again, and what for. Without `follow_up`, a new one."""

    due_on = forms.DateField(
        label=_("Day"),
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        error_messages={"required": _("Choose a day."), "invalid": _("Choose a day.")},
    )
    due_time = forms.TimeField(
        label=_("Time"),
        required=False,
        widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
        help_text=_("Empty: nine in the morning."),
    )
    text = forms.CharField(label=_("What to do"), max_length=LONGEST_TEXT, required=False)
    opportunity = forms.TypedChoiceField(label=_("Opportunity"), required=False, coerce=UUID, empty_value=None)
    owner = forms.TypedChoiceField(label=_("Owner"), coerce=UUID)

    def __init__(
        self,
        data: Any = None,
        *,
        member: Membership,
        owners: Sequence[Membership],
        opportunities: Sequence[Opportunity],
        follow_up: FollowUp | None = None,
        opportunity: UUID | None = None,
    ) -> None:
        initial: dict[str, Any] = {"owner": str(member.user_id), "opportunity": str(opportunity or "")}
        if follow_up is not None:
            there = timezone.localtime(follow_up.due_at)
            initial = {
                "due_on": there.date(),
                "due_time": there.time(),
                "text": follow_up.text,
                "opportunity": str(follow_up.opportunity_id or ""),
                "owner": str(follow_up.owner_id or ""),
            }
        super().__init__(data, initial=initial, auto_id="follow-up-%s")
        deals: Any = self.fields["opportunity"]
        deals.choices = [("", _("None")), *((str(one.pk), one.title) for one in opportunities)]
        if not opportunities:
            del self.fields["opportunity"]
        people = {str(one.user_id): str(one.user) for one in owners}
        if follow_up is not None and follow_up.owner is not None:
            people.setdefault(str(follow_up.owner_id), str(follow_up.owner))
        owner: Any = self.fields["owner"]
        owner.choices = list(people.items())
        if not member.sees_whole_team:  # a rep's are theirs
            del self.fields["owner"]

    def said(self) -> dict[str, Any]:
        """Return what was typed, as the services name it."""
        said = dict(self.cleaned_data)
        return {"due_at": on_day(said.pop("due_on"), said.pop("due_time")), **said}


class NoteForm(forms.Form):
    """Something worth knowing."""

    text = forms.CharField(
        label=_("Note"),
        max_length=LONGEST_NOTE,
        widget=forms.Textarea({"rows": 3}),
        error_messages={"required": _("Write a note of up to 10,000 letters.")},
    )
    opportunity = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, text: str = "", opportunity: UUID | None = None) -> None:
        super().__init__(data, initial={"text": text, "opportunity": opportunity}, auto_id="note-%s")
