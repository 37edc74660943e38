"""One organization's flood does not delay another's call."""

import time
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from calls.models import CallLog, DueCall, JournalEntry
from crm import tenancy
from tests.calls.driving import send_callback
from tests.conftest import Company, World, eventually, make_company, read_journal
from tests.crm.rows import make_call

CALLS, CALLBACKS = 1250, 8
CLICKS = 12


def flood(company: Company) -> None:
    """Leave 10,000 callbacks of 1,250 calls unapplied, as an organization does that dials while workers are down."""
    with tenancy.inside(company.id):
        calls = CallLog.objects.bulk_create(
            CallLog(
                organization_id=company.id,
                status="initiated",
                to_number=company.contact_number,
                from_number=company.number,
                agent_number="+5511987654321",
                call_sid=f"CA{uuid4().hex}",
                confirmed=True,
            )
            for _ in range(CALLS)
        )
        now = timezone.now()
        JournalEntry.objects.bulk_create(
            JournalEntry(
                organization_id=company.id,
                call_id=call.pk,
                digest=uuid4().hex,
                source="callback",
                kind="agent",
                payload={"CallSid": call.call_sid, "CallStatus": "ringing", "SequenceNumber": str(number)},
                received_at=now,
            )
            for call in calls
            for number in range(CALLBACKS)
        )
    DueCall.objects.bulk_create(
        DueCall(call_id=call.pk, organization_id=company.id, due_at=now, unapplied_since=now) for call in calls
    )


def waiting(company: Company) -> int:
    """How many calls of a company have callbacks that nobody applied."""
    return DueCall.objects.filter(organization_id=company.id, unapplied_since__isnull=False).count()


def applied(company: Company, call_id: UUID, number: int) -> bool:
    """Whether this callback was applied."""
    return any(
        one.applied_at is not None and one.payload.get("SequenceNumber") == str(number)
        for one in read_journal(company, call_id)
    )


@pytest.mark.stack
def test_ten_thousand_unapplied_callbacks_of_one_delay_anothers_by_less_than_a_second(
    running: World, ours: Company
) -> None:
    loud = make_company("Loud")
    later = make_company("Later")  # ids are made in order of time: whoever goes by them serves one of the two at once
    flood(loud)
    calls = []
    for company in (ours, later):
        sid = "CA" + uuid4().hex
        calls.append((company, sid, make_call(company, call_sid=sid)))
    eventually(lambda: waiting(loud) < CALLS, what="the workers are busy with the flood")
    took = []
    for number in range(CLICKS):
        company, sid, call = calls[number % 2]
        said = {"CallSid": sid, "CallStatus": "ringing", "SequenceNumber": str(number)}
        assert send_callback(company, call.pk, "agent", said).status_code == 204
        began = time.monotonic()
        eventually(
            lambda company=company, call=call, number=number: applied(company, call.pk, number),
            what="the callback is applied",
        )
        took.append(time.monotonic() - began)
    left = waiting(loud)
    # What the flood has left is nobody's business any more.
    DueCall.objects.filter(organization_id=loud.id).delete()
    assert left > 0, "the flood was over too soon to prove anything"
    assert max(took) < 1, took
