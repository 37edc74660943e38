"""The figures, against rows that are counted by hand here: definitions, zones, days that clocks are changed on."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from calls import figures
from calls.figures import Tally
from calls.models import CallLog, Disposition
from calls.period import Period
from crm import tenancy
from crm.models import Membership
from tests.conftest import Company
from tests.crm.rows import make_call as make_row

NEW_YORK, SAO_PAULO = ZoneInfo("America/New_York"), ZoneInfo("America/Sao_Paulo")
NOON = datetime(2026, 6, 10, 12, tzinfo=SAO_PAULO)  # a Wednesday
Make = Callable[..., CallLog]


@pytest.fixture
def make(ours: Company) -> Make:
    """`make(at, "completed", talk=60)`: a call of the rep's that was begun then."""

    def made(at: datetime, status: str, *, talk: int | None = None, company: Company = ours, **fields: Any) -> CallLog:
        live = status in ("queued", "initiated", "ringing", "in-progress")
        values = {"status": status, "stage": "ringing_agent" if live else "ended", "duration_seconds": talk}
        call = make_row(company, **values | fields)
        with tenancy.inside(company.id):
            CallLog.objects.filter(pk=call.pk).update(created_at=at)
        return call

    return made


def days(number: int, *, now: datetime = NOON) -> Period:
    return Period.of_days(number, now=now, zone=now.tzinfo or UTC)


def total(member: Membership, period: Period, **options: Any) -> Tally:
    with tenancy.inside(member.organization_id):
        return figures.total(member, period.stretch, **options)


# What is counted


def test_a_conversation_is_a_completed_call_and_only_its_seconds_are_talk_time(ours: Company, make: Make) -> None:
    make(NOON, "completed", talk=100)
    make(NOON, "completed", talk=50)
    make(NOON, "completed")  # over for a moment: how long is not known yet
    make(NOON, "no-answer", talk=7)  # seconds of a voicemail's greeting, say, are not talk
    for status in ("busy", "failed", "canceled"):
        make(NOON, status)
    found = total(ours.manager, days(1))
    assert found == Tally(calls=7, live=0, conversations=3, timed=2, talk_seconds=150)
    assert found.rate == 3 / 7
    assert found.average_seconds == 75


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress"])
def test_a_call_that_is_under_way_is_counted_and_has_not_failed(ours: Company, make: Make, status: str) -> None:
    make(NOON, "completed", talk=10)
    make(NOON, status)
    found = total(ours.manager, days(1))
    assert (found.calls, found.live, found.over) == (2, 1, 1)
    assert found.rate == 1
    with tenancy.inside(ours.id):
        assert figures.by_outcome(ours.manager, days(1).stretch) == {"": 1}


def test_test_calls_count_nowhere(ours: Company, make: Make) -> None:
    make(NOON, "completed", talk=10, is_test=True, contact=None)
    with tenancy.inside(ours.id):
        assert figures.total(ours.manager, days(1).stretch) == Tally()
        assert figures.by_hour(ours.manager, days(1)) == []
        assert figures.by_rep(ours.manager, days(1).stretch) == {}
        assert figures.by_outcome(ours.manager, days(1).stretch) == {}
        assert figures.last_ends(ours.manager, days(1).stretch) == {}


def test_an_organization_without_calls_has_no_rate_and_no_average(ours: Company) -> None:
    found = total(ours.manager, days(90))
    assert found == Tally()
    assert found.rate is None
    assert found.average_seconds is None
    assert Tally.sum([]) == found


def test_each_reps_calls_are_theirs_and_nobodys_are_nobodys(ours: Company, make: Make) -> None:
    make(NOON, "completed", talk=10)
    make(NOON, "busy")
    make(NOON, "completed", talk=30, member=ours.rep2)
    make(NOON, "no-answer", user=None)
    with tenancy.inside(ours.id):
        assert figures.by_rep(ours.manager, days(1).stretch) == {
            ours.rep.user_id: Tally(2, 0, 1, 1, 10),
            ours.rep2.user_id: Tally(1, 0, 1, 1, 30),
            None: Tally(1, 0, 0, 0, 0),
        }
    assert total(ours.manager, days(1), user_id=ours.rep2.user_id) == Tally(1, 0, 1, 1, 30)


def test_outcomes_are_those_that_reps_wrote_down_and_none_yet_is_one(ours: Company, make: Make) -> None:
    for disposition in ("meeting", "meeting", "voicemail", ""):
        make(NOON, "completed", talk=10, disposition=disposition)
    make(NOON, "busy", disposition=Disposition.BUSY, member=ours.rep2)
    make(NOON, "failed", user=None)  # nobody's, so nobody owes its outcome
    with tenancy.inside(ours.id):
        found = figures.by_outcome(ours.manager, days(1).stretch)
        assert found == {"meeting": 2, "voicemail": 1, "": 1, "busy": 1}
        assert figures.by_outcome(ours.manager, days(1).stretch, user_id=ours.rep2.user_id) == {"busy": 1}


# Whose


def test_a_rep_counts_their_own_calls_only_whoever_they_ask_for(ours: Company, make: Make) -> None:
    make(NOON, "completed", talk=10)
    make(NOON, "completed", talk=30, member=ours.rep2)
    assert total(ours.rep, days(1)) == Tally(1, 0, 1, 1, 10)
    assert total(ours.rep, days(1), user_id=ours.rep2.user_id) == Tally()
    with tenancy.inside(ours.id):
        assert set(figures.by_rep(ours.rep, days(1).stretch)) == {ours.rep.user_id}
        assert [hour.tally.calls for hour in figures.by_hour(ours.rep, days(1))] == [1]
        assert figures.by_outcome(ours.rep, days(1).stretch) == {"": 1}


def test_another_organizations_calls_are_in_no_figure(ours: Company, theirs: Company, make: Make) -> None:
    make(NOON, "completed", talk=10, company=theirs)
    make(NOON, "busy", unanswered_by="contact")
    assert total(ours.admin, days(1)) == Tally(1, 0, 0, 0, 0)
    with tenancy.inside(ours.id):
        assert set(figures.by_rep(ours.admin, days(1).stretch)) == {ours.rep.user_id}
        assert figures.by_outcome(ours.admin, days(1).stretch) == {"": 1}


# When


def test_days_and_hours_are_the_readers(ours: Company, make: Make) -> None:
    late = datetime(2026, 6, 9, 23, 30, tzinfo=SAO_PAULO)  # 02:30 of the 10th in UTC
    make(late, "busy")
    make(late + timedelta(minutes=30), "busy")  # midnight begins the next day
    with tenancy.inside(ours.id):
        found = [(one.day, one.hour) for one in figures.by_hour(ours.manager, days(7))]
        assert found == [(date(2026, 6, 9), 23), (date(2026, 6, 10), 0)]
        of_utc = Period.of_days(7, now=NOON, zone=UTC)
        found = [(one.day, one.hour) for one in figures.by_hour(ours.manager, of_utc)]
        assert found == [(date(2026, 6, 10), 2), (date(2026, 6, 10), 3)]
    assert total(ours.manager, days(1)).calls == 1


def test_a_half_hour_zones_hours_begin_when_its_clocks_say_so(ours: Company, make: Make) -> None:
    make(datetime(2026, 6, 10, 6, 29, tzinfo=UTC), "busy")  # 11:59 in India
    make(datetime(2026, 6, 10, 6, 30, tzinfo=UTC), "busy")
    with tenancy.inside(ours.id):
        found = figures.by_hour(ours.manager, Period.of_days(1, now=NOON, zone=ZoneInfo("Asia/Kolkata")))
    assert [one.hour for one in found] == [11, 12]


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25)], ids=["spring", "autumn"])
def test_a_day_that_clocks_are_changed_on_is_as_long_as_it_is(ours: Company, make: Make, day: date, hours: int) -> None:
    now = datetime(day.year, day.month, day.day, 20, tzinfo=NEW_YORK)
    stretch = days(1, now=now).stretch
    assert (stretch.ends_at.astimezone(UTC) - stretch.starts_at.astimezone(UTC)) == timedelta(hours=hours)
    for hour in range(-1, hours + 1):  # each hour of the day, and one on either side
        make(stretch.starts_at.astimezone(UTC) + timedelta(hours=hour, minutes=1), "busy")
    with tenancy.inside(ours.id):
        found = figures.by_hour(ours.manager, days(1, now=now))
    assert sum(one.tally.calls for one in found) == hours
    assert {one.day for one in found} == {day}
    counts = {one.hour: one.tally.calls for one in found}
    if hours == 25:  # the clock shows one o'clock twice
        assert counts == dict.fromkeys(range(24), 1) | {1: 2}
    else:  # and never two o'clock
        assert counts == {hour: 1 for hour in range(24) if hour != 2}


def test_a_midnight_that_does_not_exist_is_the_moment_that_clocks_jump(ours: Company, make: Make) -> None:
    # Chile's clocks went from 24:00 to 01:00: Sunday 2026-09-06 begins at one o'clock, which is 04:00 in UTC.
    zone = ZoneInfo("America/Santiago")
    period = Period(date(2026, 9, 6), date(2026, 9, 6), NOON, zone)
    starts_at = period.stretch.starts_at.astimezone(UTC)
    assert starts_at == datetime(2026, 9, 6, 4, tzinfo=UTC)
    make(starts_at - timedelta(seconds=1), "busy")
    make(starts_at, "busy")
    with tenancy.inside(ours.id):
        assert [(one.day, one.hour) for one in figures.by_hour(ours.manager, period)] == [(date(2026, 9, 6), 1)]


# The period before


def test_a_period_that_lasts_is_compared_with_as_much_of_the_one_before(ours: Company) -> None:
    before = days(7).comparable
    assert before.starts_at == datetime(2026, 5, 28, tzinfo=SAO_PAULO)
    assert before.ends_at == datetime(2026, 6, 3, 12, tzinfo=SAO_PAULO)
    assert days(1).comparable.ends_at == datetime(2026, 6, 9, 12, tzinfo=SAO_PAULO)


def test_a_period_that_is_over_is_compared_with_all_of_the_one_before() -> None:
    over = Period(date(2026, 6, 1), date(2026, 6, 9), NOON, SAO_PAULO)
    assert over.comparable == over.before.stretch
    assert over.before.first == date(2026, 5, 23)
    assert over.comparable.ends_at == over.stretch.starts_at


def test_the_same_time_of_day_is_the_clocks_also_across_a_change() -> None:
    now = datetime(2026, 3, 10, 12, tzinfo=NEW_YORK)  # two days after the change
    assert days(7, now=now).comparable.ends_at == datetime(2026, 3, 3, 12, tzinfo=NEW_YORK)


# The lists that figures lead to


def test_the_list_is_narrowed_by_the_clocks_of_a_zone(ours: Company, make: Make, api_of: Callable[..., Any]) -> None:
    late = datetime(2026, 6, 9, 23, 30, tzinfo=SAO_PAULO)  # a Tuesday; Wednesday, 02:30, in UTC
    call = make(late, "busy")
    api = api_of(ours.manager)

    def found(query: str) -> list[str]:
        answer = api.get(f"calls/?{query}")
        assert answer.status_code == 200
        return [one["id"] for one in answer.json()["results"]]

    for query in ("weekday=2&hour=23&zone=America/Sao_Paulo", "weekday=3", "hour=2", "zone=Asia/Tokyo"):
        assert found(query) == [str(call.pk)], query
    for query in ("weekday=3&zone=America/Sao_Paulo", "hour=23", "weekday=2"):
        assert found(query) == [], query
    assert str(call.pk) in api.get("calls/export.csv?hour=23&zone=America/Sao_Paulo").getvalue().decode()
    for query in ("weekday=8", "hour=24", "hour=x", "zone=America/Nowhere", "zone=../../etc/passwd"):
        assert api.get(f"calls/?{query}").status_code == 400, query
