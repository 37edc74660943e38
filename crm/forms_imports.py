"""What a member says of a file of contacts. The services judge it; a form only carries it there and back."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from crm.countries import countries
from crm.imports.headings import Column
from crm.models import ContactImport, ImportRule


class UploadForm(forms.Form):
    """A file of contacts."""

    file = forms.FileField(
        label=_("CSV file"),
        help_text=_("Headings in the first row, in English or Portuguese. At most 32 MB and 200,000 rows."),
        widget=forms.FileInput({"accept": ".csv,.txt,text/csv,text/plain"}),
        error_messages={"required": _("Choose a file."), "empty": _("This file is empty.")},
    )


class ColumnsForm(forms.Form):
    """What each of its columns is, and by which rules it is imported."""

    region = forms.ChoiceField(
        label=_("Country"), choices=countries, help_text=_("How numbers without a country code are read.")
    )
    rule = forms.ChoiceField(
        label=_("If a contact has the number or the e-mail already"),
        choices=ImportRule.choices,
        help_text=_("No rule takes a number away, or lets anybody be called again who is not to be called."),
    )

    def __init__(self, data: Any = None, *, importing: ContactImport, examples: Sequence[Sequence[str]]) -> None:
        initial = {"region": importing.region, "rule": importing.rule}
        super().__init__(data, initial=initial | {f"column_{n}": one for n, one in enumerate(importing.columns)})
        self._examples = examples
        self._headings = importing.headings
        for place, heading in enumerate(importing.headings):
            label = heading or _("Column %(place)s") % {"place": place + 1}
            self.fields[f"column_{place}"] = forms.ChoiceField(label=label, choices=Column.choices, required=False)

    def columns(self) -> list[tuple[forms.BoundField, Sequence[str]]]:
        """Return the columns that say something, each with what stands in its first rows."""
        fields = [(self[f"column_{place}"], examples) for place, examples in enumerate(self._examples)]
        return [one for one, heading in zip(fields, self._headings, strict=True) if heading or one[1]]

    def said(self) -> dict[str, Any]:
        """Return it as the service names it."""
        columns = [self.cleaned_data[f"column_{place}"] for place in range(len(self._headings))]
        return {"columns": columns, "region": self.cleaned_data["region"], "rule": self.cleaned_data["rule"]}
