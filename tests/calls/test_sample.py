"""The sample's past: what `make demo` has to show at the first log-in, and that it is as true as a real one."""

import io
import wave
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.forms.models import model_to_dict

from calls.management.commands.load_sample import ORGANIZATIONS
from calls.models import CallLog, DaySpend, DueCall, JournalEntry, Leg, Recording
from calls.reconcile.apply import apply_callbacks
from calls.sample import plan
from calls.sample.history import FACTS_KEPT, load_history
from calls.sample.plays import SHARES
from calls.sample.words import ENGLISH, PORTUGUESE, Words
from crm import tenancy
from crm.models import Contact, ContactNumber, FollowUp, Opportunity
from crm.numbers import to_e164
from tests.conftest import Company, make_company

NOW = datetime(2026, 6, 17, 18, 0, tzinfo=UTC)  # a Wednesday, 15:00 in São Paulo
MODELS = (Contact, ContactNumber, Opportunity, FollowUp, CallLog, Leg, JournalEntry, Recording)


@dataclass
class Past:
    """An organization that has one, and how it was planned."""

    company: Company
    setting: plan.Setting
    count: int
    planned: dict[Any, plan.Planned]

    def rows(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        with tenancy.inside(self.company.id):
            return {model.__name__: model.objects.count() for model in MODELS}


def setting_of(company: Company, words: Words = PORTUGUESE, zone: str = "America/Sao_Paulo") -> plan.Setting:
    """The same as `load_history` finds, for any company."""
    people = sorted(
        (company.rep, company.rep2, company.manager, company.admin),
        key=lambda one: (one.role != "rep", one.phone_number),
    )
    callers = [plan.Caller(one.user_id, one.phone_number, 12 if one.role == "rep" else 2) for one in people]
    return plan.Setting("aurora", company.account_sid, company.number, ZoneInfo(zone), words, callers, NOW)


@pytest.fixture(scope="module")
def past() -> Past:
    """Made once: it takes seconds."""
    company = make_company("Sample")
    company.organization.slug = "aurora"  # what the dice are thrown for; not saved
    count = load_history(company.organization, now=NOW)
    setting = setting_of(company)
    made = plan.calls(setting, plan.people(setting))
    return Past(company, setting, count, {planned.id: planned for planned in made})


def test_there_is_something_to_look_at(past: Past) -> None:
    rows = past.rows()
    assert rows["CallLog"] == past.count == len(past.planned)
    assert 1500 <= rows["CallLog"] <= 2500
    assert rows["Contact"] >= plan.CONTACTS
    assert rows["Opportunity"] > plan.DEALS
    assert rows["FollowUp"] > 5
    with tenancy.inside(past.company.id):
        assert not CallLog.objects.exclude(pk__in=past.planned).exists()
        playable = Recording.objects.filter(deleted_at=None)
        assert playable.count() == plan.PLAYABLE
        assert Recording.objects.exclude(deleted_at=None).exists()
        for disposition in ("interested", "call_back", "meeting", "voicemail", "no_answer", "do_not_call"):
            assert CallLog.objects.filter(disposition=disposition).exclude(notes="").exists(), disposition
        asked = Contact.objects.exclude(do_not_call_since=None)
        assert asked
        for contact in asked:
            assert CallLog.objects.filter(contact=contact).latest("id").disposition == "do_not_call"


def state_of(call_id: Any) -> dict[str, Any]:
    """Everything that the fold writes of a call."""
    call = CallLog.objects.get(pk=call_id)
    mine = {field.attname: getattr(call, field.attname) for field in CallLog._meta.concrete_fields}
    mine.pop("updated_at")
    legs = [model_to_dict(leg, exclude=["id"]) for leg in call.legs.all()]
    recordings = [
        {field.attname: getattr(row, field.attname) for field in Recording._meta.concrete_fields}
        for row in call.recordings.order_by("id")
    ]
    return {"call": mine, "legs": legs, "recordings": recordings}


def test_every_outcome_is_what_the_fold_makes_of_its_facts_and_owes_nothing(past: Past) -> None:
    with tenancy.inside(past.company.id):
        recent = list(CallLog.objects.filter(created_at__gt=NOW - FACTS_KEPT).values_list("pk", flat=True))
    by_outcome = {(past.planned[pk].play.ends, past.planned[pk].play.is_recorded): pk for pk in recent}
    assert {ends for ends, _ in by_outcome} == set(SHARES)
    assert any(is_recorded for _, is_recorded in by_outcome)
    for outcome, pk in by_outcome.items():
        with tenancy.inside(past.company.id):
            before = state_of(pk)
        apply_callbacks(past.company.id, pk, ask=False)
        with tenancy.inside(past.company.id):
            assert state_of(pk) == before, outcome
        assert not DueCall.objects.filter(pk=pk).exists(), outcome


def test_nobody_looks_for_what_is_missing_and_no_money_is_taken(past: Past) -> None:
    assert not DueCall.objects.filter(organization_id=past.company.id).exists()
    with tenancy.inside(past.company.id):
        assert not CallLog.objects.filter(audited_at=None).exists()
        assert not CallLog.objects.exclude(charge=None, charged_on=None).exists()
        assert not DaySpend.objects.exists()
        assert not Recording.objects.exclude(deleted_at=None).filter(gone_at_twilio_at=None).exists()


def test_a_second_time_changes_nothing_whatever_people_did_meanwhile(past: Past) -> None:
    with tenancy.inside(past.company.id):
        gone, renamed = Contact.objects.filter(calls=None).order_by("id")[:2]
        gone.delete()
        Contact.objects.filter(pk=renamed.pk).update(name="Somebody else")
    before = past.rows()
    assert load_history(past.company.organization, now=NOW + timedelta(days=3)) == 0
    assert past.rows() == before
    with tenancy.inside(past.company.id):
        assert Contact.objects.get(pk=renamed.pk).name == "Somebody else"


def test_calls_were_made_at_work_one_after_the_other_and_never_will_be(past: Past) -> None:
    with tenancy.inside(past.company.id):
        calls = list(CallLog.objects.order_by("id").prefetch_related("legs"))
    assert [call.created_at for call in calls] == sorted(call.created_at for call in calls)
    assert calls[0].created_at >= NOW - timedelta(days=plan.DAYS + 1)
    local = [call.created_at.astimezone(past.setting.zone) for call in calls]
    assert {moment.hour for moment in local} <= {*plan.HOURS, plan.HOURS[-1] + 1}
    weekdays = Counter(moment.weekday() for moment in local)
    assert max(weekdays[5], weekdays[6]) * 3 < min(weekdays[day] for day in range(5))
    for caller in past.setting.callers:
        own = [call for call in calls if call.user_id == caller.user_id]
        ends = [max([leg.ended_at for leg in call.legs.all()], default=call.created_at) for call in own]
        assert all(end < after.created_at for end, (_, after) in zip(ends, pairwise(own), strict=False))
        assert ends[-1] < NOW


def test_the_dice_fall_the_same_every_time_and_only_the_days_move(past: Past) -> None:
    week = timedelta(days=7)  # so that weekdays stay; São Paulo's clocks have not changed since 2019

    def thrown(setting: plan.Setting, back: timedelta) -> list[Any]:
        made = plan.calls(setting, plan.people(setting))
        return [
            (
                one.play.begins_at - back,
                one.play.ends,
                one.play.talk_seconds,
                one.person and one.person.name,
                one.disposition,
            )
            for one in made
        ]

    assert plan.people(past.setting) == plan.people(past.setting)
    once = thrown(past.setting, timedelta())
    assert once == thrown(past.setting, timedelta())
    assert once == thrown(replace(past.setting, now=NOW + week), week)
    assert once != thrown(replace(past.setting, slug="harbor"), timedelta())


@pytest.mark.parametrize(
    ("words", "region"), [pytest.param(PORTUGUESE, "BR", id="pt-BR"), pytest.param(ENGLISH, "US", id="en")]
)
def test_contacts_are_in_the_organizations_language_and_have_numbers_of_their_own(
    ours: Company, words: Words, region: str
) -> None:
    people = plan.people(setting_of(ours, words))
    numbers = [number for one in people for number in one.numbers]
    assert len(set(numbers)) == len(numbers)
    assert [to_e164(number, region=region) for number in numbers] == numbers
    assert len({one.name for one in people}) == len(people) == plan.CONTACTS
    assert any(not one.name.isascii() for one in people)
    assert all(one.email.isascii() and one.email.endswith(".example") for one in people if one.email)
    # Those that the sample has anyway, and finds again by their names.
    rows = [row for organization in ORGANIZATIONS for row in organization["contacts"]]
    assert not {one.name for one in people} & {name for name, _company, _numbers in rows}
    taken = {number for _name, _company, numbers in rows for number in numbers}
    taken |= {organization["caller_id"] for organization in ORGANIZATIONS}
    taken |= {phone for organization in ORGANIZATIONS for *_, phone in organization["members"]}
    assert not set(numbers) & taken


def test_a_recording_plays_and_a_deleted_one_says_so(past: Past, api_of: Callable[..., Any]) -> None:
    with tenancy.inside(past.company.id):
        kept = Recording.objects.filter(deleted_at=None).latest("id")
        gone = Recording.objects.exclude(deleted_at=None).latest("id")
        call = CallLog.objects.get(pk=kept.call_id)
    api = api_of(past.company.manager)
    said = api.get(f"calls/{call.pk}/").json()
    assert said["recording_url"] == f"/api/v1/recordings/{kept.pk}/audio"
    whole = b"".join(api.get(f"recordings/{kept.pk}/audio").streaming_content)
    with wave.open(io.BytesIO(whole)) as sound:
        assert sound.getnchannels() == kept.channels == 2
        assert sound.getnframes() / sound.getframerate() == kept.duration_seconds == call.duration_seconds
    part = api.get(f"recordings/{kept.pk}/audio", headers={"Range": "bytes=44-99"})
    assert part.status_code == 206
    assert part["Content-Range"] == f"bytes 44-99/{len(whole)}"
    assert b"".join(part.streaming_content) == whole[44:100]
    assert api.get(f"recordings/{gone.pk}/audio").status_code == 410


def test_nothing_of_it_is_anybody_elses(past: Past, theirs: Company) -> None:
    with tenancy.inside(theirs.id):
        assert CallLog.objects.count() == 0
        assert Contact.objects.count() == 1
        assert not Contact.objects.filter(
            pk__in=[one.person.id for one in past.planned.values() if one.person]
        ).exists()
