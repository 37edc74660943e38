"""May this call be made? Who and where, whatever it costs, and what time it is there. Pure; times in UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class No(StrEnum):
    """Why not."""

    DO_NOT_CALL = "do_not_call"
    COSTLY = "costly_number"
    COUNTRY = "country_not_allowed"
    HOURS = "outside_calling_hours"


@dataclass(frozen=True, slots=True)
class Hours:
    """From when until when (before `since`: after midnight), and on which days: a bit each, Monday the lowest."""

    since: time | None = None
    until: time | None = None
    days: int = 0b1111111

    def allow(self, there: datetime) -> bool:
        """Whether a local time is within them. What begins before midnight is of the day on which it began."""
        since, until = self.since or time.min, self.until
        clock, day = there.time(), there.weekday()
        if until is None:
            within = clock >= since
        elif since <= until:
            within = since <= clock < until
        else:
            within = clock >= since or clock < until
            if clock < until:
                day = (day - 1) % 7
        return within and bool(self.days >> day & 1)


@dataclass(frozen=True, slots=True)
class Dialled:
    """What is about to be called: the number's country, kind and time zones, and whether it is listed as not to be.

    A satellite has no country; it is costly.
    """

    country: str
    is_costly: bool
    zones: tuple[str, ...]
    is_listed: bool


def refusal(
    dialled: Dialled, *, countries: frozenset[str], allows_costly: bool, hours: Hours, now: datetime
) -> No | None:
    """Return why the call may not be made; None when it may.

    Where a number has several zones it must be time to call in half of them at least: a toll-free or a mobile one may
    have forty, and there is no hour for all. Where it has none that this machine knows, in UTC.
    """
    if dialled.is_listed:
        return No.DO_NOT_CALL
    dear = refusal_of_cost(dialled.country, dialled.is_costly, countries=countries, allows_costly=allows_costly)
    if dear is not None:
        return dear
    zones = [zone for zone in map(zone_of, dialled.zones) if zone is not None] or [UTC]
    if 2 * sum(hours.allow(now.astimezone(zone)) for zone in zones) < len(zones):
        return No.HOURS
    return None


def refusal_of_cost(country: str, is_costly: bool, *, countries: frozenset[str], allows_costly: bool) -> No | None:
    """Return why a number of this country and kind may not be rung, whosever it is; None when it may."""
    if is_costly and not allows_costly:
        return No.COSTLY
    if country and country not in countries:
        return No.COUNTRY
    return None


def zone_of(name: str) -> tzinfo | None:
    """Return the time zone of this name; None for one that is none, or that this machine lacks."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
