"""Writes to the organization's rules of calling."""

from datetime import time
from decimal import Decimal
from typing import Any

import phonenumbers
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calls import queries
from calls.models import WEEK, CallRules
from crm import audit, tenancy
from crm.errors import AppError
from crm.models import Membership, Organization

MOST, MOST_DAYS, MOST_SPEND = 1_000_000, 36_500, 100_000_000
LIMITS = (
    "number_per_day",
    "member_per_minute",
    "member_per_day",
    "organization_per_minute",
    "organization_per_day",
    "concurrent",
)


class BadRule(AppError):
    """A rule that cannot be kept."""

    code = "bad_rule"


def set_rules(*, organization: Organization, by: Membership | None = None, **changes: Any) -> CallRules:
    """Change some of the organization's rules; what is left out stays. They count from the next call on.

    `allowed_countries`: ISO 3166, empty for the organization's own; `calls_from` and `calls_until`: times at the
    contact's clock or None; `days`: a bit each, Monday the lowest; LIMITS: 0 forbids every call; `daily_spend_cap`: a
    Decimal in the account's currency, None for no limit. Raises: BadRule.
    """
    if "allowed_countries" in changes:
        countries = sorted({str(one).strip().upper() for one in changes["allowed_countries"]})
        unknown = [one for one in countries if one not in phonenumbers.SUPPORTED_REGIONS]
        if unknown:
            said = _("No country has this code: %(codes)s.") % {"codes": ", ".join(one[:8] for one in unknown[:5])}
            raise BadRule(said, field="allowed_countries")
        changes["allowed_countries"] = countries
    for name in LIMITS:
        if not 0 <= changes.get(name, 0) <= MOST:
            raise BadRule(_("A limit is a number from 0 to a million."), field=name)
    cap = changes.get("daily_spend_cap")
    if cap is not None and not (cap.is_finite() and 0 <= cap <= MOST_SPEND and cap == round(cap, 2)):
        too_much = _("A spending limit is an amount from 0 to a hundred million, with two decimals at most.")
        raise BadRule(too_much, field="daily_spend_cap")
    if not 1 <= (changes.get("recording_days") or 1) <= MOST_DAYS or changes.get("recording_days") == 0:
        raise BadRule(_("Recordings are kept for a day at least."), field="recording_days")
    with tenancy.inside(organization.pk):
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)  # one change after the other
        rules = queries.rules()
        rules.organization = organization
        before = {name: getattr(rules, name) for name, value in changes.items() if getattr(rules, name) != value}
        for name, value in changes.items():
            setattr(rules, name, value)
        if not 0 < rules.days <= WEEK:
            raise BadRule(_("Choose at least one day."), field="days")
        since, until = rules.calls_from, rules.calls_until
        if until is not None and until == (since or time.min):
            raise BadRule(_("These hours would allow no call."), field="calls_until")
        if "requires_outcome" in before:  # calls of before are not owed
            rules.requires_outcome_since = timezone.now() if rules.requires_outcome else None
        if before:
            rules.save()
            was, now = ({name: _said(one[name]) for name in before} for one in (before, changes))
            audit.note(by, audit.RULES_CHANGED, **now, before=was)
    return rules


def _said(value: Any) -> Any:
    return (
        value.isoformat("minutes") if isinstance(value, time) else str(value) if isinstance(value, Decimal) else value
    )
