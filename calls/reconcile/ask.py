"""Ask Twilio for what a call's facts do not tell yet; its answers are facts like any other."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from calls import journal, queries
from calls.addresses import names_call
from calls.models import LIVE, CallLog, DueCall, JournalSource, Leg
from calls.reconcile.apply import apply_callbacks, note_question_in_vain
from calls.reconcile.dead import is_aside
from calls.reconcile.media import store_recordings
from calls.rules import known as rules
from calls.rules import spend
from calls.rules.outcome import TALKING, contact_status, was_dialled
from calls.rules.owed import Questions, Situation, fetches_media, questions
from crm import tenancy
from crm.errors import AppError
from crm.vault import SealBroken
from integrations.access import Credentials, credentials
from integrations.twilio import client, words
from integrations.twilio.errors import UNKNOWN_CALL, TwilioRejected

logger = logging.getLogger(__name__)

Fact = tuple[str, dict[str, Any]]
# Our clock and Twilio's may differ by this much when a call is recognized by its time.
CLOCKS_DIFFER = timedelta(seconds=30)
# Twilio's lists lag behind: what they lack is believed to be missing when they lacked it so often and for so long.
EMPTY_LISTS, LISTS_LAG = 3, timedelta(minutes=3)
# Twice this far apart Twilio did not know a call: there is none.
NOT_FOUND_APART = timedelta(minutes=3)
# Twilio says with a 429 how long to wait; a call is not left alone for longer than this, whatever it says.
LONGEST_PAUSE = timedelta(hours=1)
# A live call that cannot be asked about is given up after this long without news: above the age at which a leg's
# request for TwiML is answered with <Hangup/>, so nobody begins to talk after it; and Twilio ends each call after 4 h.
HOPELESS, HOPELESS_TALK = timedelta(minutes=20), timedelta(hours=5)


class _NotThere(Exception):
    """Twilio says that there is no such call."""


def check_call(organization_id: UUID, call_id: UUID) -> None:
    """Bring a call up to date: apply what was stored, ask Twilio what is due, fetch media that is owed."""
    situation = apply_callbacks(organization_id, call_id, ask=False)
    if situation is None:
        return
    due = questions(situation)
    if due:
        pause = _ask(organization_id, call_id, situation, due)
        situation = apply_callbacks(organization_id, call_id, ask=False)
        if pause:
            _leave_alone(call_id, pause)
            return
    if situation is not None and fetches_media(situation):
        seconds = store_recordings(organization_id, call_id)
        if seconds:
            _leave_alone(call_id, min(timedelta(seconds=seconds), LONGEST_PAUSE))


def _leave_alone(call_id: UUID, pause: timedelta) -> None:
    """Have the sweeper come no sooner than Twilio asked for; a callback that comes earlier renews the note."""
    until = timezone.now() + pause
    DueCall.objects.filter(pk=call_id, due_at__lt=until).update(due_at=until)


def _ask(organization_id: UUID, call_id: UUID, situation: Situation, due: Questions) -> timedelta | None:
    """Put Twilio's answers into the journal; return how long to leave it in peace if it asked for that (429).

    What was answered before a question failed is kept: the next look does not ask for it again.
    """
    try:
        account = credentials(organization_id)
    except SealBroken:
        logger.exception("Call %s: Twilio cannot be asked", call_id)
        account = None
    with tenancy.inside(organization_id):
        call = CallLog.objects.get(pk=call_id)
    facts: list[Fact] = []
    pause = None
    asked = False
    if account is not None:
        try:
            for fact in _answers(account, call, situation, due):
                facts.append(fact)  # one by one: what came before an error is kept
            asked = True
        except _NotThere:
            asked = True  # that was an answer
            note_not_found(call)
        except AppError as trouble:
            logger.warning("Call %s: Twilio could not be asked (%s %s)", call_id, trouble.code, trouble.twilio_code)
            if isinstance(trouble, TwilioRejected) and trouble.retry_after_seconds:
                # A rep waits for a live call: that one is looked at again when it may be given up.
                longest = HOPELESS if call.is_live else LONGEST_PAUSE
                pause = min(timedelta(seconds=trouble.retry_after_seconds), longest)
    if not facts and (due.find_call or not asked) and _is_hopeless(situation):
        _give_up(call, presumed_over=situation.known.agent.is_over and contact_status(situation.known) is not None)
    with tenancy.inside(organization_id):
        news = [journal.record(call, JournalSource.POLL, kind, said) for kind, said in facts]
        if facts:
            _note_found(call)
        if not any(news) and due != Questions(price=True):  # which keeps a time of its own
            note_question_in_vain(call_id)
    return pause


def _is_hopeless(situation: Situation) -> bool:
    talking = situation.outcome.stage == TALKING and not situation.known.agent.is_over
    patience = HOPELESS_TALK if talking else HOPELESS
    return situation.now - situation.last_news_at >= patience


def _answers(account: Credentials, call: CallLog, situation: Situation, due: Questions) -> Iterator[Fact]:
    if due.find_call:
        yield from _find(account, call, situation.asked)
        return
    sid = situation.known.agent.call_sid
    if sid is None:
        return
    agent_over = situation.known.agent.is_over
    if due.agent_leg:
        try:
            agent = client.fetch_call(account, sid)
        except TwilioRejected as refusal:
            if refusal.twilio_code == UNKNOWN_CALL and call.is_live:
                raise _NotThere from refusal
            raise
        agent_over = agent["status"] in words.FINAL
        yield from journal.leg_facts(words.AGENT, agent)
    if due.contact_leg or (due.agent_leg and agent_over):
        yield from _contact_leg(account, call, sid, situation, agent_over=agent_over)
    if due.recordings:
        for recording in client.fetch_recordings(account, sid):
            yield "recording", recording
    if due.price:
        yield from _prices(account, sid, situation.known)
    if due.cancel and not agent_over:  # the last, so that a refusal hides no answer
        ended = client.end_call(account, sid)
        if ended:
            yield from journal.leg_facts(words.AGENT, ended)


def _prices(account: Credentials, sid: str, known: rules.Known) -> Iterator[Fact]:
    """Prices; and of a call that was given up its legs, the agent's last: its end says that there is no more to ask."""
    of_agent, of_contact = spend.unpriced(known)
    read = journal.leg_facts if spend.is_untold(known) else journal.price_facts
    if of_contact:
        for child in client.fetch_children(account, sid):
            if known.contact.call_sid in (None, child["sid"]):
                yield from read(words.CONTACT, child)
    if of_agent:
        yield from read(words.AGENT, client.fetch_call(account, sid))


def _contact_leg(
    account: Credentials, call: CallLog, sid: str, situation: Situation, *, agent_over: bool
) -> Iterator[Fact]:
    known = situation.known.contact.call_sid
    found = [] if call.is_test else client.fetch_children(account, sid)
    children = [one for one in found if known in (None, one["sid"])]
    for child in children:
        yield from journal.leg_facts(words.CONTACT, child)
    if not agent_over:
        return
    # What a list says that lags behind is believed once it was said often enough and for long enough.
    silence = situation.now - situation.last_news_at
    last_word = situation.asked + 1 >= EMPTY_LISTS and silence >= LISTS_LAG
    if not children and _was_dialled(call) and not last_word:
        return
    if any(child["status"] not in words.FINAL for child in children):
        if last_word:
            _give_up(call, presumed_over=True)
        return
    try:
        notifications = client.fetch_notifications(account, sid)
    except AppError:
        if not last_word:
            raise
        logger.exception("Call %s: what Twilio's debugger says of it is not known", call.pk)
        notifications = []
    for one in notifications:
        yield "notification", one
    yield "nothing to add" if call.is_test else "both legs asked" if children else "no contact leg", {}


def _was_dialled(call: CallLog) -> bool:
    """Was the agent leg, which is over, ever told to dial?

    The request that we answer with `<Dial>` is in the journal before the answer leaves, so our own facts say no
    for certain, however far Twilio's lists lag behind. Read anew: the key may have been pressed since we looked.
    """
    with tenancy.inside(call.organization_id):
        return was_dialled(journal.known_of(call, (one for one in queries.journal(call) if not is_aside(one))))


def _find(account: Credentials, call: CallLog, asked: int) -> list[Fact]:
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
        to_same = CallLog.objects.filter(agent_number=call.agent_number, from_number=call.from_number)
        alone = not to_same.filter(call_sid=None, status__in=LIVE).exclude(pk=call.pk).exists()
    nameless = []
    for one in young:
        if one["sid"] not in ours:
            addresses = _addresses(account, call, one["sid"])
            if any(names_call(address, call.organization_id, call.pk) for address in addresses):
                return journal.leg_facts(words.AGENT, one)
            if not addresses:
                nameless.append(one)
    # Twilio's record of its requests may lag behind its list. When it had minutes and still has none of this call, the
    # numbers and the time have to do, if they fit no other call of ours; and somebody else's names other addresses.
    if len(nameless) == 1 and alone and asked:
        return journal.leg_facts(words.AGENT, nameless[0])
    if not nameless:
        note_not_found(call)
    return []


def _addresses(account: Credentials, call: CallLog, sid: str) -> list[Any]:
    """Every address in Twilio's record of its requests for a leg: those that it asked, and those of `POST /Calls`."""
    try:
        requests = [event["request"] for event in client.fetch_events(account, sid)]
    except AppError as trouble:
        if isinstance(trouble, TwilioRejected) and trouble.retry_after_seconds:
            raise
        logger.warning("Call %s: no record of the requests for %s (%s)", call.pk, sid, trouble.code)
        return []
    said: list[Any] = []
    for one in requests:
        parameters = one.get("parameters")
        said += [one.get("url"), *(parameters.values() if isinstance(parameters, dict) else ())]
    return said


def note_not_found(call: CallLog) -> None:
    """Note that Twilio does not know this call; the second time, minutes after the first, it is given up.

    What Twilio has said of it in between proves the first wrong: it no longer counts.
    """
    with tenancy.inside(call.organization_id):
        entries = queries.journal(call)
        known = entries.filter(Q(source__in=(JournalSource.CALLBACK, JournalSource.POLL)) | Q(kind="found")).last()
        notes = entries.filter(source=JournalSource.OURS, kind="not found")
        first = (notes.filter(received_at__gt=known.received_at) if known else notes).first()
        if first is None:
            journal.record_ours(call, "not found")
    if first is not None and timezone.now() - first.received_at >= NOT_FOUND_APART:
        _give_up(call)


def _note_found(call: CallLog) -> None:
    """Note that Twilio knows a call after all, of which it had said the contrary; the same answer twice is one fact."""
    notes = queries.journal(call).filter(source=JournalSource.OURS, kind__in=("not found", "found"))
    last = notes.last()
    if last is not None and last.kind == "not found":
        journal.record_ours(call, "found")


def _give_up(call: CallLog, *, presumed_over: bool = False) -> None:
    """End a call of which nobody can say more. `presumed_over`: its agent leg has ended, and so the contact's has."""
    kind = "presumed over" if presumed_over else "given up"
    with tenancy.inside(call.organization_id):
        call = CallLog.objects.select_for_update(no_key=True).get(pk=call.pk)  # or two workers would both find none
        if call.is_live and not queries.journal(call).filter(kind=kind).exists():
            journal.record_ours(call, kind)
