"""Calls in any state for the pages to show, without a Twilio."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from calls.models import CallLog, Leg
from crm import tenancy
from tests.conftest import Company


@pytest.fixture
def make_call(ours: Company) -> Callable[..., CallLog]:
    """`make_call(status="busy", unanswered_by="contact", agent="completed")`: a row of the rep's, as if it had been.

    `agent` is the agent leg's status; `company` and `user` say whose it is, `ago` how many seconds it is old.
    """

    def make(*, agent: str = "", company: Company = ours, ago: int = 0, **values: Any) -> CallLog:
        at = timezone.now() - timedelta(seconds=ago)
        fields = {
            "contact": company.contact,
            "user": company.rep.user,
            "from_number": company.number,
            "to_number": company.contact_number,
            "agent_number": company.rep.phone_number,
            "confirmed": True,
            "started_at": at,
        }
        if values.get("is_test"):
            fields |= {"contact": None, "to_number": company.rep.phone_number, "is_recorded": False}
        over = values.get("status", "queued") not in ("queued", "initiated", "ringing", "in-progress")
        if over:
            fields |= {"stage": "ended", "ended_at": at}
        with tenancy.inside(company.id):
            call = CallLog.objects.create(**fields | values)
            CallLog.objects.filter(pk=call.pk).update(created_at=at)
            if agent:
                Leg.objects.create(call=call, role="agent", status=agent, started_at=at)
            call.refresh_from_db()
        return call

    return make
