"""Ask Twilio for what a call's facts do not tell yet; its answers are facts like any other."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from calls import journal, queries
from calls.models import CallLog, JournalSource, Leg
from calls.reconcile.apply import apply_callbacks, note_question_in_vain
from calls.reconcile.media import store_recordings
from calls.rules import known as rules
from calls.rules.outcome import contact_status
from calls.rules.owed import Questions, Situation, questions
from crm import tenancy
from crm.errors import AppError
from integrations.access import Credentials, credentials
from integrations.twilio import client, words
from integrations.twilio.errors import UNKNOWN_CALL

logger = logging.getLogger(__name__)

Fact = tuple[str, dict[str, Any]]
# Our clock and Twilio's may differ by this much when a call is recognized by its time.
CLOCKS_DIFFER = timedelta(seconds=30)
# Twilio's lists lag behind: an empty one proves that nobody was dialled only after it was empty this often.
EMPTY_LISTS = 3
# Twice this far apart Twilio did not know a call: there is none.
NOT_FOUND_APART = timedelta(minutes=3)
# Above the age at which a leg's request for TwiML is answered with <Hangup/>: nobody can be talking by then.
HOPELESS = timedelta(minutes=20)


def check_call(organization_id: UUID, call_id: UUID) -> None:
    """Bring a call up to date: apply what was stored, ask Twilio what is due, fetch media that is owed."""
    situation = apply_callbacks(organization_id, call_id, ask=False)
    if situation is None:
        return
    due = questions(situation)
    if due:
        _ask(organization_id, call_id, situation, due)
        situation = apply_callbacks(organization_id, call_id, ask=False)
    if situation is not None and situation.media_owed:
        store_recordings(organization_id, call_id)


def _ask(organization_id: UUID, call_id: UUID, situation: Situation, due: Questions) -> None:
    account = credentials(organization_id)
    with tenancy.inside(organization_id):
        call = CallLog.objects.get(pk=call_id)
    facts: list[Fact] = []
    if account is not None:
        try:
            facts = _answers(account, call, situation, due)
        except AppError as trouble:
            logger.warning("Call %s: Twilio could not be asked (%s %s)", call_id, trouble.code, trouble.twilio_code)
            if trouble.twilio_code == UNKNOWN_CALL and call.is_live:
                _not_found(call)
    if due.find_call and not facts and timezone.now() - call.created_at >= HOPELESS:
        _give_up(call)
    with tenancy.inside(organization_id):
        news = [journal.record(call, JournalSource.POLL, kind, said) for kind, said in facts]
        if not any(news):
            note_question_in_vain(call_id)


def _answers(account: Credentials, call: CallLog, situation: Situation, due: Questions) -> list[Fact]:
    if due.find_call:
        return _find(account, call)
    sid = situation.known.agent.call_sid
    facts: list[Fact] = []
    if sid is None:
        return facts
    agent_over = situation.known.agent.is_over
    if due.cancel:
        ended = client.end_call(account, sid)
        facts += [("agent leg", ended)] if ended else []
    if due.agent_leg:
        agent = client.fetch_call(account, sid)
        agent_over = agent["status"] in words.FINAL
        facts.append(("agent leg", agent))
    if due.contact_leg or (due.agent_leg and agent_over):
        facts += _contact_leg(account, call, sid, situation, agent_over=agent_over)
    if due.recordings:
        facts += [("recording", recording) for recording in client.fetch_recordings(account, sid)]
    return facts


def _contact_leg(
    account: Credentials, call: CallLog, sid: str, situation: Situation, *, agent_over: bool
) -> list[Fact]:
    children = client.fetch_children(account, sid)
    facts: list[Fact] = [("contact leg", child) for child in children]
    if not agent_over:
        return facts
    if children:
        if all(child["status"] in words.FINAL for child in children):
            facts.append(("both legs asked", {}))
    elif not _was_dialled(call) or situation.asked + 1 >= EMPTY_LISTS:
        facts.append(("no contact leg", {}))
    else:
        return facts
    facts += [("notification", one) for one in client.fetch_notifications(account, sid)]
    return facts


def _was_dialled(call: CallLog) -> bool:
    """Was the agent leg, which is over, ever told to dial?

    The request that we answer with `<Dial>` is in the journal before the answer leaves, so our own facts say no
    for certain, however far Twilio's lists lag behind. Read anew: the key may have been pressed since we looked.
    """
    with tenancy.inside(call.organization_id):
        known = rules.fold(journal.news_of(queries.journal(call)))
    return bool(known.key_pressed or contact_status(known))


def _find(account: Credentials, call: CallLog) -> list[Fact]:
    """Look for a call that Twilio may have made although its answer never came.

    Two lists without it, minutes apart, and the call is given up: the rep is free again, and should the phone ring
    all the same, its TwiML hangs up.
    """
    found = client.find_calls(account, to=call.agent_number, from_number=call.from_number)
    young = [
        one
        for one in found
        if (created := words.timestamp(one.get("date_created"))) and created >= call.created_at - CLOCKS_DIFFER
    ]
    with tenancy.inside(call.organization_id):
        sids = [one["sid"] for one in young]
        ours = set(CallLog.objects.filter(call_sid__in=sids).values_list("call_sid", flat=True))
        ours |= set(Leg.objects.filter(call_sid__in=sids).values_list("call_sid", flat=True))
        unknown = [one for one in young if one["sid"] not in ours]
    if unknown:
        return [("agent leg", unknown[-1])]
    _not_found(call)
    return []


def _not_found(call: CallLog) -> None:
    """Note that Twilio does not know this call; the second time, minutes after the first, it is given up."""
    with tenancy.inside(call.organization_id):
        first = queries.journal(call).filter(source=JournalSource.OURS, kind="not found").first()
        if first is None:
            journal.record_ours(call, "not found")
    if first is not None and timezone.now() - first.received_at >= NOT_FOUND_APART:
        _give_up(call)


def _give_up(call: CallLog) -> None:
    with tenancy.inside(call.organization_id):
        call = CallLog.objects.select_for_update(no_key=True).get(pk=call.pk)  # or two workers would both find none
        if call.is_live and not queries.journal(call).filter(kind="given up").exists():
            journal.record_ours(call, "given up")
