"""Give an organization the sample's past: each call's row is what the fold makes of its facts, as in real life."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection
from django.utils import timezone

from calls import journal
from calls.models import CallLog, DeletedWhy, Disposition, JournalEntry, Leg, Recording
from calls.reconcile.apply import fold_into, legs_of, recording_values
from calls.sample import plan
from calls.sample.plays import MARK, RINGS_FOR, facts
from calls.sample.sound import conversation
from calls.sample.words import words_of
from crm import tenancy
from crm.follow_ups import MORNING
from crm.models import Contact, ContactNumber, FollowUp, Membership, Opportunity, Organization, Role
from crm.numbers import described
from crm.tenancy import TenantRow
from integrations.access import credentials
from integrations.twilio.errors import TwilioNotConnected

CALLS_A_DAY = 24  # of all reps together, on an ordinary day
OTHERS_A_DAY = 2  # of a manager or an admin
PROMISED = timedelta(days=10)  # follow-ups of calls that are younger
FACTS_KEPT = timedelta(days=14)  # of older calls there is only what they amount to: facts are ten times as many


def load_history(organization: Organization, *, now: datetime | None = None) -> int:
    """Fill `organization` with contacts, opportunities and the calls of 90 days before `now`; return how many calls.

    In one transaction, so it is there or it is not; 0 and nothing changed where it is: what people have done since
    stays as it is. Nothing is owed: no call has a sweeper's note, and none took of a day's money.
    Raises: TwilioNotConnected.
    """
    account = credentials(organization.pk)
    if account is None:
        raise TwilioNotConnected
    with tenancy.inside(organization.pk):
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)  # two at once take turns
        if CallLog.objects.filter(call_sid__startswith=f"CA{MARK}").exists():
            return 0
        setting = plan.Setting(
            slug=organization.slug,
            account_sid=account.account_sid,
            caller_id=account.default_caller_id,
            zone=ZoneInfo(described(account.default_caller_id).zones[0]),
            words=words_of(organization.region),
            callers=_callers(),
            now=(now or timezone.now()).replace(microsecond=0),
        )
        people = plan.people(setting)
        made = plan.calls(setting, people)
        _insert_people(organization, people)
        _insert_calls(organization, setting, made)
        _insert_follow_ups(organization, setting, made)
    return len(made)


def _callers() -> list[plan.Caller]:
    """Everybody who has a phone; reps first, and share their calls."""
    members = list(Membership.objects.filter(is_active=True).exclude(phone_number="").order_by("phone_number"))
    reps = [one for one in members if one.role == Role.REP]
    others = [one for one in members if one.role != Role.REP]
    return [
        *(plan.Caller(one.user_id, one.phone_number, CALLS_A_DAY / len(reps)) for one in reps),
        *(plan.Caller(one.user_id, one.phone_number, OTHERS_A_DAY) for one in others),
    ]


def _insert_people(organization: Organization, people: Sequence[plan.Person]) -> None:
    own: dict[str, Any] = {"organization_id": organization.pk}
    _insert(
        Contact(
            **own,
            id=one.id,
            name=one.name,
            company=one.company,
            email=one.email,
            owner_id=one.owner,
            do_not_call_since=one.do_not_call_since,
            created_at=one.created_at,
            updated_at=one.do_not_call_since or one.created_at,
        )
        for one in people
    )
    _insert(
        ContactNumber(**own, contact_id=one.id, number=number, position=position)
        for one in people
        for position, number in enumerate(one.numbers)
    )
    _insert(
        Opportunity(
            **own,
            id=deal.id,
            contact_id=one.id,
            owner_id=one.owner,
            title=deal.title,
            stage=deal.stage,
            amount=deal.amount,
            created_at=deal.created_at,
            updated_at=deal.created_at,
        )
        for one in people
        for deal in one.deals
    )


def _insert_calls(organization: Organization, setting: plan.Setting, made: Sequence[plan.Planned]) -> None:
    calls: list[CallLog] = []
    legs: list[Leg] = []
    entries: list[JournalEntry] = []
    recordings: list[Recording] = []
    for planned in made:
        dice = plan.dice_of(setting.slug, planned.id)
        call = _row(organization, setting, planned)
        is_kept = setting.now - call.created_at < FACTS_KEPT
        told = [
            JournalEntry(
                organization_id=organization.pk,
                call_id=call.pk,
                digest=journal.digest(fact.kind, journal.written(fact.payload)) if is_kept else "",
                source=fact.source,
                kind=fact.kind,
                payload=fact.payload,
                received_at=fact.at,
                applied_at=fact.at + timedelta(seconds=1),
            )
            for fact in facts(planned.play, dice)
        ]
        known = journal.known_of(call, told)
        recorded = [
            _recording(call, planned, sid, recording_values(found), dice) for sid, found in known.recordings.items()
        ]
        fold_into(call, known, recorded)
        call.updated_at = call.audited_at = max(entry.received_at for entry in told)
        calls.append(call)
        legs += legs_of(call, known)
        entries += told if is_kept else []
        recordings += recorded
    _insert(calls)
    _insert(legs)
    _insert(entries)
    _insert(recordings)


def _insert_follow_ups(organization: Organization, setting: plan.Setting, made: Sequence[plan.Planned]) -> None:
    """What was promised to those who asked to be called back lately: done, overdue, due today or still to come."""
    rows = []
    for planned in made:
        dice = plan.dice_of(setting.slug, planned.id, "follow-up")
        begun_at = planned.play.begins_at
        if planned.disposition != Disposition.CALL_BACK or planned.person is None or setting.now - begun_at > PROMISED:
            continue
        day = begun_at.astimezone(setting.zone).date() + timedelta(days=dice.randint(1, 9))
        due_at = datetime.combine(day, MORNING, setting.zone)
        is_done = due_at < setting.now and dice.random() < 0.8
        ended_at = begun_at + timedelta(minutes=5)
        rows.append(
            FollowUp(
                organization_id=organization.pk,
                id=plan.id_at(ended_at, dice),
                contact_id=planned.person.id,
                opportunity_id=planned.deal.id if planned.deal else None,
                owner_id=planned.caller.user_id,
                due_at=due_at,
                text=planned.notes,
                done_at=due_at if is_done else None,
                call_id=planned.id,
                created_at=ended_at,
                updated_at=ended_at,
            )
        )
    _insert(rows)


def _row(organization: Organization, setting: plan.Setting, planned: plan.Planned) -> CallLog:
    """The call's row as a click makes it."""
    line = planned.play.line
    return CallLog(
        organization_id=organization.pk,
        id=planned.id,
        contact_id=planned.person.id if planned.person else None,
        opportunity_id=planned.deal.id if planned.deal else None,
        user_id=planned.caller.user_id,
        from_number=line.caller_id,
        to_number=line.to_number,
        agent_number=line.agent_number,
        rings_for_seconds=RINGS_FOR,
        is_recorded=planned.play.is_recorded,
        language=setting.words.language,
        disposition=planned.disposition,
        notes=planned.notes,
        created_at=datetime.fromtimestamp((planned.id.int >> 80) / 1000, tz=setting.now.tzinfo),
    )


def _recording(call: CallLog, planned: plan.Planned, sid: str, said: dict[str, Any], dice: Random) -> Recording:
    """The recording's row: its sound in our storage, or the tombstone of one that was kept for long enough."""
    ended_at = planned.play.begins_at + timedelta(seconds=planned.play.talk_seconds + 60)
    row = Recording(
        organization_id=call.organization_id,
        id=plan.id_at(ended_at, dice),
        call_id=call.pk,
        recording_sid=sid,
        created_at=ended_at,
        stored_at=ended_at + timedelta(seconds=4),
        **said,
    )
    if not planned.keeps:
        row.deleted_at = row.gone_at_twilio_at = ended_at + timedelta(days=plan.KEPT_DAYS)
        row.deleted_why = DeletedWhy.RETENTION
        return row
    media = conversation(planned.play.talk_seconds)
    wanted = f"{call.organization_id}/{call.pk}/{row.pk}/{sid[-8:]}.wav"
    storages["recordings"].delete(wanted)  # of a run that did not come to its end
    row.media_name = storages["recordings"].save(wanted, ContentFile(media))
    row.media_bytes, row.media_sha256 = len(media), hashlib.sha256(media).hexdigest()
    return row


def _insert(rows: Iterable[TenantRow]) -> None:
    """Insert rows with the dates that they have, where Django would write today's; as one parameter, which is quick."""
    rows = list(rows)
    if not rows:
        return
    meta = rows[0]._meta
    names = {field.column: field.attname for field in meta.concrete_fields}
    for row in rows:
        row.refuse_other_organization()
    said = json.dumps([{column: getattr(row, name) for column, name in names.items()} for row in rows], default=str)
    columns = ", ".join(f'"{column}"' for column in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{meta.db_table}" ({columns})'  # noqa: S608 - names of ours
            f' SELECT {columns} FROM jsonb_populate_recordset(NULL::"{meta.db_table}", %s)',
            [said],
        )
