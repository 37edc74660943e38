"""The journal: facts of a call as they came, and how each is read."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from calls.models import CallLog, JournalEntry, JournalSource
from calls.rules import known as rules
from integrations.twilio import words
from integrations.twilio.words import News

logger = logging.getLogger(__name__)

# What can only be said where there is a contact. Of a test call it is not heard, whoever signed it: a request to be
# connected, for one, would be taken for a key that was pressed.
OF_A_CONTACT = frozenset({"bridge", "dial", "contact", "recording", "contact leg", "no contact leg", "both legs asked"})

# What each callback address receives; the name is the last part of its path and the entry's kind.
CALLBACKS: dict[str, Callable[[Mapping[str, str]], list[News]]] = {
    "answer": words.answer_callback,
    "bridge": words.bridge_callback,
    "key": words.key_callback,
    "dial": words.dial_callback,
    "agent": lambda params: words.leg_callback(words.AGENT, params),
    "contact": lambda params: words.leg_callback(words.CONTACT, params),
    "recording": words.recording_callback,
    "fallback": words.answer_callback,
}
POLLS: dict[str, Callable[[Mapping[str, Any]], list[News]]] = {
    "accepted": lambda call: words.leg_resource(words.AGENT, call),
    "agent leg": lambda call: words.leg_resource(words.AGENT, call),
    "contact leg": lambda call: words.leg_resource(words.CONTACT, call),
    "agent price": lambda said: words.leg_price(words.AGENT, said),
    "contact price": lambda said: words.leg_price(words.CONTACT, said),
    "no contact leg": lambda _: [words.NoContactLeg()],
    "both legs asked": lambda _: [words.BothLegsAsked()],
    "nothing to add": lambda _: [words.NoContactLeg()],
    "recording": words.recording_resource,
    "notification": words.notification_resource,
}
PRICES = ("agent price", "contact price")
OURS: dict[str, Callable[[Mapping[str, Any]], list[News]]] = {
    "refused": lambda said: [words.StartRefused(said["code"], said["message"], datetime.fromisoformat(said["at"]))],
    "unconfirmed": lambda _: [],
    "not found": lambda _: [],
    "found": lambda _: [],
    "given up": lambda said: [words.GivenUp(datetime.fromisoformat(said["at"]))],
    "presumed over": lambda _: [words.NoContactLeg()],
    "hang-up": lambda said: [words.HangupAsked(datetime.fromisoformat(said["at"]))],
    "hang-up in vain": lambda said: [words.HangupInVain(datetime.fromisoformat(said["asked_at"]))],
}
# A callback that never came, as Twilio's own record of its requests has it: it tells what the callback would have told.
# One that is not certainly this call's is named and not read.
AUDITS: dict[str, Callable[[Mapping[str, Any]], list[News]]] = {
    **{f"lost {kind}": read for kind, read in CALLBACKS.items()},
    "lost": lambda _: [],
    "not at Twilio": lambda _: [],
}
READERS = {
    JournalSource.CALLBACK: CALLBACKS,
    JournalSource.POLL: POLLS,
    JournalSource.OURS: OURS,
    JournalSource.AUDIT: AUDITS,
}


def written(payload: Mapping[str, Any]) -> str:
    """Return a payload as JSON, the same for the same content."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"))


def digest(kind: str, said: str) -> str:
    """What makes two facts the same: their kind and all that was said, `written`. 128 bits of SHA-256, in hex."""
    return hashlib.sha256(f'["{kind}",{said}]'.encode()).hexdigest()[:32]


def record(call: CallLog, source: JournalSource, kind: str, payload: Mapping[str, Any]) -> bool:
    """Add a fact that is not a callback; False when the same was known already."""
    entry = JournalEntry(
        organization_id=call.organization_id,
        call_id=call.pk,
        digest=digest(kind, written(payload)),
        source=source,
        kind=kind,
        payload=dict(payload),
        received_at=timezone.now(),
    )
    known = JournalEntry.objects.filter(call_id=call.pk, digest=entry.digest).exists()
    JournalEntry.objects.bulk_create([entry], ignore_conflicts=True)
    return not known


def leg_facts(role: str, resource: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a Call resource says of a leg, as facts: its price, which comes long after the rest, is one of its own.

    Else a price would be news of the conversation, and whoever waits for silence would wait anew.
    """
    said = {name: value for name, value in resource.items() if name not in words.LATE}
    return [(f"{role} leg", said), *price_facts(role, resource)]


def price_facts(role: str, resource: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a Call resource says of a leg's price: one fact, or none while Twilio has not worked it out."""
    if words.price_of(resource.get("price"), resource.get("price_unit")) is None:
        return []
    return [(f"{role} price", {name: resource[name] for name in ("sid", "price", "price_unit")})]


def record_ours(call: CallLog, kind: str, **said: Any) -> bool:
    """Add a step of our own, with our clock's time."""
    return record(call, JournalSource.OURS, kind, {"at": timezone.now().isoformat(), **said})


def news_of(entries: Iterable[JournalEntry]) -> list[News]:
    """Read entries; what an undocumented status says is kept as `unknown` and logged."""
    news: list[News] = []
    for entry in entries:
        read = READERS[JournalSource(entry.source)][entry.kind](entry.payload)
        for one in read:
            if getattr(one, "status", None) == words.UNKNOWN and entry.applied_at is None:
                logger.warning("Call %s: %s %s has an undocumented status", entry.call_id, entry.source, entry.kind)
        news += read
    return news


def is_heard(call: CallLog, entry: JournalEntry) -> bool:
    """Whether an entry can say anything of this call."""
    return not (call.is_test and entry.kind.removeprefix("lost ") in OF_A_CONTACT)


def known_of(call: CallLog, entries: Iterable[JournalEntry]) -> rules.Known:
    """Fold what entries say of a call into what its row is about."""
    heard = (entry for entry in entries if is_heard(call, entry))
    return rules.fold(news_of(heard), rules.Known(is_test=call.is_test or None))
