"""The dashboard and the live board, as members get them; the figures themselves are counted in tests/calls."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from calls.board import Board, board
from calls.charts import Bar, column_chart
from calls.dashboard import ENOUGH, Scope, bars, heat, percent
from calls.figures import Hour, Tally
from calls.models import CallLog
from calls.period import Period
from crm import tenancy
from crm.models import Membership
from crm.numbers import for_display
from tests.conftest import Company

Make = Callable[..., CallLog]
ClientOf = Callable[[Membership], Client]
ZONE = ZoneInfo("America/Sao_Paulo")
HOUR, DAY = 3600, 86400
MONDAY = date(2026, 6, 8)
SCOPE = Scope(Period(MONDAY, MONDAY + timedelta(days=13), datetime(2027, 1, 1, tzinfo=ZONE), ZONE))


def text_of(answer: Any) -> str:
    """What a page says, without its marks."""
    assert answer.status_code == 200
    [main] = re.findall(r"<main.*</main>", answer.content.decode(), re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def figures_of(answer: Any) -> dict[str, tuple[str, str, str]]:
    """The four figures on top: the value, its link, and what else is said."""
    assert answer.status_code == 200
    cards = re.findall(
        r'<li class="card figure">\s*<h3>(.*?)</h3>\s*<p class="figure-value"><a href="(.*?)">(.*?)</a></p>(.*?)</li>',
        answer.content.decode(),
        re.DOTALL,
    )
    return {
        unescape(label): (value, unescape(link), " ".join(unescape(re.sub(r"<[^>]+>", " ", said)).split()))
        for label, link, value, said in cards
    }


# The page


def test_figures_are_told_with_the_period_before_in_words(ours: Company, make_call: Make, client_of: ClientOf) -> None:
    make_call(status="completed", duration_seconds=100, ago=DAY)
    make_call(status="completed", duration_seconds=200, ago=DAY)
    make_call(status="busy", ago=DAY)
    make_call(status="ringing", stage="ringing_contact")
    make_call(status="completed", duration_seconds=60, ago=8 * DAY)
    make_call(status="failed", ago=8 * DAY)
    make_call(status="completed", duration_seconds=5, is_test=True)
    found = figures_of(client_of(ours.manager).get("/dashboard/?days=7"))
    assert found["Calls"][::2] == ("4", "Under way: 1 2 more than before (2)")
    assert found["Connect rate"][::2] == ("67%", "Conversations: 2 of 3 Higher than before (50%)")
    assert found["Talk time"][::2] == ("5:00", "4:00 more than before (1:00)")
    assert found["Average talk"][::2] == ("2:30", "1:30 longer than before (1:00)")


def test_less_the_same_and_nothing_before_are_told_too(ours: Company, make_call: Make, client_of: ClientOf) -> None:
    client = client_of(ours.manager)
    make_call(status="completed", duration_seconds=60)
    found = figures_of(client.get("/dashboard/?days=1"))
    assert {said for _value, _link, said in found.values()} == {
        "Nothing before to compare with",
        "Conversations: 1 of 1 Nothing before to compare with",
    }
    for seconds in (90, 100):
        make_call(status="completed", duration_seconds=seconds, ago=40 * DAY)
    found = figures_of(client.get("/dashboard/?days=30"))
    assert found["Calls"][2] == "1 fewer than before (2)"
    assert found["Connect rate"][2] == "Conversations: 1 of 1 The same as before"
    assert found["Talk time"][2] == "2:10 less than before (3:10)"
    assert found["Average talk"][2] == "0:35 shorter than before (1:35)"


def test_an_organization_without_calls_is_told_what_to_do(ours: Company, client_of: ClientOf) -> None:
    said = text_of(client_of(ours.manager).get("/dashboard/"))
    assert "No calls in these days" in said
    assert "Connect rate" not in said


def test_a_rep_sees_their_own_figures_and_nobody_to_compare_with(
    ours: Company, make_call: Make, client_of: ClientOf
) -> None:
    make_call(status="completed", duration_seconds=60)
    make_call(status="completed", duration_seconds=99, user=ours.rep2.user)
    answer = client_of(ours.rep).get(f"/dashboard/?user={ours.rep2.user_id}")
    said = text_of(answer)
    assert figures_of(answer)["Talk time"][0] == "1:00"
    assert said.startswith("My figures")
    for word in ("By rep", "Rep of", "Rep2 of", "one rep"):
        assert word not in said
    assert client_of(ours.rep).get("/board/").status_code == 403


def test_a_managers_page_narrows_to_a_rep_and_keeps_the_days(
    ours: Company, make_call: Make, client_of: ClientOf
) -> None:
    make_call(status="completed", duration_seconds=60)
    make_call(status="completed", duration_seconds=99, user=ours.rep2.user)
    client = client_of(ours.manager)
    assert figures_of(client.get("/dashboard/?days=7"))["Calls"][0] == "2"
    answer = client.get(f"/dashboard/?days=7&user={ours.rep2.user_id}")
    assert figures_of(answer)["Calls"][0] == "1"
    assert str(ours.rep2.user) in text_of(answer)
    assert f'href="?days=90&amp;user={ours.rep2.user_id}"' in answer.content.decode()
    assert "By rep" not in text_of(answer)


def test_nobody_elses_calls_or_people_are_on_the_page(
    ours: Company, theirs: Company, make_call: Make, client_of: ClientOf
) -> None:
    make_call(status="completed", duration_seconds=60, company=theirs)
    make_call(status="busy")
    answer = client_of(ours.admin).get("/dashboard/")
    assert figures_of(answer)["Calls"][0] == "1"
    assert "Theirs" not in answer.content.decode()
    asked_for_a_stranger = client_of(ours.admin).get(f"/dashboard/?user={theirs.rep.user_id}")
    assert figures_of(asked_for_a_stranger)["Calls"][0] == "1"
    assert "is not one of the available choices" in text_of(asked_for_a_stranger)


def test_days_are_those_of_the_zone_that_the_browser_tells(ours: Company, make_call: Make, client_of: ClientOf) -> None:
    client = client_of(ours.manager)
    call = make_call(status="busy")
    counts = {}
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # a day and an hour apart
        day = timezone.localdate(timezone=ZoneInfo(zone))
        yesterdays_last_minute = datetime.combine(day, datetime.min.time(), ZoneInfo(zone)) - timedelta(minutes=1)
        with tenancy.inside(ours.id):
            CallLog.objects.filter(pk=call.pk).update(created_at=yesterdays_last_minute)
        client.cookies["zone"] = zone
        counts[zone] = [figures_of(client.get(f"/dashboard/?days={days}")).get("Calls", ("0",))[0] for days in (1, 7)]
    assert set(map(tuple, counts.values())) == {("0", "1")}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("until=2026-01-31", "Say the first day as well."),
        ("since=2026-02-01&until=2026-01-31", "The last day comes before the first"),
        ("since=2099-01-01", "or the first is yet to come"),
        ("since=2024-01-01&until=2025-12-31", "choose 366 days at most"),
        ("since=0001-01-01&until=0001-01-02", "choose 366 days at most"),
        ("since=yesterday", "Enter a valid date."),
    ],
)
def test_days_that_make_no_sense_are_explained_and_the_usual_ones_shown(
    ours: Company, make_call: Make, client_of: ClientOf, query: str, said: str
) -> None:
    make_call(status="busy", ago=10 * DAY)
    answer = client_of(ours.manager).get(f"/dashboard/?{query}")
    assert said in text_of(answer)
    assert figures_of(answer)["Calls"][0] == "1"


def test_odd_words_in_the_address_are_no_error(ours: Company, make_call: Make, client_of: ClientOf) -> None:
    make_call(status="busy")
    for query in ("days=x", "days=8", "user=%00", "user=me", "days=&user="):
        assert figures_of(client_of(ours.manager).get(f"/dashboard/?{query}"))["Calls"][0] == "1", query


def test_own_days_are_counted_and_linked_to(ours: Company, make_call: Make, client_of: ClientOf) -> None:
    make_call(status="busy", ago=10 * DAY)
    make_call(status="busy", ago=12 * DAY)
    day = timezone.localdate(timezone.now() - timedelta(days=10))
    answer = client_of(ours.manager).get(f"/dashboard/?since={day}&until={day}")
    value, link, _said = figures_of(answer)["Calls"]
    assert (value, link) == ("1", f"/calls/?since={day}&until={day}")
    assert "Calls by hour" in text_of(answer)
    assert "Best hour" not in text_of(answer)


def listed(client: Client, link: str) -> int:
    """How many calls the list has that a figure leads to."""
    answer = client.get(link)
    assert answer.status_code == 200, link
    [count] = re.findall(r'id="count"[^>]*>(\d+)<', answer.content.decode())
    return int(count)


@pytest.mark.parametrize("query", ["days=30", "days=1", "since=long-ago&user=rep"])
def test_every_figure_leads_to_a_list_of_as_many_calls(
    ours: Company, theirs: Company, make_call: Make, client_of: ClientOf, query: str
) -> None:
    dispositions = ("meeting", "voicemail", "", "", "call_back")
    for number, ago in enumerate([0, 1, 3, 13, 29, 100]):
        for user in (ours.rep.user, ours.rep2.user):
            at = timezone.now() - timedelta(days=ago, hours=3 * number)
            status = ("completed", "busy", "completed", "no-answer")[(number + (user == ours.rep.user)) % 4]
            made = make_call(status=status, user=user, disposition=dispositions[number % 5], duration_seconds=60)
            with tenancy.inside(ours.id):
                CallLog.objects.filter(pk=made.pk).update(created_at=at)
    for _ in range(ENOUGH + 1):
        make_call(status="completed", duration_seconds=9, ago=DAY)
    make_call(status="ringing", stage="ringing_contact")
    make_call(status="completed", is_test=True)
    make_call(status="failed", user=None)
    make_call(status="completed", company=theirs)
    client = client_of(ours.manager)
    client.cookies["zone"] = "America/Sao_Paulo"
    long_ago = (timezone.now() - timedelta(days=120)).date()
    query = query.replace("=rep", f"={ours.rep.user_id}").replace("long-ago", str(long_ago))
    answer = client.get(f"/dashboard/?{query}")
    links = re.findall(r'<a href="(/calls/\?[^"]*)"[^>]*>(.*?)</a>', answer.content.decode(), re.DOTALL)
    kinds = set()
    counted: dict[str, int] = {}
    for link, inner in links:
        link = unescape(link)
        parameters = dict(parse_qsl(urlsplit(link).query))
        said = re.search(r"(\d+)</(?:small|title)>", inner) or re.fullmatch(r"(?:Under way: )?(\d+)", inner)
        if said:
            # A cell's rate is of the calls that are over.
            if link not in counted:
                under_way = listed(client, f"{link}&show=live") if "weekday" in parameters else 0
                counted[link] = listed(client, link) - under_way
            assert counted[link] == int(said[1]), (link, inner)
        else:  # a rate, or talk time: of the conversations
            assert parameters["status"] == "completed", (link, inner)
        kinds |= parameters.keys()
    wanted = {"since", "until", "status", "disposition", "show"}
    wanted |= {"hour"} if query == "days=1" else {"weekday", "hour"}
    assert kinds == wanted | {"user"}
    found = figures_of(answer)
    conversations = re.search(r"Conversations: (\d+) of", found["Connect rate"][2])
    assert conversations is not None
    assert {listed(client, found[label][1]) for label in ("Connect rate", "Talk time", "Average talk")} == {
        int(conversations[1])
    }


# What stands where


def hour(day: date, number: int, calls: int = 1, conversations: int = 0) -> Hour:
    return Hour(day, number, Tally(calls=calls, conversations=conversations))


def test_a_cell_with_too_few_calls_has_no_rate_whatever_it_would_be() -> None:
    found = heat(SCOPE, [hour(MONDAY, 9, ENOUGH - 1, ENOUGH - 1), hour(MONDAY + timedelta(days=1), 9, ENOUGH, 1)])
    [(_name, cells)] = found.rows
    assert [cell.shade for cell in cells] == [0, 5, 0, 0, 0, 0, 0]
    assert [cell.is_best for cell in cells] == [False, True, False, False, False, False, False]
    assert "Tuesday" in found.best


def test_the_map_adds_the_same_hour_of_all_weeks_and_ends_with_the_hours_called() -> None:
    week = timedelta(days=7)
    found = heat(
        SCOPE, [hour(MONDAY, 9, 4, 1), hour(MONDAY + week, 9, 6, 4), hour(MONDAY, 11, 10, 1), hour(MONDAY, 12, 1)]
    )
    assert [name for name, _cells in found.rows] == ["09:00", "10:00", "11:00", "12:00"]
    mondays = [cells[0] for _name, cells in found.rows]
    assert [(cell.tally.conversations, cell.tally.over, cell.shade) for cell in mondays] == [
        (5, 10, 5),
        (0, 0, 0),
        (1, 10, 1),
        (0, 1, 0),
    ]
    assert heat(SCOPE, []).rows == []


def test_a_day_without_calls_has_a_column_of_no_height() -> None:
    period = Period(MONDAY, MONDAY + timedelta(days=2), datetime(2026, 6, 20, tzinfo=ZONE), ZONE)
    found = bars(Scope(period), [hour(MONDAY, 9, 3, 1), hour(MONDAY, 10, 1, 1), hour(MONDAY + timedelta(days=2), 9)])
    assert [bar.tally.calls for bar in found] == [4, 0, 1]
    chart = column_chart(found)
    assert [line.value for line in chart.lines] == [0, 1, 2, 3, 4]
    assert [(one.height, one.part_height) for one in chart.columns] == [
        ("160.0", "80.0"),
        ("0.0", "0.0"),
        ("40.0", "0.0"),
    ]


def test_more_than_a_quarter_is_shown_by_week_and_nothing_is_counted_twice() -> None:
    period = Period(MONDAY + timedelta(days=2), MONDAY + timedelta(days=120), datetime(2027, 1, 1, tzinfo=ZONE), ZONE)
    found = bars(Scope(period), [hour(day, 9) for day in period.days])
    assert [bar.tally.calls for bar in found[:2]] == [5, 7]
    assert sum(bar.tally.calls for bar in found) == period.length
    assert "since=2026-06-10&until=2026-06-14" in found[0].calls_link


@pytest.mark.parametrize(("most", "top"), [(0, 1), (1, 1), (4, 4), (5, 6), (42, 60), (101, 150), (100_000, 100_000)])
def test_the_lines_across_are_round_and_reach_the_highest(most: int, top: int) -> None:
    chart = column_chart([Bar("", "", Tally(calls=most), "", "")])
    assert chart.lines[-1].value == top
    assert 2 <= len(chart.lines) <= 5


def test_rates_are_rounded_and_a_little_is_not_nothing() -> None:
    found = [percent(rate) for rate in (None, 0.0, 0.001, 0.006, 0.5349, 0.536, 1.0)]
    assert found == ["–", "0%", "<1%", "1%", "53%", "54%", "100%"]


# The live board


def board_of(member: Membership) -> Board:
    with tenancy.inside(member.organization_id):
        return board(member)


def test_the_board_says_who_is_on_a_call_and_who_is_free(ours: Company, make_call: Make, client_of: ClientOf) -> None:
    make_call(status="completed", duration_seconds=60, ago=1)
    make_call(status="in-progress", stage="talking", ago=90, answered_at=timezone.now() - timedelta(seconds=65))
    make_call(status="ringing", stage="ringing_agent", user=ours.rep2.user, ago=20, contact=None)
    found = board_of(ours.manager)
    talking, ringing, *free = found.lines
    assert (talking.name, talking.whom, talking.words) == (str(ours.rep.user), "Contact of Ours", "Talking")
    assert 65 <= talking.seconds < 80
    assert (ringing.name, ringing.whom, ringing.words) == (
        str(ours.rep2.user),
        for_display(ours.contact_number),
        "Ringing the rep",
    )
    assert 20 <= ringing.seconds < 40
    assert [(one.call, one.words) for one in free] == [(None, "")] * 2
    assert found.busy == 2
    said = text_of(client_of(ours.manager).get("/board/"))
    assert "On a call: 2 of 4" in said
    assert "Talking 01:0" in said
    assert said.count("Free") == 2


def test_the_board_is_empty_in_words(ours: Company, client_of: ClientOf) -> None:
    assert "Nobody is on a call right now." in text_of(client_of(ours.admin).get("/board/"))


def test_a_member_without_a_phone_or_who_left_is_shown_as_such(ours: Company, make_call: Make) -> None:
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep.pk).update(phone_number="")
        Membership.objects.filter(pk=ours.rep2.pk).update(is_active=False)
    make_call(status="ringing", stage="ringing_contact", user=ours.rep2.user)  # the call of one who has just left
    found = board_of(ours.manager)
    assert [one.name for one in found.lines if not one.has_phone] == [str(ours.rep.user)]
    assert found.lines[0].name == str(ours.rep2.user)
    assert len(found.lines) == 4


def test_only_news_is_sent_again(ours: Company, make_call: Make, client_of: ClientOf) -> None:
    client = client_of(ours.manager)
    call = make_call(status="ringing", stage="ringing_agent")
    htmx = {"HX-Request": "true", "HX-Target": "board"}

    def asked(seen: str) -> Any:
        return client.get(f"/board/?seen={seen}", headers=htmx)

    seen = board_of(ours.manager).seen
    assert asked(seen).status_code == 204
    with tenancy.inside(ours.id):
        CallLog.objects.filter(pk=call.pk).update(stage="talking", status="in-progress", answered_at=timezone.now())
    answer = asked(seen)
    assert answer.status_code == 200
    assert answer.content.startswith(b'<div id="board"')
    assert client.get(f"/board/?seen={board_of(ours.manager).seen}").status_code == 200, "A page is never empty."


def test_a_manager_never_sees_another_organizations_calls(
    ours: Company, theirs: Company, make_call: Make, client_of: ClientOf
) -> None:
    make_call(status="ringing", stage="ringing_contact", company=theirs)
    answer = client_of(ours.manager).get("/board/")
    assert "Nobody is on a call right now." in text_of(answer)
    assert "Theirs" not in answer.content.decode()


def test_a_test_call_is_a_call_on_the_board_and_in_no_count(ours: Company, make_call: Make) -> None:
    make_call(status="ringing", stage="ringing_agent", is_test=True)
    first = board_of(ours.manager).lines[0]
    assert (first.whom, first.today) == ("Test call", Tally())
