"""Compare, at night, every request that Twilio says it made for a call with the callbacks that we have of it."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from calls import journal, queries
from calls.addresses import callback_url
from calls.models import LIVE, CallLog, DueCall, JournalSource, Leg
from calls.reconcile.apply import apply_callbacks
from crm import tenancy
from crm.celery import app
from crm.errors import AppError
from crm.models import Organization
from crm.vault import SealBroken
from integrations.access import Credentials, credentials
from integrations.twilio import client, words
from integrations.twilio.errors import UNKNOWN_CALL, TwilioRejected

logger = logging.getLogger(__name__)

AUDIT = "calls.audit"
# Nothing was written on the call's row for so long, by our clock: no callback or retry is under way any more.
SETTLED = timedelta(hours=1)
# Calls begun longer ago are not looked at; Twilio forgets its requests after 30 days.
LOOK_BACK = timedelta(days=7)
# One run, which is one message to a worker: no more calls and, but for the last call, no longer than this. Far below
# a task's time limit, and short enough for the callbacks that the same worker has to apply.
MOST_CALLS, MOST_SECONDS = 200, 10.0
# Twilio's pace: this long between two calls of one organization.
PAUSE_SECONDS = 0.05
# Unauthorized, forbidden, too many requests: what Twilio will answer to the next question too.
ENOUGH = (401, 403, 429)
# After so many calls in a row that Twilio could not be asked about, the rest waits for the next night.
MOST_TROUBLES = 3
NO_ACCOUNT = "no Twilio account"

# What makes two requests to one address the same event. Twilio's record may write a parameter differently or leave it
# out, so only those count that tell events apart, and only where both sides have them.
IDENTITY: dict[str, tuple[str, ...]] = {
    "answer": ("CallSid",),
    "bridge": ("CallSid",),
    "fallback": ("CallSid",),
    "key": ("CallSid",),
    "dial": ("CallSid", "DialCallSid"),
    "agent": ("CallSid", "CallStatus"),
    "contact": ("CallSid", "CallStatus"),
    "recording": ("RecordingSid", "RecordingStatus"),
}

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Audit:
    """What one run over one organization's calls came to. `owing`: it stopped at its own bounds, and more is due. Only
    a run that audited a call, or has one before it that was never tried, owes another: so every night ends.
    """

    calls: int = 0
    lost: int = 0
    owing: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that Twilio made to one of a call's callback addresses, the last attempt where there were several."""

    kind: str
    params: dict[str, Any]
    date: str
    answer: int | None  # the HTTP status that Twilio got from us; None when it got none
    attempts: int


def audit_next(after: str, *, owing: bool) -> None:
    """Audit one run of the first active organization after `after` (an id, "" begins) and send a message for the next.

    One message is under way at a time, and each stands for a bounded piece of one organization: however many calls one
    of them has, the others have their turn in each round, and a worker is never kept from callbacks for long. When all
    had it, another round begins if one stopped at its bounds (`owing`). A message that is lost ends the night; what
    was not audited is due the next one.
    """
    following = Organization.objects.filter(is_active=True).order_by("pk")
    organization = (following.filter(pk__gt=after) if after else following).first()
    if organization is None:
        if owing:
            _send("", owing=False)
        return
    found = Audit()
    try:
        found = audit_calls(organization.pk)
    finally:
        _send(str(organization.pk), owing=owing or found.owing)


def _send(after: str, *, owing: bool) -> None:
    app.send_task(AUDIT, args=[after, owing], ignore_result=True)


def audit_calls(
    organization_id: UUID,
    *,
    since: datetime | None = None,
    most: int = MOST_CALLS,
    seconds: float = MOST_SECONDS,
) -> Audit:
    """Audit the ended calls of one organization that were not audited yet, oldest first: those begun after `since`.

    A call that could not be asked about comes after those that were not tried yet, and of its kind
    the one that was tried longest ago is the first: so whatever is wrong with some, the others have their turn.

    A callback that we do not have is written into the call's journal under its name and logged; then it is applied,
    as Twilio's own word over its authenticated API: a row that its loss left wrong is put right. A final status stays.
    Running twice, or two at once, adds nothing. At most `most` calls and about `seconds`. At the first 429, when the
    credentials do not work, or after MOST_TROUBLES in a row, the run is over, and what is left is due the next night.
    """
    try:
        account = credentials(organization_id)
    except SealBroken:
        logger.exception("Organization %s: no audit, its credentials cannot be read", organization_id)
        return Audit(trouble="credentials cannot be read")
    if account is None:
        return Audit(trouble=NO_ACCOUNT)
    ends_at = time.monotonic() + seconds
    calls = _due(organization_id, since or timezone.now() - LOOK_BACK, most + 1)
    audited = lost = troubles = in_a_row = 0
    owing = False
    for number, call in enumerate(calls):
        if number >= most or (number and time.monotonic() >= ends_at):
            owing = bool(audited) or call.audit_tried_at is None
            break
        if number:
            time.sleep(PAUSE_SECONDS)
        try:
            lost += _audit(account, call)
            audited, in_a_row = audited + 1, 0
        except AppError as trouble:
            logger.warning("Call %s: no audit (%s %s)", call.pk, trouble.code, trouble.twilio_code)
            troubles, in_a_row = troubles + 1, in_a_row + 1
            refused = isinstance(trouble, TwilioRejected) and trouble.http_status in ENOUGH
            if refused or in_a_row >= MOST_TROUBLES:
                return Audit(audited, lost, trouble=trouble.code)
    return Audit(audited, lost, owing, f"{troubles} could not be asked about" if troubles else "")


def _due(organization_id: UUID, since: datetime, most: int) -> list[CallLog]:
    """By id, which is ordered by time: the window is a range of the index, however many calls there are."""
    first = UUID(int=int(since.timestamp() * 1000) << 80)
    with tenancy.inside(organization_id):
        ended = CallLog.objects.filter(pk__gte=first, audited_at=None).exclude(status__in=LIVE)
        settled = ended.filter(updated_at__lte=timezone.now() - SETTLED)
        return list(settled.order_by(F("audit_tried_at").asc(nulls_first=True), "pk")[:most])


def _audit(account: Credentials, call: CallLog) -> int:
    """Audit one call; return how many callbacks it lacked. Raises: what asking Twilio raises."""
    with tenancy.inside(call.organization_id):
        # Before the question, so that even a call at which this process ends has its next turn after the others.
        CallLog.objects.filter(pk=call.pk).update(audit_tried_at=timezone.now())
    asked: list[Asked] = []
    gone: list[str] = []
    legs = _legs(call)
    for sid in legs:
        asked += _ask(account, call, sid, gone)
    for sid in {str(one.params.get("DialCallSid")) for one in asked if one.kind == "dial"} - set(legs):
        # A leg that only a lost callback tells of.
        if words.sid_of("CA", sid):
            asked += _ask(account, call, sid, gone)
    with tenancy.inside(call.organization_id):
        missing = _missing(call, asked)
        facts = [_fact(account, call, one) for one in missing]
        facts += [("not at Twilio", {"call_sid": sid}) for sid in gone]
        if facts:
            # The sweeper applies them should this process end here. Its note is locked first, as everywhere.
            note = DueCall(call_id=call.pk, organization_id=call.organization_id, due_at=timezone.now())
            DueCall.objects.bulk_create(
                [note], update_conflicts=True, unique_fields=["call_id"], update_fields=["due_at"]
            )
        fresh = [kind for kind, said in facts if journal.record(call, JournalSource.AUDIT, kind, said)]
        CallLog.objects.filter(pk=call.pk, audited_at=None).update(audited_at=timezone.now())
    for one in missing:
        # Answered 2xx and not in the journal: that must never be. Everything else is the network's, or an outage's.
        promised = one.answer is not None and 200 <= one.answer < 300
        logger.log(
            logging.ERROR if promised else logging.WARNING,
            "Call %s: the callback %s of %s never came (%d attempts, Twilio got %s)",
            call.pk,
            " ".join([one.kind, *(one.params[name] for name in IDENTITY[one.kind][1:] if name in one.params)]),
            one.date,
            one.attempts,
            one.answer or "no answer",
        )
    if fresh:
        apply_callbacks(call.organization_id, call.pk)
    return len(missing)


def _legs(call: CallLog) -> list[str]:
    """The SIDs of the call's legs, the agent's first; none of a call that never was at Twilio."""
    if call.call_sid is None:
        return []
    with tenancy.inside(call.organization_id):
        legs = Leg.objects.filter(call_id=call.pk).exclude(call_sid=None).values_list("call_sid", flat=True)
        return [call.call_sid, *sorted(set(legs) - {call.call_sid})]


def _ask(account: Credentials, call: CallLog, sid: str, gone: list[str]) -> list[Asked]:
    try:
        return list(_ours(call, client.fetch_events(account, sid)))
    except TwilioRejected as refusal:
        if refusal.twilio_code != UNKNOWN_CALL:
            raise
        logger.warning("Call %s: Twilio does not know %s", call.pk, sid)
        gone.append(sid)
        return []


def _ours(call: CallLog, events: Iterable[Mapping[str, Params]]) -> Iterator[Asked]:
    """Those of `events` that went to this call's own callback addresses: our organization and call are in the path."""
    addresses = {kind: callback_url(call.organization_id, call.pk, kind) for kind in journal.CALLBACKS}
    kinds = {urlsplit(address).path: kind for kind, address in addresses.items()}
    for event in events:
        request, response = event["request"], event["response"]
        kind = kinds.get(urlsplit(str(request.get("url") or "")).path)
        if kind is None:
            continue
        params = request.get("parameters")
        yield Asked(
            kind=kind,
            params=_as_sent(params) if isinstance(params, dict) else {},
            date=str(response.get("date_created") or ""),
            answer=words.whole(response.get("response_code")) or None,
            attempts=1,
        )


def _as_sent(params: Params) -> dict[str, Any]:
    """A callback's parameters under their own names: Twilio's record writes `call_sid` for `CallSid`."""

    def named(name: str) -> str:
        return "".join(part[:1].upper() + part[1:] for part in name.split("_"))

    return {named(name): words.storable(str(value)) for name, value in params.items() if value is not None}


def _missing(call: CallLog, asked: list[Asked]) -> list[Asked]:
    """The requests that the journal does not have, each once however often Twilio tried."""
    sources = (JournalSource.CALLBACK, JournalSource.AUDIT)
    known = [
        (entry.kind.removeprefix("lost "), words.texts(entry.payload))
        for entry in queries.journal(call)
        if entry.source in sources
    ]
    missing: list[Asked] = []
    for one in asked:
        if any(_same(one, kind, params) for kind, params in known):
            continue
        earlier = next((other for other in missing if _same(one, other.kind, other.params)), None)
        if earlier is None:
            missing.append(one)
        else:
            again = Asked(one.kind, one.params, one.date, one.answer, earlier.attempts + 1)
            missing[missing.index(earlier)] = again
    return missing


def _same(one: Asked, kind: str, params: Params) -> bool:
    return one.kind == kind and all(
        one.params[name] == params[name] for name in IDENTITY[kind] if name in one.params and name in params
    )


def _fact(account: Credentials, call: CallLog, one: Asked) -> tuple[str, dict[str, Any]]:
    """The journal's entry for a callback that never came; its parameters only if they are this account's and call's.

    The address carries our call's id, and Twilio listed the request under our call's SID: that it names others is not
    to be expected, and is not believed either.
    """
    answered = str(one.answer or "no answer")
    found = {"sent_at": one.date, "answered": answered, "attempts": str(one.attempts)}
    sid = one.params.get("ParentCallSid" if one.kind == "contact" else "CallSid")
    if one.params.get("AccountSid", account.account_sid) != account.account_sid or sid != call.call_sid:
        return "lost", {"callback": one.kind, **found}
    return f"lost {one.kind}", {**one.params, **found}
