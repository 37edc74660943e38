"""What the dashboard shows of the figures: each with its words, and with the address of the list that it counts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse
from django.utils.dates import WEEKDAYS, WEEKDAYS_ABBR
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _

from calls.charts import Bar, share
from calls.figures import Hour, Tally
from calls.models import CallStatus, Disposition
from calls.period import Period
from crm.templatetags.show import talk

ENOUGH = 5  # calls that are over: a rate of fewer says nothing
SHADES = 5
MOST_COLUMNS = 92  # days; more than these are shown by week
OFFICE_HOURS = range(8, 19)  # that the chart of one day has at least


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls the page is about."""

    period: Period
    user_id: UUID | None = None

    def link(self, *, first: date | None = None, last: date | None = None, **filters: Any) -> str:
        """Return the address of the list of these calls, narrowed further by the list's own filters."""
        said = {
            "since": (first or self.period.first).isoformat(),
            "until": (last or self.period.last).isoformat(),
            "user": self.user_id and str(self.user_id),
        }
        said |= filters
        return f"{reverse('calls')}?{urlencode({name: value for name, value in said.items() if value})}"


def count(number: int) -> str:
    """Show how many."""
    return number_format(number, force_grouping=True)


def percent(rate: float | None) -> str:
    """Show a rate; a dash when there is none."""
    if rate is None:
        return "–"
    points = round(100 * rate)
    return f"{number_format(points)}%" if points or not rate else "<1%"


@dataclass(frozen=True, slots=True)
class Card:
    """A figure on top of the page."""

    label: str
    value: str
    about: str
    compared: str
    link: str


def cards(scope: Scope, now: Tally, before: Tally) -> list[Card]:
    """Return the four figures, each against the period before."""
    talked = scope.link(status=CallStatus.COMPLETED.value)
    said: dict[str, Any] = {"calls": count(now.over), "conversations": count(now.conversations)}
    return [
        Card(_("Calls"), count(now.calls), "", _compare_calls(now, before), scope.link()),
        Card(
            _("Connect rate"),
            percent(now.rate),
            _("Conversations: %(conversations)s of %(calls)s") % said if now.over else "",
            _compare_rates(now.rate, before.rate),
            talked,
        ),
        Card(
            _("Talk time"),
            talk(now.talk_seconds),
            "",
            _compare_seconds(now.talk_seconds, before.talk_seconds if before.calls else None),
            talked,
        ),
        Card(
            _("Average talk"),
            talk(now.average_seconds),
            "",
            _compare_averages(now.average_seconds, before.average_seconds),
            talked,
        ),
    ]


def _nothing() -> str:
    return _("Nothing before to compare with")


def _compare_calls(now: Tally, before: Tally) -> str:
    said = {"difference": count(abs(now.calls - before.calls)), "before": count(before.calls)}
    if not before.calls:
        return _nothing()
    if now.calls == before.calls:
        return _("As many as before")
    more = _("%(difference)s more than before (%(before)s)")
    return (more if now.calls > before.calls else _("%(difference)s fewer than before (%(before)s)")) % said


def _compare_rates(now: float | None, before: float | None) -> str:
    if now is None or before is None:
        return _nothing()
    said = {"before": percent(before)}
    if percent(now) == said["before"]:
        return _("The same as before")
    return (_("Higher than before (%(before)s)") if now > before else _("Lower than before (%(before)s)")) % said


def _compare_seconds(now: int, before: int | None) -> str:
    if before is None:
        return _nothing()
    if now == before:
        return _("The same as before")
    said = {"difference": talk(abs(now - before)), "before": talk(before)}
    more = _("%(difference)s more than before (%(before)s)")
    return (more if now > before else _("%(difference)s less than before (%(before)s)")) % said


def _compare_averages(now: int | None, before: int | None) -> str:
    if now is None or before is None:
        return _nothing()
    if now == before:
        return _("The same as before")
    said = {"difference": talk(abs(now - before)), "before": talk(before)}
    longer = _("%(difference)s longer than before (%(before)s)")
    return (longer if now > before else _("%(difference)s shorter than before (%(before)s)")) % said


def day_words(day: date) -> str:
    """Show a day without its year."""
    return date_format(day, "j M")


def days_words(first: date, last: date) -> str:
    """Show the days of a period, with their year."""
    if first == last:
        return date_format(first, "j M Y")
    return f"{date_format(first, 'j M' if first.year == last.year else 'j M Y')} – {date_format(last, 'j M Y')}"


def bars(scope: Scope, hours: Sequence[Hour]) -> list[Bar]:
    """Return what the column chart shows: the hours of one day, days, or weeks that begin on Mondays."""
    period = scope.period
    if period.length == 1:
        return _hours_of_a_day(scope, hours)
    found: dict[date, list[Tally]] = defaultdict(list)
    for one in hours:
        found[one.day].append(one.tally)
    weeks: dict[date, list[date]] = defaultdict(list)
    for day in period.days:
        begins = day - timedelta(days=day.weekday()) if period.length > MOST_COLUMNS else day
        weeks[begins].append(day)
    return [_bar(scope, days, found) for days in weeks.values()]


def _bar(scope: Scope, days: Sequence[date], found: Mapping[date, list[Tally]]) -> Bar:
    first, last = days[0], days[-1]
    return Bar(
        name=date_format(first, "D j M") if first == last else f"{day_words(first)} – {day_words(last)}",
        short=day_words(first),
        tally=Tally.sum(one for day in days for one in found.get(day, [])),
        calls_link=scope.link(first=first, last=last),
        talked_link=scope.link(first=first, last=last, status=CallStatus.COMPLETED.value),
    )


def _hours_of_a_day(scope: Scope, hours: Sequence[Hour]) -> list[Bar]:
    found = {one.hour: one.tally for one in hours}
    shown = range(min(*found, OFFICE_HOURS[0]), max(*found, OFFICE_HOURS[-1]) + 1) if found else OFFICE_HOURS
    return [
        Bar(
            name=clock_words(hour),
            short=clock_words(hour),
            tally=found.get(hour, Tally()),
            calls_link=scope.link(hour=str(hour)),
            talked_link=scope.link(hour=str(hour), status=CallStatus.COMPLETED.value),
        )
        for hour in shown
    ]


def clock_words(hour: int) -> str:
    """Show the hour that begins then."""
    return f"{hour:02}:00"


@dataclass(frozen=True, slots=True)
class RepRow:
    """A rep's line."""

    name: str
    tally: Tally
    bar: str
    calls_link: str
    talked_link: str
    scope_link: str


def rep_rows(
    scope: Scope, tallies: Mapping[UUID | None, Tally], *, names: Mapping[UUID, str], reps: Iterable[UUID]
) -> list[RepRow]:
    """Return a line for whoever has called, and for the `reps` who have not; the busiest first.

    Calls that are nobody's have a line too; no list shows them alone.
    """
    most = max((tally.calls for tally in tallies.values()), default=0)

    def row(user_id: UUID | None, tally: Tally) -> RepRow:
        own = Scope(scope.period, user_id)
        return RepRow(
            name=names.get(user_id, "") if user_id else _("Nobody"),
            tally=tally,
            bar=share(tally.calls, most),
            calls_link=own.link() if user_id else "",
            talked_link=own.link(status=CallStatus.COMPLETED.value) if user_id else "",
            scope_link=str(user_id or ""),
        )

    everybody = {user_id: Tally() for user_id in reps} | dict(tallies)
    rows = [row(user_id, tally) for user_id, tally in everybody.items()]
    return sorted(rows, key=lambda one: (-one.tally.calls, one.name.casefold()))


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of a weekday. `shade` is 0 where too few calls stand behind it, else from 1, the lowest rate."""

    tally: Tally
    shade: int
    is_best: bool
    link: str


@dataclass(frozen=True, slots=True)
class Heat:
    """The connect rate by weekday and hour."""

    weekdays: list[tuple[str, str]]
    rows: list[tuple[str, list[Cell]]]
    best: str
    lowest: float | None
    highest: float | None


def heat(scope: Scope, hours: Iterable[Hour]) -> Heat:
    """Return the map: its hours are the lines, from the first to the last that has a call."""
    found: dict[tuple[int, int], list[Tally]] = defaultdict(list)
    for one in hours:
        found[one.hour, one.day.weekday()].append(one.tally)
    cells = {place: Tally.sum(tallies) for place, tallies in found.items()}
    rates = {place: tally.rate or 0.0 for place, tally in cells.items() if tally.over >= ENOUGH}
    lowest, highest = min(rates.values(), default=None), max(rates.values(), default=None)
    best = max(rates, key=lambda place: (rates[place], cells[place].over), default=None)

    def cell(place: tuple[int, int]) -> Cell:
        hour, weekday = place
        link = scope.link(weekday=str(weekday + 1), hour=str(hour))
        rate = rates.get(place)
        if rate is None or lowest is None or highest is None:
            return Cell(cells.get(place, Tally()), 0, False, link)
        shade = SHADES if highest == lowest else 1 + int((rate - lowest) / (highest - lowest) * (SHADES - 1) + 0.5)
        return Cell(cells[place], shade, place == best, link)

    called = [hour for hour, _weekday in cells]
    rows = [
        (clock_words(hour), [cell((hour, weekday)) for weekday in range(7)])
        for hour in (range(min(called), max(called) + 1) if called else ())
    ]
    return Heat(
        weekdays=[(str(WEEKDAYS_ABBR[day]), str(WEEKDAYS[day])) for day in range(7)],
        rows=rows,
        best=_best_words(best, cells[best]) if best else "",
        lowest=lowest,
        highest=highest,
    )


def _best_words(place: tuple[int, int], tally: Tally) -> str:
    hour, weekday = place
    return _("Best: %(weekday)s at %(hour)s, when %(rate)s of %(calls)s calls became conversations.") % {
        "weekday": WEEKDAYS[weekday],
        "hour": clock_words(hour),
        "rate": percent(tally.rate),
        "calls": count(tally.over),
    }


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """An outcome's line."""

    name: str
    calls: int
    share: str
    bar: str
    link: str
    is_missing: bool = False


def outcome_rows(scope: Scope, outcomes: Mapping[str, int]) -> list[OutcomeRow]:
    """Return a line for each outcome that a call has, the most frequent first; at the end, calls without one."""
    whole, most = sum(outcomes.values()), max(outcomes.values(), default=0)
    names = dict(Disposition.choices)

    def row(value: str, calls: int) -> OutcomeRow:
        link = scope.link(disposition=value) if value in names else ""
        return OutcomeRow(
            name=str(names.get(value, value)) if value else _("No outcome yet"),
            calls=calls,
            share=percent(calls / whole),
            bar=share(calls, most),
            link=link if value else scope.link(show="needs-outcome"),
            is_missing=not value,
        )

    rows = [row(value, calls) for value, calls in outcomes.items() if calls]
    return sorted(rows, key=lambda one: (one.is_missing, -one.calls, one.name))


def bars_title(period: Period) -> tuple[str, str]:
    """Return what the column chart is about, and what each of its columns is."""
    if period.length == 1:
        return _("Calls by hour"), _("Hour")
    return (_("Calls by week"), _("Week")) if period.length > MOST_COLUMNS else (_("Calls by day"), _("Day"))


def live_link(scope: Scope) -> str:
    """Return the address of the list of the calls that are under way."""
    return scope.link(show="live")
