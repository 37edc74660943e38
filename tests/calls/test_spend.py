"""What calls cost: prices that come late, the money of a day, and the fence around it."""

import logging
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, connections
from django.utils import timezone

from calls import errors, journal, queries
from calls.models import CallLog, CallRules, DaySpend, DueCall, JournalSource, MinuteRate
from calls.reconcile.apply import apply_callbacks
from calls.services import gate
from calls.services.rules import set_rules
from calls.services.start import start_call
from crm import tenancy
from crm.errors import AppError
from crm.models import Membership, Role, User
from tests.calls.driving import check, due, let_pass, over_at_twilio, rest, send_callback, stored_state
from tests.conftest import Api, Company, World, eventually, phone, read_call, read_journal

# Two legs within the country of which nothing is known, and five minutes of them.
RATE, RESERVED = Decimal("0.20"), Decimal("1.00")
# The simulator's price of a minute, which is begun by each leg of a short call.
MINUTE = Decimal("0.014")


def today() -> Any:
    """The day by whose money a call goes that starts now."""
    return datetime.now(UTC).date()


def spent(company: Company, day: Any = None) -> Decimal:
    """The money of a day."""
    with tenancy.inside(company.id):
        row = DaySpend.objects.filter(day=day or today()).first()
    return row.amount if row else Decimal(0)


def cap(company: Company, amount: Any, **more: Any) -> None:
    """Set the organization's spending limit."""
    set_rules(organization=company.organization, daily_spend_cap=None if amount is None else Decimal(amount), **more)


def prices(world: World, company: Company, *, are_known: bool) -> None:
    """Have Twilio work out what the company's calls cost, or not yet."""
    world.twilio.ask("POST", "accounts", company.account() | {"prices": are_known})


def leg_prices(world: World, company: Company) -> list[str | None]:
    """What Twilio says that the company's ended legs cost."""
    recent = world.twilio.ask("GET", "state")["calls"]["recent"]
    return [one["price"] for one in recent if one["account_sid"] == company.account_sid]


def priced_at_twilio(world: World, company: Company) -> None:
    """Have the company's prices be known, and wait until they are."""
    prices(world, company, are_known=True)
    eventually(lambda: all(leg_prices(world, company)), what="Twilio's prices")


def ended(world: World, company: Company) -> UUID:
    """Make a call that is over, and of which nothing but its price is still to come."""
    call_id = world.call(company)
    over_at_twilio(company, world)
    while due(call_id) is not None:
        let_pass(company, call_id, 20)
        check(company, call_id)
    return call_id


def busy(world: World, company: Company) -> UUID:
    """Make a call whose rep is busy, and have it applied."""
    world.twilio.phone(company.rep.phone_number, does="busy", after=0.1)
    call_id = world.call(company)
    over_at_twilio(company, world)
    check(company, call_id)
    return call_id


def asked(world: World, company: Company) -> int:
    """How many requests Twilio got about calls."""
    found = world.twilio.ask("GET", f"asked?account_sid={company.account_sid}")["asked"]
    return sum(one["operation"] in ("fetch", "list") for one in found)


def refusal(company: Company, member: Membership | None = None, **body: str) -> dict[str, Any]:
    """Start a call that is refused, and return the error."""
    answer = Api(member or company.rep).post("calls/", body or {"contact": str(company.contact.pk)})
    assert answer.status_code == 429, answer.content
    error: dict[str, Any] = answer.json()["errors"][0]
    return error


# --- prices ---


@pytest.mark.stack
def test_a_price_comes_later_and_is_fetched(quiet: World, company: Company) -> None:
    prices(quiet, company, are_known=False)
    call_id = ended(quiet, company)
    row = read_call(company, call_id)
    assert (row.status, row.price, row.price_unit) == ("completed", None, None)
    assert (row.charge, row.minute_rate, spent(company)) == (RATE, RATE, RATE), "A minute of two legs."
    before = asked(quiet, company)
    for minutes in (10, 20, 40):
        note = DueCall.objects.get(pk=call_id)
        assert note.only_price
        let_pass(company, call_id, (note.due_at - timezone.now()).total_seconds() + 1)
        assert check(company, call_id).price is None, minutes
    assert asked(quiet, company) - before == 2 * 3, "One leg is fetched, the other one listed."
    priced_at_twilio(quiet, company)
    let_pass(company, call_id, 81 * 60)
    row = check(company, call_id)
    assert (row.price, row.price_unit) == (2 * MINUTE, "USD")
    assert row.charge == spent(company) == 2 * MINUTE
    assert not DueCall.objects.filter(pk=call_id).exists()
    shown = Api(company.rep).get(f"calls/{call_id}/").json()
    assert (shown["price"], shown["price_unit"]) == ("0.02800", "USD")
    assert [(leg["price"], leg["price_unit"]) for leg in shown["legs"]] == [("0.01400", "USD")] * 2
    with tenancy.inside(company.id):
        rate = MinuteRate.objects.get()
    assert (rate.country, rate.is_costly, rate.day, rate.amount) == ("BR", False, today(), MINUTE)


@pytest.mark.stack
def test_a_price_that_never_comes_is_given_up_and_said_to_be(
    quiet: World, company: Company, caplog: pytest.LogCaptureFixture
) -> None:
    prices(quiet, company, are_known=False)
    call_id = ended(quiet, company)
    before = asked(quiet, company)
    looks = 0
    while (note := DueCall.objects.filter(pk=call_id).first()) is not None:
        assert note.due_at
        let_pass(company, call_id, (note.due_at - timezone.now()).total_seconds() + 1)
        with caplog.at_level(logging.ERROR):
            check(company, call_id)
        looks += 1
    assert looks <= 12
    assert asked(quiet, company) - before <= 2 * 10
    assert "named no price" in caplog.text
    row = read_call(company, call_id)
    assert (row.price, row.charge, spent(company)) == (None, RATE, RATE), "It counts for what it was taken to cost."


@pytest.mark.stack
def test_a_price_is_no_news_of_the_conversation(quiet: World, company: Company) -> None:
    prices(quiet, company, are_known=False)
    call_id = ended(quiet, company)
    account, row = company.account_sid, read_call(company, call_id)
    with tenancy.inside(company.id):
        said = {
            "sid": row.call_sid,
            "status": "completed",
            "price": None,
            "date_updated": "then",
            "account_sid": account,
        }
        for kind, fact in journal.leg_facts("agent", said):
            assert journal.record(row, JournalSource.POLL, kind, fact)
        later = said | {"price": "-0.014", "price_unit": "USD", "date_updated": "now"}
        facts = journal.leg_facts("agent", later)
        assert [(kind, journal.record(row, JournalSource.POLL, kind, fact)) for kind, fact in facts] == [
            ("agent leg", False),
            ("agent price", True),
        ]
    situations = []
    for _ in range(2):
        let_pass(company, call_id, 100)
        situations.append(apply_callbacks(company.id, call_id, ask=False))
        with tenancy.inside(company.id):
            journal.record(row, JournalSource.POLL, "agent price", {"price": "-0.028", "price_unit": "USD"})
    one, two = situations
    assert one is not None
    assert two is not None
    assert (two.now - two.last_news_at) - (one.now - one.last_news_at) >= timedelta(seconds=100)


def facts_of_a_call(company: Company) -> list[tuple[str, str, dict[str, Any]]]:
    """A short call as its callbacks and Twilio's resources tell it, prices and all: source, kind, what is said."""
    agent, contact = {"CallSid": "CA" + "a" * 32}, {"CallSid": "CA" + "c" * 32, "ParentCallSid": "CA" + "a" * 32}
    last = "Mon, 04 May 2026 12:00:36 +0000"
    return [
        ("callback", "key", agent | {"CallStatus": "in-progress", "Digits": "1"}),
        ("callback", "contact", contact | {"CallStatus": "completed", "Timestamp": last, "CallDuration": "20"}),
        (
            "callback",
            "dial",
            agent | {"CallStatus": "in-progress", "DialCallStatus": "completed", "DialBridged": "true"},
        ),
        ("callback", "agent", agent | {"CallStatus": "completed", "Timestamp": last, "CallDuration": "31"}),
        ("poll", "agent price", {"price": "-0.01400", "price_unit": "USD"}),
        ("poll", "contact price", {"price": "-0.05000", "price_unit": "USD"}),
        ("poll", "contact price", {"price": "-0.03000", "price_unit": "USD"}),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_facts_and_prices_in_any_order_and_number_end_in_the_same_row_and_the_same_money(
    world: World, company: Company, seed: int
) -> None:
    chance = random.Random(seed)
    world.twilio.faults(rest(company, "create", "cut-before", times=None))
    told = []
    for shuffled in (False, True):
        member = company.rep2 if shuffled else company.rep
        call_id = world.call(company, member)
        facts = facts_of_a_call(company)
        facts = [
            (
                source,
                kind,
                {name: v.replace("CAa", "CA1").replace("CAc", "CA2") if shuffled else v for name, v in said.items()},
            )
            for source, kind, said in facts
        ]
        if shuffled:
            chance.shuffle(facts)
            facts += chance.choices(facts, k=4)
        for source, kind, said in facts:
            if source == "callback":
                assert send_callback(company, call_id, kind, said).status_code in (200, 204)
            else:
                with tenancy.inside(company.id):
                    journal.record(read_call(company, call_id), JournalSource.POLL, kind, said)
            for _ in range(chance.choice([0, 1, 2]) if shuffled else 0):
                apply_callbacks(company.id, call_id, ask=False)
        apply_callbacks(company.id, call_id, ask=False)
        told.append(stored_state(company, call_id))
        row = read_call(company, call_id)
        assert (row.price, row.charge) == (Decimal("0.064"), Decimal("0.064"))
    assert told[0] == told[1]
    assert spent(company) == 2 * Decimal("0.064"), "Each call's reservation was replaced once."


# --- the fence ---


def test_a_start_that_twilio_refuses_or_never_hears_of_gives_its_money_back(world: World, company: Company) -> None:
    world.twilio.faults(rest(company, "create", "status", status=400, code=21215))
    with pytest.raises(AppError):
        world.call(company)
    assert spent(company) == 0
    world.twilio.faults(rest(company, "create", "cut-before"))
    call_id = world.call(company)
    assert spent(company) == RESERVED
    for _ in range(3):
        let_pass(company, call_id, 201)
        check(company, call_id)
    assert (read_call(company, call_id).error_message, spent(company)) == ("unconfirmed", 0)


@pytest.mark.stack
def test_a_call_that_nobody_answered_gives_its_money_back_and_has_no_price(quiet: World, company: Company) -> None:
    call_id = busy(quiet, company)
    assert (read_call(company, call_id).price, spent(company)) == (None, 0)
    assert not DueCall.objects.filter(pk=call_id).exists(), "There is no price to wait for."


def test_of_twenty_starts_at_once_with_money_for_three_three_are_made(world: World, company: Company) -> None:
    cap(company, "3.50", organization_per_minute=1000)
    members = []
    with tenancy.inside(company.id):
        for number in range(20):
            user = User.objects.create_user(f"{number}-{company.account_sid}@crowd.example")
            member = Membership.objects.create(user=user, role=Role.REP, phone_number=phone())
            member.organization = company.organization
            members.append(member)
    ready = threading.Barrier(20)

    def click(member: Membership) -> str:
        ready.wait()
        try:
            start_call(member=member, contact_id=company.contact.pk)
        except errors.LimitReached as refused:
            return str(refused.details["limit"])
        finally:
            connection.close()
        return "called"

    with ThreadPoolExecutor(20) as threads:
        told = list(threads.map(click, members))
    assert (told.count("called"), told.count("spend_per_day")) == (3, 17)
    assert len(world.twilio.calls_made(company)) == 3
    assert spent(company) == 3 * RESERVED, "What was refused took nothing."


def test_the_refusal_says_what_is_reached_when_it_ends_and_whom_to_ask(ours: Company) -> None:
    cap(ours, "0.99")
    error = refusal(ours)
    assert (error["code"], error["limit"]) == ("limit_reached", "spend_per_day")
    for part in ("spending limit", "00:00 UTC", "admin"):
        assert part in error["detail"]
    with tenancy.inside(ours.id):
        assert not CallLog.objects.exists()
        assert not DaySpend.objects.exists()


def test_a_limit_below_what_is_spent_stops_the_next_call_and_none_stops_none(world: World, company: Company) -> None:
    world.call(company)
    cap(company, "0.50")
    assert refusal(company, company.rep2)["limit"] == "spend_per_day"
    assert spent(company) == RESERVED
    cap(company, 0)
    assert refusal(company, company.rep2)["limit"] == "spend_per_day"
    cap(company, None)
    world.call(company, company.rep2)
    assert spent(company) == 2 * RESERVED, "It is counted all the same: a limit may come later in the day."


def test_the_next_day_is_free_and_the_day_before_gets_its_price(world: World, company: Company) -> None:
    cap(company, "1.50")
    world.twilio.phone(company.rep.phone_number, does="manual")
    call_id = world.call(company)
    yesterday = today() - timedelta(days=1)
    with tenancy.inside(company.id):
        DaySpend.objects.update(day=yesterday)
        CallLog.objects.update(charged_on=yesterday)
    world.call(company, company.rep2)
    assert (spent(company, yesterday), spent(company)) == (RESERVED, RESERVED)
    sid = str(read_call(company, call_id).call_sid)
    params = {"CallSid": sid, "CallStatus": "busy", "Timestamp": "Mon, 04 May 2026 12:00:36 +0000"}
    assert send_callback(company, call_id, "agent", params).status_code == 204
    apply_callbacks(company.id, call_id, ask=False)
    assert (spent(company, yesterday), spent(company)) == (0, RESERVED)


def test_a_long_talk_uses_up_the_limit_while_it_lasts(world: World, company: Company) -> None:
    cap(company, "4.00")
    call_id = world.call(company)
    with tenancy.inside(company.id):
        CallLog.objects.filter(pk=call_id).update(created_at=timezone.now() - timedelta(minutes=16))
    assert refusal(company, company.rep2)["limit"] == "spend_per_day", "16 minutes cost 3.20; another call, 1.00."
    assert Decimal(Api(company.admin).get("organization/spend/").json()["spent"]) >= Decimal("3.20")


def test_a_talk_from_before_midnight_uses_up_the_new_days_limit_by_its_minutes_since(
    world: World, company: Company
) -> None:
    world.call(company)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with tenancy.inside(company.id):
        CallLog.objects.update(created_at=midnight - timedelta(hours=1), charged_on=midnight - timedelta(days=1))
        for minutes in (0, 16):
            found = queries.overtime(midnight.date(), midnight + timedelta(minutes=minutes))
            assert found == minutes * RATE


def test_a_minute_is_taken_to_cost_what_it_lately_cost_at_most(world: World, company: Company) -> None:
    with tenancy.inside(company.id):
        for days, amount in ((0, "0.10"), (3, "0.35"), (7, "9.00")):
            MinuteRate.objects.create(
                country="BR", is_costly=False, day=today() - timedelta(days=days), amount=Decimal(amount)
            )
    call_id = world.call(company)
    assert read_call(company, call_id).minute_rate == Decimal("0.70")
    assert spent(company) == Decimal("3.50")
    with tenancy.inside(company.id):
        assert not MinuteRate.objects.filter(amount=9).exists(), "The first call of a day forgets what nobody asks for."


@pytest.mark.parametrize(
    ("to", "expected"),
    [("+551132345678", "0.20"), ("+14155552671", "0.60"), ("+447011234567", "3.10"), ("+881612345678", "3.10")],
)
def test_what_is_abroad_or_costly_reserves_more(world: World, company: Company, to: str, expected: str) -> None:
    cap(company, 200, allowed_countries=["BR", "US", "GB", "GG", "JE", "IM"], allows_costly_numbers=True)
    call_id, _ = start_call(member=company.rep, to=to)
    assert read_call(company, call_id).minute_rate == Decimal(expected)


@pytest.mark.stack
def test_a_stolen_session_that_dials_premium_numbers_runs_into_the_spending_limit(
    quiet: World, company: Company
) -> None:
    """With every count wide open; else it is stopped sooner, by these (test_gate.py)."""
    wide = dict.fromkeys(("member_per_minute", "organization_per_minute", "number_per_day"), 1000)
    cap(company, 40, allows_costly_numbers=True, allowed_countries=["BR", "GB"], **wide)
    api, made = Api(company.rep), 0
    quiet.twilio.phone("+447011234567", does="answer", after=0.1, talk=0.5)
    prices(quiet, company, are_known=False)
    while (answer := api.post("calls/", {"to": "+447011234567"})).status_code == 201:
        made += 1
        over_at_twilio(company, quiet)
        call_id = UUID(answer.json()["id"])
        while due(call_id) is not None:
            let_pass(company, call_id, 20)
            check(company, call_id)
    assert answer.json()["errors"][0]["limit"] == "spend_per_day"
    # Each took 3.10 for its minute once it was over, and another one would be 15.50.
    assert made == 8
    assert spent(company) == Decimal("24.80")


def test_a_start_and_the_end_of_the_members_last_call_do_not_wait_for_each_other(
    world: World, company: Company
) -> None:
    world.twilio.phone(company.rep.phone_number, does="manual")
    call_id = world.call(company)
    sid = str(read_call(company, call_id).call_sid)
    params = {"CallSid": sid, "CallStatus": "busy", "Timestamp": "Mon, 04 May 2026 12:00:36 +0000"}
    assert send_callback(company, call_id, "agent", params).status_code == 204

    def end() -> None:
        try:
            apply_callbacks(company.id, call_id, ask=False)
        finally:
            connection.close()

    def is_waiting() -> bool:
        me = connection.connection.info.backend_pid
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_blocking_pids(pid) @> ARRAY[%s]", [me]
            )
            return bool(cursor.fetchone()[0])

    worker = threading.Thread(target=end)

    def start() -> None:
        with tenancy.inside(company.id):
            reserved = gate.refuse(company.rep, company.contact, company.contact_number)
            worker.start()
            eventually(is_waiting, what="the end waits for the day's money")
            CallLog.objects.create(user=company.rep.user, from_number="", to_number="", **reserved)

    with pytest.raises(IntegrityError, match="one_live_call_per_member"):
        start()
    worker.join(10)
    assert not worker.is_alive()
    assert (read_call(company, call_id).status, spent(company)) == ("busy", 0)


# --- over REST ---


def patch(company: Company, **changes: Any) -> Any:
    """Change rules over REST as an admin."""
    return Api(company.admin).client.patch("/api/v1/organization/rules/", changes, content_type="application/json")


def test_an_admin_sets_and_removes_the_limit_and_it_is_written_down(ours: Company) -> None:
    assert Api(ours.rep).get("organization/rules/").json()["daily_spend_cap"] == "200.00", "A fence that is there."
    for given, shown in (("12.5", "12.50"), (7, "7.00"), (None, None), ("3", "3.00"), ("", None), (0, "0.00")):
        assert patch(ours, daily_spend_cap=given).json()["daily_spend_cap"] == shown
    changes = [
        one["details"]["daily_spend_cap"]
        for one in Api(ours.admin).get("audit/").json()["results"]
        if "daily_spend_cap" in one["details"]
    ]
    assert changes == ["0.00", None, "3.00", None, "7.00", "12.50"]


@pytest.mark.parametrize(
    "given",
    [-1, "-0.01", "NaN", "Infinity", "much", True, [], {}, "1.234", "9" * 12, 10**9, "1e30", "\x00"],
    ids=repr,
)
def test_a_limit_that_is_no_amount_changes_nothing(ours: Company, given: Any) -> None:
    assert patch(ours, daily_spend_cap="12.50").status_code == 200
    answer = patch(ours, daily_spend_cap=given, concurrent=3)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "daily_spend_cap"), answer.content
    with tenancy.inside(ours.id):
        rules = CallRules.objects.get()
    assert (rules.daily_spend_cap, rules.concurrent) == (Decimal("12.50"), 50)


@pytest.mark.parametrize("given", ["-1", "NaN", "sNaN", "Infinity", "0.001", "1e9"])
def test_nor_does_one_from_the_inside(ours: Company, given: str) -> None:
    with pytest.raises(AppError, match="amount"):
        cap(ours, given)


def test_managers_see_where_todays_money_stands(world: World, company: Company) -> None:
    shown = Api(company.manager).get("organization/spend/").json()
    tomorrow = (today() + timedelta(days=1)).isoformat()
    assert shown == {
        "day": today().isoformat(),
        "resets_at": f"{tomorrow}T00:00:00Z",
        "spent": "0.00000",
        "unit": None,
        "daily_spend_cap": "200.00",
    }
    world.call(company)
    assert Api(company.manager).get("organization/spend/").json()["spent"] == "1.00000"
    assert Api(company.rep).get("organization/spend/").status_code == 403


@pytest.mark.stack
def test_the_currency_is_known_with_the_first_price(quiet: World, company: Company) -> None:
    call_id = ended(quiet, company)
    priced_at_twilio(quiet, company)
    let_pass(company, call_id, 1201)
    check(company, call_id)
    shown = Api(company.admin).get("organization/spend/").json()
    assert (shown["spent"], shown["unit"]) == ("0.02800", "USD")
    assert {"agent price", "contact price"} <= {one.kind for one in read_journal(company, call_id)}
    assert apply_callbacks(company.id, call_id, ask=False)
    assert spent(company) == 2 * MINUTE
