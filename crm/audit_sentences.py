"""What an entry of the audit says, as a sentence that a person reads."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import audit
from crm.countries import country_name
from crm.errors import AppError
from crm.models import AuditEntry, Role, User
from crm.numbers import for_display

# Of each action: what the filter calls it, and its sentence, in which `who` and all of the entry's details can stand.
SAID: dict[str, tuple[Any, Any]] = {
    audit.TWILIO_CONNECTED: (
        gettext_lazy("Twilio account saved"),
        gettext_lazy("%(who)s saved the Twilio account %(account_sid)s with the caller ID %(caller_id)s"),
    ),
    audit.TWILIO_NEXT_TOKEN: (
        gettext_lazy("Secondary auth token entered"),
        gettext_lazy("%(who)s entered Twilio's secondary auth token"),
    ),
    audit.TWILIO_TOKEN_FORGOTTEN: (
        gettext_lazy("Secondary auth token withdrawn"),
        gettext_lazy("%(who)s withdrew Twilio's secondary auth token"),
    ),
    audit.TWILIO_PROMOTED: (
        gettext_lazy("Old auth token dropped"),
        gettext_lazy("%(who)s dropped the old auth token for the new one"),
    ),
    audit.RULES_CHANGED: (gettext_lazy("Rules changed"), gettext_lazy("%(who)s changed the rules: %(changes)s")),
    audit.NUMBER_LISTED: (
        gettext_lazy("Number listed as do not call"),
        gettext_lazy("%(who)s put %(number)s on the do-not-call list"),
    ),
    audit.NUMBER_TAKEN_OFF: (
        gettext_lazy("Number taken off the do-not-call list"),
        gettext_lazy("%(who)s took %(number)s off the do-not-call list"),
    ),
    audit.NUMBERS_IMPORTED: (
        gettext_lazy("Do-not-call file imported"),
        gettext_lazy("%(who)s imported numbers not to call: %(added)s added, %(invalid)s left out"),
    ),
    audit.RECORDING_PLAYED: (gettext_lazy("Recording played"), gettext_lazy("%(who)s listened to a recording")),
    audit.RECORDING_DOWNLOADED: (
        gettext_lazy("Recording downloaded"),
        gettext_lazy("%(who)s downloaded a recording"),
    ),
    audit.RECORDING_DELETED: (gettext_lazy("Recording deleted"), gettext_lazy("%(who)s deleted a recording")),
    audit.MEMBER_INVITED: (gettext_lazy("Member invited"), gettext_lazy("%(who)s invited %(member)s as: %(role)s")),
    audit.INVITATION_WITHDRAWN: (
        gettext_lazy("Invitation withdrawn"),
        gettext_lazy("%(who)s withdrew the invitation of %(member)s"),
    ),
    audit.MEMBER_JOINED: (gettext_lazy("Member joined"), gettext_lazy("%(who)s joined as: %(role)s")),
    audit.MEMBER_ADDED: (gettext_lazy("Member added"), gettext_lazy("%(who)s added %(member)s as: %(role)s")),
    audit.SECOND_FACTOR_TAKEN: (
        gettext_lazy("Second factor taken away"),
        gettext_lazy("%(who)s took the second factor of %(member)s away"),
    ),
    audit.TOKEN_CREATED: (gettext_lazy("API token made"), gettext_lazy("%(who)s made an API token for %(member)s")),
    audit.MEMBER_CHANGED: (gettext_lazy("Member changed"), gettext_lazy("%(who)s changed %(member)s: %(changes)s")),
    audit.ORGANIZATION_CHANGED: (
        gettext_lazy("Organization changed"),
        gettext_lazy("%(who)s changed the organization: %(changes)s"),
    ),
    audit.CONTACTS_IMPORTED: (
        gettext_lazy("Contacts imported"),
        gettext_lazy(
            "%(who)s imported contacts from %(file)s: %(made)s made, %(merged)s merged, %(unchanged)s unchanged,"
            " %(refused)s refused"
        ),
    ),
    audit.CONTACTS_EXPORTED: (gettext_lazy("Contacts exported"), gettext_lazy("%(who)s exported contacts")),
    audit.REFUSED: (gettext_lazy("Refused"), gettext_lazy("%(who)s was refused: %(refusal)s")),
    audit.EXPORTED: (gettext_lazy("Audit exported"), gettext_lazy("%(who)s exported the audit")),
    audit.CALLS_EXPORTED: (gettext_lazy("Calls exported"), gettext_lazy("%(who)s exported calls: %(count)s")),
}


# Whose columns the details of a change are named after.
CHANGED = {
    audit.RULES_CHANGED: "calls.CallRules",
    audit.MEMBER_CHANGED: "crm.Membership",
    audit.ORGANIZATION_CHANGED: "crm.Organization",
}


# What is not shown as it stands. A name may be a role's, or have a number in it, and is shown as it was written.
ROLES, NUMBERS = ("role", "may_play", "may_download"), ("number", "phone_number", "caller_id", "to")
AMOUNTS = ("daily_spend_cap",)


class _Words(dict[str, Any]):
    """What a sentence is filled with; an older entry may lack what a newer one says."""

    def __missing__(self, name: str) -> str:
        return "–"


def choices() -> list[tuple[str, Any]]:
    """Return every action with its name, for a filter."""
    return [(action, SAID[action][0] if action in SAID else action) for action in audit.ACTIONS]


def sentence_of(entry: AuditEntry, people: dict[UUID, User]) -> str:
    """Say who did what in the reader's language; an action that has no sentence is said by its code."""
    user = people.get(entry.user_id) if entry.user_id else None
    who = str(user) if user else entry.who or _("The system")
    if entry.action not in SAID:
        return f"{who}: {entry.action}"
    words = _Words({name: _plain(name, value) for name, value in entry.details.items()}, who=who)
    if entry.action in CHANGED:
        words["changes"] = "; ".join(_changes(entry)) or "–"
    if entry.action == audit.REFUSED:
        words["refusal"] = _refusal(entry.details, words)
    return str(SAID[entry.action][1] % words)


def _plain(name: str, value: Any) -> str:
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name == "days" and isinstance(value, int):
        return ", ".join(str(WEEKDAYS_ABBR[day]) for day in WEEKDAYS_ABBR if value >> day & 1)
    if name == "allowed_countries" and isinstance(value, list):
        return ", ".join(country_name(str(code)) for code in value)
    if name in ROLES and value in Role.values:
        return str(Role(value).label)
    if name in AMOUNTS:
        return str(number_format(str(value), force_grouping=True))
    return for_display(value) if name in NUMBERS else str(value)


def _changes(entry: AuditEntry) -> Iterator[str]:
    """Each column: what it was, where that was written down, and what it is."""
    before = entry.details.get("before", {})
    for name, value in entry.details.items():
        if name not in ("before", "member"):
            was = f"{_plain(name, before[name])} → " if name in before else ""
            yield f"{_column(CHANGED[entry.action], name)} {was}{_plain(name, value)}"


def _column(model: str, name: str) -> str:
    if name == "days":
        return _("days")
    try:
        return str(apps.get_model(model)._meta.get_field(name).verbose_name)
    except FieldDoesNotExist:  # a column that there was
        return name


def _refusal(details: dict[str, Any], words: _Words) -> str:
    if details.get("what") != "call":
        return _("%(what)s is not for their role") % words
    causes = {one.code: one.message for one in _family(AppError) if "code" in vars(one)}
    words["cause"] = causes.get(str(details.get("code")), details.get("code"))
    return _("a call to %(to)s. %(cause)s") % words if details.get("to") else _("a call. %(cause)s") % words


def _family(error: type[AppError]) -> Iterator[type[AppError]]:
    for one in error.__subclasses__():
        yield one
        yield from _family(one)
