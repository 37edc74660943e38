"""The gate before a dial: what the organization's rules refuse, and the fence that a stolen session runs into."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from calls import errors
from calls.models import CallCount, CallLog, CallRules
from calls.rules import gate
from calls.services.rules import set_rules
from calls.services.start import start_call
from crm import tenancy
from crm.models import Contact, ContactNumber, DoNotCall, Membership, Organization, User
from crm.numbers import described
from tests.conftest import Api, Company, World, eventually, phone

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # a Friday; noon in São Paulo


def dialled(number: str = "+5511987654321", *, is_listed: bool = False, zone: str = "") -> gate.Dialled:
    """What is known of a number that is about to be called."""
    said = described(number)
    return gate.Dialled(said.country, said.is_costly, (zone,) if zone else said.zones, is_listed)


def refusal(what: gate.Dialled, *, at: datetime = NOW, **changes: Any) -> gate.No | None:
    """Why a call is refused by an organization in Brazil that allows the usual."""
    rules = {"countries": frozenset({"BR"}), "allows_costly": False, "hours": gate.Hours()} | changes
    return gate.refusal(what, now=at, **rules)


# --- the rules ---


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+5511987654321", None),
        ("+551132345678", None),
        ("+558007701234", None),  # the caller pays nothing
        ("+559003000000", gate.No.COSTLY),
        ("+14155552671", gate.No.COUNTRY),
        ("+447011234567", gate.No.COSTLY),
        ("+61131234", gate.No.COSTLY),
        ("+870773111632", gate.No.COSTLY),
        ("+881612345678", gate.No.COSTLY),
        ("+883510000000", gate.No.COSTLY),
    ],
)
def test_what_costs_more_or_is_abroad_is_refused_by_default(number: str, expected: gate.No | None) -> None:
    assert refusal(dialled(number)) == expected


def test_an_organization_may_allow_countries_and_costly_numbers_each_on_its_own() -> None:
    both = frozenset({"BR", "US"})
    assert refusal(dialled("+14155552671"), countries=both) is None
    assert refusal(dialled("+447011234567"), countries=both, allows_costly=True) is gate.No.COUNTRY
    assert refusal(dialled("+881612345678"), allows_costly=True) is None, "A satellite is in no country."
    assert refusal(dialled(is_listed=True), countries=both, allows_costly=True) is gate.No.DO_NOT_CALL


@pytest.mark.parametrize(
    ("since", "until", "allowed"),
    [
        (time(9), time(18), True),
        (time(12), time(18), True),
        (time(12, 1), time(18), False),
        (time(9), time(12), False),
        (None, time(12), False),
        (time(9), None, True),
        (time(22), time(6), False),
        (time(11), time(6), True),
    ],
)
def test_hours_are_the_contacts(since: time | None, until: time | None, allowed: bool) -> None:
    hours = gate.Hours(since, until)
    assert (refusal(dialled(), hours=hours) is None) == allowed


def test_a_night_belongs_to_the_day_on_which_it_began() -> None:
    friday = gate.Hours(time(22), time(2), days=0b0010000)
    noon = NOW
    assert refusal(dialled(), hours=friday, at=noon + timedelta(hours=11)) is None  # 23:00 on Friday
    assert refusal(dialled(), hours=friday, at=noon + timedelta(hours=13)) is None  # 01:00 on Saturday
    assert refusal(dialled(), hours=friday, at=noon - timedelta(hours=11)) is gate.No.HOURS  # 01:00 on Friday
    assert refusal(dialled(), hours=gate.Hours(days=0b1100000)) is gate.No.HOURS


def test_where_a_number_has_several_zones_it_must_be_time_in_half_of_them() -> None:
    toll_free, us = dialled("+18005551212"), frozenset({"US"})
    hours = gate.Hours(time(9), time(18))
    assert refusal(toll_free, countries=us, hours=hours) is None  # 15:00 UTC: the east and the Caribbean
    assert refusal(toll_free, countries=us, hours=hours, at=NOW - timedelta(hours=6)) is gate.No.HOURS
    assert refusal(dialled("+12125551234"), countries=us, hours=hours) is None  # 10:00 in New York


@pytest.mark.parametrize("zone", ["Foo/Bar", "America", "GMT+3", " ", "../etc/passwd", "x" * 40])
def test_a_zone_that_is_none_leaves_the_numbers_own(ours: Company, zone: str) -> None:
    here = timezone.now().astimezone(UTC)
    rule(ours, calls_from=(here - timedelta(hours=1)).time(), calls_until=(here + timedelta(hours=1)).time())
    with tenancy.inside(ours.id):
        Contact.objects.update(time_zone=zone)
    assert refused(ours)[1]["code"] == "outside_calling_hours", "In São Paulo it is three hours earlier."


def test_a_stored_number_that_is_none_is_an_error_and_no_crash(ours: Company) -> None:
    with tenancy.inside(ours.id):
        ContactNumber.objects.update(number="tel")
    assert refused(ours)[1]["code"] == "invalid_number"


def test_a_number_that_countries_share_is_each_ones_own() -> None:
    assert described("+18005551212", among={"CA"}).country == "CA"
    assert described("+18005551212", among={"BR"}).country == "US"
    assert described("+12125551234", among={"CA"}).country == "US"


def test_a_contacts_own_zone_counts_and_a_satellite_has_utc() -> None:
    hours = gate.Hours(time(9), time(14))
    assert refusal(dialled(), hours=hours) is None
    assert refusal(dialled(zone="Europe/Lisbon"), hours=hours) is gate.No.HOURS  # 15:00
    assert refusal(dialled("+881612345678"), allows_costly=True, hours=hours) is gate.No.HOURS


def test_summer_time_is_the_zones(settings: Any) -> None:
    hours = gate.Hours(time(9), time(18))
    july, january = datetime(2026, 7, 1, 8, 30, tzinfo=UTC), datetime(2026, 1, 1, 8, 30, tzinfo=UTC)
    there = dialled("+442071838750")
    said = [refusal(there, countries=frozenset({"GB"}), hours=hours, at=at) for at in (july, january)]
    assert said == [None, gate.No.HOURS]


# --- before Twilio is asked ---


def rule(company: Company, **rules: Any) -> None:
    """Set the organization's rules."""
    with tenancy.inside(company.id):
        CallRules.objects.all().delete()
        CallRules.objects.create(**rules)


def refused(company: Company, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Start a call that is refused; return the status and the error, having seen that nothing was made."""
    answer = Api(company.rep).post("calls/", body or {"contact": str(company.contact.pk)})
    with tenancy.inside(company.id):
        assert not CallLog.objects.exists()
        assert not CallCount.objects.exists()
    error = answer.json()["errors"][0]
    assert error["detail"]
    return answer.status_code, error


def test_do_not_call_is_of_the_contact_or_the_number(ours: Company) -> None:
    with tenancy.inside(ours.id):
        Contact.objects.filter(pk=ours.contact.pk).update(do_not_call_since=timezone.now())
    for body in ({"contact": str(ours.contact.pk)}, {"to": ours.contact_number}):
        status, error = refused(ours, body)
        assert (status, error["code"]) == (422, "do_not_call")
    with tenancy.inside(ours.id):
        Contact.objects.update(do_not_call_since=None)
        DoNotCall.objects.create(number=ours.contact_number)
    assert refused(ours)[1]["code"] == "do_not_call"


def test_another_organizations_list_is_not_ours(world: World, company: Company, theirs: Company) -> None:
    with tenancy.inside(theirs.id):
        DoNotCall.objects.create(number=company.contact_number)
    assert Api(company.rep).post("calls/", {"contact": str(company.contact.pk)}).status_code == 201


@pytest.mark.parametrize(
    ("to", "code"),
    [("+14155552671", "country_not_allowed"), ("+881612345678", "costly_number"), ("+559003000000", "costly_number")],
)
def test_each_refusal_has_a_code_and_a_sentence(ours: Company, to: str, code: str) -> None:
    assert refused(ours, {"to": to})[1]["code"] == code


def ring(company: Company, phone: str) -> None:
    """Put another phone on the rep's profile."""
    with tenancy.inside(company.id):
        Membership.objects.filter(pk=company.rep.pk).update(phone_number=phone)


@pytest.mark.parametrize(
    ("phone", "code"),
    [
        ("+559003000000", "costly_phone"),
        ("+881612345678", "costly_phone"),
        ("+447011234567", "costly_phone"),
        ("+14155552671", "phone_country_not_allowed"),
    ],
)
def test_the_reps_own_phone_is_not_rung_where_it_would_cost_more(ours: Company, phone: str, code: str) -> None:
    ring(ours, phone)
    status, error = refused(ours)
    assert (status, error["code"]) == (422, code)


def test_a_rep_may_sit_at_home_or_where_the_organization_calls(world: World, company: Company) -> None:
    rule(company, allowed_countries=["US"], allows_costly_numbers=False)
    answer = Api(company.rep).post("calls/", {"to": "+14155552671"})
    assert answer.status_code == 201, "The rep's phone is in the organization's own country."
    ring(company, "+12125551234")
    with tenancy.inside(company.id):
        CallLog.objects.update(status="busy", stage="ended")
    assert Api(company.rep).post("calls/", {"to": "+14155552671"}).status_code == 201
    rule(company, allows_costly_numbers=True)
    ring(company, "+559003000000")
    with tenancy.inside(company.id):
        CallLog.objects.update(status="busy", stage="ended")
    assert Api(company.rep).post("calls/", {"contact": str(company.contact.pk)}).status_code == 201


def test_who_is_not_to_be_called_is_not_rung_as_a_reps_own_phone(ours: Company) -> None:
    ring(ours, victim := phone())
    with tenancy.inside(ours.id):
        listed = DoNotCall.objects.create(number=victim)
    for path in ("calls/", "me/test-call/"):
        answer = Api(ours.rep).post(path, {"to": ours.contact_number})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "phone_do_not_call")
    with tenancy.inside(ours.id):
        listed.delete()
        Contact.objects.filter(pk=ours.contact.pk).update(do_not_call_since=timezone.now())
        ContactNumber.objects.create(contact=ours.contact, number=victim)
    status, error = refused(ours, {"to": phone()})
    assert (status, error["code"]) == (422, "phone_do_not_call")


def test_ones_own_phone_is_nobody_to_call(ours: Company) -> None:
    status, error = refused(ours, {"to": ours.rep.phone_number})
    assert (status, error["code"], error["attr"]) == (422, "own_phone", "to")


def test_a_phone_that_nobody_checked_is_rung_no_more_often_in_a_day_than_a_contacts(
    world: World, company: Company
) -> None:
    """Whoever puts it on their profile, and whomever they call."""
    rule(company, number_per_day=3)
    victim = phone()
    world.twilio.phone(victim, does="busy")
    told: list[tuple[int, str | None]] = []
    for member in (company.rep, company.rep2, company.manager):
        with tenancy.inside(company.id):
            Membership.objects.filter(pk=member.pk).update(phone_number=victim)
        answer = Api(member).post("calls/", {"to": phone()})
        told.append((answer.status_code, answer.json().get("errors", [{}])[0].get("limit")))
        with tenancy.inside(company.id):
            CallLog.objects.update(status="busy", stage="ended")
    assert told == [(201, None), (201, None), (429, "unchecked_phone_per_day")]
    assert "test call" in answer.json()["errors"][0]["detail"]
    assert Api(company.rep).post("me/test-call/").status_code == 201, "The last one is left for what is advised."
    with tenancy.inside(company.id):
        CallLog.objects.update(status="busy", stage="ended")
    again = Api(company.rep2).post("me/test-call/")
    assert (again.status_code, again.json()["errors"][0]["limit"]) == (429, "number_per_day")
    with tenancy.inside(company.id):
        Membership.objects.filter(pk=company.rep.pk).update(phone_checked_at=timezone.now())
    assert Api(company.rep).post("calls/", {"to": phone()}).status_code == 201


def test_outside_of_calling_hours_nobody_is_called(ours: Company) -> None:
    here = timezone.now().astimezone(UTC)
    rule(ours, calls_from=(here + timedelta(hours=2)).time(), calls_until=(here + timedelta(hours=3)).time())
    with tenancy.inside(ours.id):
        Contact.objects.update(time_zone="UTC")
    assert refused(ours)[1]["code"] == "outside_calling_hours"


@pytest.mark.parametrize(
    "which",
    ["number_per_day", "member_per_minute", "member_per_day", "organization_per_minute", "organization_per_day"],
)
def test_a_limit_stops_the_next_call(world: World, company: Company, which: str) -> None:
    world.twilio.phone(company.rep.phone_number, does="busy")
    rule(company, **{which: 2})
    with tenancy.inside(company.id):
        Membership.objects.update(phone_checked_at=timezone.now())
    api = Api(company.rep)
    body = {"contact": str(company.contact.pk)}
    told = []
    for _ in range(3):
        answer = api.post("calls/", body)
        told.append(answer.status_code)
        with tenancy.inside(company.id):
            CallLog.objects.update(status="busy", stage="ended")
    assert told == [201, 201, 429]
    error = answer.json()["errors"][0]
    assert (error["code"], error["limit"]) == ("limit_reached", which)
    assert len(world.twilio.calls_made(company)) == 2
    another = Api(company.rep2).post("calls/", body).status_code
    assert another == (201 if which.startswith("member") else 429)


def test_so_many_calls_at_the_same_time_and_no_more(world: World, company: Company) -> None:
    rule(company, concurrent=1)
    assert Api(company.rep).post("calls/", {"contact": str(company.contact.pk)}).status_code == 201
    answer = Api(company.rep2).post("calls/", {"contact": str(company.contact.pk)})
    assert (answer.status_code, answer.json()["errors"][0]["limit"]) == (429, "concurrent")


def test_a_race_gets_no_call_past_the_fence(world: World, company: Company) -> None:
    rule(company, organization_per_day=3, concurrent=2)
    members = [company.rep, company.rep2, company.manager, company.admin]

    def click(number: int) -> str:
        try:
            start_call(member=members[number % 4], contact_id=company.contact.pk)
        except errors.LimitReached as refusal:
            return refusal.details["limit"]
        except errors.CallInProgress:
            return "in progress"
        finally:
            connection.close()
        return "called"

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(click, range(16)))
    assert told.count("called") == 2
    assert len(world.twilio.calls_made(company)) == 2
    with tenancy.inside(company.id):
        [day] = CallCount.objects.filter(subject=company.id, window="day")
        assert day.count == 2, "What was refused is not counted."


def test_the_first_call_of_a_day_forgets_the_counts_of_days_gone_by(world: World, company: Company) -> None:
    with tenancy.inside(company.id):
        for days in (1, 3):
            starts_at = timezone.now() - timedelta(days=days)
            CallCount.objects.create(subject=company.id, window="minute", starts_at=starts_at, count=1)
    start_call(member=company.rep, contact_id=company.contact.pk)
    with tenancy.inside(company.id):
        oldest = CallCount.objects.earliest("starts_at").starts_at
        assert CallCount.objects.count() == 1 + 6
    assert oldest > timezone.now() - timedelta(days=2)


# --- who was a member when the request was authenticated ---


@pytest.mark.parametrize("who", ["member", "user", "organization"])
def test_nobody_starts_a_call_who_was_deactivated_since_their_request_began(ours: Company, who: str) -> None:
    if who == "member":
        with tenancy.inside(ours.id):
            Membership.objects.filter(pk=ours.rep.pk).update(is_active=False)
    elif who == "user":
        User.objects.filter(pk=ours.rep.user_id).update(is_active=False)
    else:
        Organization.objects.filter(pk=ours.id).update(is_active=False)
    with pytest.raises(errors.NoLongerMember) as refusal:
        start_call(member=ours.rep, contact_id=ours.contact.pk)
    assert (refusal.value.code, refusal.value.status) == ("no_longer_member", 403)
    with tenancy.inside(ours.id):
        assert not CallLog.objects.exists()
        assert not CallCount.objects.exists()


def test_a_call_waits_for_whoever_is_deactivating_its_member(ours: Company) -> None:
    def click() -> str:
        try:
            start_call(member=ours.rep, contact_id=ours.contact.pk)
        except errors.NoLongerMember as refusal:
            return refusal.code
        finally:
            connection.close()
        return "called"

    def somebody_waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks"
                " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
            )
            return bool(cursor.fetchone()[0])

    with ThreadPoolExecutor(1) as threads:
        with tenancy.inside(ours.id):
            Membership.objects.filter(pk=ours.rep.pk).update(is_active=False)
            clicked = threads.submit(click)
            eventually(somebody_waits, what="the click waits")
        assert clicked.result(timeout=20) == "no_longer_member"


def test_a_call_rings_the_phone_that_the_database_has_now(world: World, company: Company) -> None:
    stale = company.rep
    ring(company, "+5511988887777")
    call_id, _ = start_call(member=stale, contact_id=company.contact.pk)
    with tenancy.inside(company.id):
        assert CallLog.objects.get(pk=call_id).agent_number == "+5511988887777"


def test_a_call_that_was_refused_for_another_reason_is_not_counted(ours: Company) -> None:
    with tenancy.inside(ours.id):
        ContactNumber.objects.all().delete()
    assert refused(ours)[1]["code"] == "contact_has_no_number"


# --- changing the rules ---


def patch(company: Company, **changes: Any) -> Any:
    """Change rules over REST as an admin."""
    return Api(company.admin).client.patch("/api/v1/organization/rules/", changes, content_type="application/json")


def test_two_admins_at_once_lose_no_change(ours: Company) -> None:
    for number in range(10):
        changes = [{"concurrent": number + 1}, {"member_per_day": number + 1}]

        def change(one: dict[str, int]) -> None:
            try:
                set_rules(organization=ours.organization, **one)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(change, changes))
        with tenancy.inside(ours.id):
            assert (CallRules.objects.get().concurrent, CallRules.objects.get().member_per_day) == (number + 1,) * 2


def test_rules_are_read_by_all_and_changed_by_admins(ours: Company, theirs: Company) -> None:
    shown = Api(ours.rep).get("organization/rules/").json()
    assert (shown["allowed_countries"], shown["allows_costly_numbers"], shown["member_per_minute"]) == ([], False, 10)
    assert len(shown["days"]) == 7
    changed = patch(ours, allowed_countries=["us", "BR"], calls_from="09:00", calls_until="18:00", days=["monday"])
    assert changed.status_code == 200, changed.content
    now = Api(ours.rep).get("organization/rules/").json()
    assert (now["allowed_countries"], now["calls_until"], now["days"]) == (["BR", "US"], "18:00:00", ["monday"])
    assert now["member_per_minute"] == 10, "What was left out stayed."
    assert Api(theirs.rep).get("organization/rules/").json()["allowed_countries"] == []
    for member in (ours.rep, ours.manager):
        answer = Api(member).client.patch("/api/v1/organization/rules/", {}, content_type="application/json")
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"allowed_countries": ["XX"]}, "allowed_countries"),
        ({"allowed_countries": ["Brazil"]}, "allowed_countries.0"),
        ({"allowed_countries": "BR"}, "allowed_countries"),
        ({"days": []}, "days"),
        ({"days": ["someday"]}, "days"),
        ({"calls_from": "25:00"}, "calls_from"),
        ({"calls_from": "09:00", "calls_until": "09:00"}, "calls_until"),
        ({"calls_until": "00:00"}, "calls_until"),
        ({"concurrent": -1}, "concurrent"),
        ({"member_per_day": 10**12}, "member_per_day"),
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_kept_changes_nothing(ours: Company, changes: dict[str, Any], field: str) -> None:
    before = Api(ours.rep).get("organization/rules/").json()
    answer = patch(ours, **changes)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, field), answer.content
    assert Api(ours.rep).get("organization/rules/").json() == before
