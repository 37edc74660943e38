"""A call's page tells its journal: when each entry happened and came, what it changed, and whose word stands."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from calls.journal import CALLBACKS, OURS, POLLS
from calls.models import CallLog, JournalEntry, JournalSource
from crm import tenancy

AGENT, CONTACT, RE = "CA" + "a" * 32, "CA" + "c" * 32, "RE" + "e" * 32
NOON = "Sat, 21 Nov 2026 12:00:{:02} +0000"
Said = tuple[str, str, dict[str, Any]]


def agent(word: str, second: int, **more: str) -> Said:
    return ("callback", "agent", {"CallSid": AGENT, "CallStatus": word, "Timestamp": NOON.format(second), **more})


def contact(word: str, second: int, **more: str) -> Said:
    own = {"CallSid": CONTACT, "ParentCallSid": AGENT}
    return ("callback", "contact", {**own, "CallStatus": word, "Timestamp": NOON.format(second), **more})


RINGS = [agent("initiated", 1), agent("ringing", 2), agent("in-progress", 5), contact("ringing", 9)]
OVER = contact("completed", 40, CallDuration="30")
DIAL = (
    "callback",
    "dial",
    {
        "CallSid": AGENT,
        "CallStatus": "in-progress",
        "DialCallStatus": "completed",
        "DialBridged": "true",
        "DialCallDuration": "34",
    },
)


@pytest.fixture
def journal_of(ours, client_of):
    """`journal_of(call, facts)`: store them, applied, one a second, and read the page's journal, an entry a text."""

    def tell(call: CallLog, facts: list[Said], *, language: str = "en", **fields: Any) -> list[str]:
        at = timezone.now() - timedelta(seconds=100)
        values = {"applied_at": at} | fields
        with tenancy.inside(ours.id):
            for number, (source, kind, payload) in enumerate(facts):
                JournalEntry.objects.create(
                    organization_id=ours.id,
                    call=call,
                    digest=f"{number:032}",
                    source=source,
                    kind=kind,
                    payload=payload,
                    received_at=at + timedelta(seconds=number),
                    **values,
                )
        answer = client_of(ours.rep).get(f"/calls/{call.pk}/", headers={"Accept-Language": language})
        assert answer.status_code == 200
        entries = re.split(r'<li id="entry-\d+">', answer.content.decode())[1:]
        return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", entry)).split()) for entry in entries]

    return tell


@pytest.fixture
def over(make_call) -> CallLog:
    """A completed call."""
    return make_call(status="completed", duration_seconds=30)


def test_every_callback_says_when_it_happened_and_came_and_what_it_changed(over, journal_of):
    """By name, in order, with what it was before."""
    entries = journal_of(over, [*RINGS, contact("in-progress", 10), OVER, DIAL])
    ringing = entries[1]
    assert "Rep's phone: status callback Ringing Happened 2026-11-21 12:00:02 UTC Arrived 20" in ringing
    assert "Status: Starting → Ringing" in ringing
    assert "Rep's phone · Rang: 2026-11-21 12:00:02 UTC ✓ This word stands" in ringing
    answered = entries[4]
    assert "Status: Ringing → In progress ✓ This word stands" not in answered, "No step on the way stands."
    assert "Status: Ringing → In progress" in answered
    assert "Contact answered: 2026-11-21 12:00:10 UTC ✓ This word stands" in answered


def test_the_loser_says_by_whom_it_was_overruled(over, journal_of):
    """The dial's seconds, whether they come before the contact leg's or after."""
    first, second = journal_of(over, [*RINGS, DIAL, OVER])[-2:]
    sentence = "Talk time: 0:34 Overruled by 6 Contact's phone: status callback : 0:30"
    assert sentence in first
    assert "Talk time: 0:34 → 0:30 ✓ This word stands" in second


def test_a_late_word_and_a_repeat_say_so(over, journal_of):
    """Late ringing, and the same from a poll."""
    resource = {"sid": AGENT, "status": "in-progress", "start_time": NOON.format(5), "date_created": NOON.format(1)}
    entries = journal_of(over, [*RINGS[:1], RINGS[2], RINGS[1], ("poll", "agent leg", resource), OVER])
    assert "Rep's phone: Ringing Overruled by 2 Rep's phone: status callback : Connected" in entries[2]
    assert "Asked Twilio Asked about the rep's phone Connected Arrived" in entries[3]
    assert "Nothing new" in entries[3]


def test_steps_of_our_own_and_audits_are_told_too(over, journal_of):
    """Also those of a kind that nobody has given a name."""
    facts: list[Said] = [
        ("ours", "hang-up", {"at": "2026-11-21T12:00:07+00:00", "by": "u"}),
        ("audit", "lost", {"request": {"url": "https://crm.example", "codes": [11200]}, "answer": None}),
        ("audit", "lost agent", {"CallStatus": "ringing", "Timestamp": NOON.format(3)}),
        ("audit", "something new", {}),
    ]
    asked, missing, lost, new = journal_of(over, facts)
    assert "Our own step Somebody pressed Cancel or Hang up Happened 2026-11-21 12:00:07 UTC" in asked
    assert "Hang-up asked for: 2026-11-21 12:00:07 UTC ✓" in asked
    assert "Nightly audit A callback that never reached us" in missing
    assert 'answer – request {"url": "https://crm.example", "codes": [11200]}' in missing
    assert "None" not in missing
    assert "Nightly audit Never reached us: Rep's phone: status callback Ringing Happened 2026-11-21 12:00:03" in lost
    assert "Something new" in new
    assert "No parameters" in new


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Not applied yet"),
        ({"failures": 2, "last_error": "KeyError: 'sid'", "retry": 60}, "Could not be applied, tried 2 times · Next"),
        ({"failures": 9, "last_error": "KeyError: 'sid'"}, "Could not be applied, tried 9 times; given up"),
    ],
)
def test_what_is_not_applied_says_so_and_counts_for_nothing(over, journal_of, fields, sentence):
    """With the error among the details."""
    fields = dict(fields)
    if retry := fields.pop("retry", None):
        fields["retry_at"] = timezone.now() + timedelta(seconds=retry)
    (entry,) = journal_of(over, [("poll", "agent leg", {"no": "resource"})], **{"applied_at": None} | fields)
    assert sentence in entry
    assert "Status:" not in entry
    assert fields.get("last_error", "") in entry


def test_an_entry_that_cannot_be_read_does_not_break_the_page(over, journal_of):
    """Such as one of a later version."""
    assert "Changed nothing" in journal_of(over, [("poll", "recording", {"no": "sid"})])[0]


def test_every_kind_has_a_name_in_both_languages(over, journal_of):
    """No kind is shown as the program calls it."""
    kinds = [(JournalSource.CALLBACK, CALLBACKS), (JournalSource.POLL, POLLS), (JournalSource.OURS, OURS)]
    facts = [(source, kind, {}) for source, readers in kinds for kind in readers]
    names = {"en": set(), "pt-br": set()}
    for language, found in names.items():
        with tenancy.inside(over.organization_id):
            JournalEntry.objects.filter(call_id=over.pk).delete()
        for entry in journal_of(over, facts, language=language):
            found.add(entry.split(" Arrived")[0].split(" Chegou")[0].lstrip("0123456789 "))
    assert len(names["en"]) == len(names["pt-br"]) == len(facts)
    assert not names["en"] & names["pt-br"]
    for source, kind, _payload in facts:
        assert not any(name.endswith(f"{source.label} {kind.capitalize()}") for name in names["en"]), kind
