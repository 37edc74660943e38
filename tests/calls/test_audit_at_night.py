"""The audit as beat starts it: one message after the other, through the real broker and worker."""

from uuid import UUID

import pytest
from django.conf import settings

from calls.reconcile.audit import AUDIT
from crm import celery_app
from tests.calls.driving import due, over_at_twilio
from tests.calls.test_audit import brief, connect, hours_later, opened
from tests.conftest import World, eventually, make_company, read_call


@pytest.mark.stack
def test_one_message_after_the_other_goes_around_all_organizations(running: World) -> None:
    """A company whose token is wrong, and one that is not active, stop nobody."""
    companies = [opened(running, make_company("Audited")) for _ in range(3)]
    brief(running, *companies)
    calls = {}
    for company in companies:
        calls[company.id] = running.call(company)
    for company in companies:
        over_at_twilio(company, running)
        call_id = calls[company.id]
        eventually(lambda c=company, i=call_id: not read_call(c, i).is_live, what="the end")
        eventually(lambda i=call_id: due(i) is None, what="nothing owed")
        hours_later(company, call_id)
    broken, inactive, good = companies
    connect(broken, auth_token="0" * 32)
    inactive.organization.is_active = False
    inactive.organization.save()
    task = settings.CELERY_BEAT_SCHEDULE["audit"]["task"]
    assert task == AUDIT
    # From ours on: each test of the suite has left organizations, and ids are in order of time.
    celery_app.send_task(task, args=[str(UUID(int=broken.id.int - 1))], ignore_result=True)
    eventually(lambda: read_call(good, calls[good.id]).audited_at, what="the audit to come around")
    assert read_call(broken, calls[broken.id]).audited_at is None
    assert read_call(inactive, calls[inactive.id]).audited_at is None
