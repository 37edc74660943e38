"""One row in every tenant table, for tests that hold all of them to the same promise."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages

from calls.models import (
    CallCount,
    CallLog,
    CallRules,
    DaySpend,
    JournalEntry,
    JournalSource,
    Leg,
    MinuteRate,
    Play,
    Recording,
    Run,
    RunEntry,
)
from crm import audit, tenancy
from crm.models import (
    ApiToken,
    AuditEntry,
    Contact,
    ContactImport,
    ContactNumber,
    DoNotCall,
    FollowUp,
    ImportedContact,
    ImportPart,
    Invitation,
    Membership,
    Note,
    Opportunity,
    SavedView,
    StageChange,
)
from crm.tenancy import TenantRow
from integrations.models import Number, TwilioAccount
from tests.conftest import Company


def make_call(company: Company, member: Membership | None = None, **fields: Any) -> CallLog:
    """Make a call of `company`'s rep to its contact that Twilio has accepted."""
    values: dict[str, Any] = {
        "contact": company.contact,
        "user": (member or company.rep).user,
        "from_number": company.number,
        "to_number": company.contact_number,
        "agent_number": (member or company.rep).phone_number,
        "call_sid": f"CA{secrets.token_hex(16)}",
    }
    with tenancy.inside(company.id):
        return CallLog.objects.create(**values | fields)


def make_recording(call: CallLog, media: bytes | None = None) -> Recording:
    """Make a recording of `call`, with its audio in our storage if there is some."""
    stored: dict[str, Any] = {}
    if media is not None:
        name = storages["recordings"].save(f"{call.organization_id}/{secrets.token_hex(8)}.wav", ContentFile(media))
        stored = {
            "status": "completed",
            "media_name": name,
            "media_bytes": len(media),
            "media_sha256": hashlib.sha256(media).hexdigest(),
            "stored_at": datetime.now(UTC),
        }
    with tenancy.inside(call.organization_id):
        return Recording.objects.create(call=call, recording_sid=f"RE{secrets.token_hex(16)}", **stored)


def one_of_each(company: Company) -> dict[type[TenantRow], Any]:
    """Return a committed row of every tenant model, each as a reader finds it: no reference is loaded yet."""
    call = make_call(company, opportunity=company.opportunity, status="completed", stage="ended")
    recording = make_recording(call, b"RIFF of one organization")
    with tenancy.inside(company.id):
        Contact.objects.filter(pk=company.contact.pk).update(owner=company.rep.user)
        Opportunity.objects.filter(pk=company.opportunity.pk).update(owner=company.rep.user)
        ApiToken.objects.create(membership=company.rep, digest=secrets.token_hex(32))
        Leg.objects.create(call=call, role="agent", call_sid=call.call_sid)
        JournalEntry.objects.create(
            call=call,
            digest=secrets.token_hex(16),
            source=JournalSource.CALLBACK,
            kind="agent",
            payload={},
            received_at=datetime.now(UTC),
        )
        Number.objects.create(
            number=f"+1555{secrets.randbelow(10**10):010}",
            kind="incoming",
            sid=f"PN{secrets.token_hex(16)}",
            has_voice=True,
        )
        CallRules.objects.get_or_create()
        audit.note(company.rep, audit.RULES_CHANGED)
        CallCount.objects.create(subject=company.id, window="day", starts_at=datetime.now(UTC))
        today = datetime.now(UTC).date()
        DaySpend.objects.get_or_create(day=today)
        MinuteRate.objects.get_or_create(country="BR", is_costly=False, day=today, defaults={"amount": "0.01400"})
        DoNotCall.objects.create(number=f"+1555{secrets.randbelow(10**7):07}", added_by=company.rep.user)
        Invitation.objects.create(
            email=f"invited-{secrets.token_hex(6)}@example.com",
            invited_by=company.admin.user,
            digest=secrets.token_hex(32),
            expires_at=datetime.now(UTC) + timedelta(days=7),
        )
        SavedView.objects.get_or_create(user=company.admin.user, page="calls", name="Owed", query="show=needs-outcome")
        Play.objects.create(recording=recording, user=company.rep.user)
        importing = ContactImport.objects.create(
            started_by=company.manager.user,
            file_name="list.csv",
            status="done",
            headings=["Name", "Phone"],
            columns=["name", "phone"],
            region="BR",
            total=1,
            refused=1,
        )
        ImportPart.objects.create(
            contact_import=importing, position=0, rows=[], refused=[[2, ["Ana", "12"], [[1, "invalid_number"]]]]
        )
        ImportedContact.objects.create(contact_import=importing, contact=company.contact)
        about = {"contact": company.contact, "opportunity": company.opportunity}
        Note.objects.create(**about, author=company.rep.user, text="Worth knowing")
        FollowUp.objects.create(**about, owner=company.rep.user, due_at=datetime.now(UTC), text="Call again")
        StageChange.objects.create(opportunity=company.opportunity, by=company.rep.user, after="won")
        run, _made = Run.objects.get_or_create(user=company.rep.user, ended_at=None, defaults={"total": 1})
        RunEntry.objects.get_or_create(run=run, position=1, contact=company.contact, defaults={"call": call})
        models = (
            Membership,
            Contact,
            ContactNumber,
            Opportunity,
            ApiToken,
            TwilioAccount,
            Number,
            CallRules,
            CallCount,
            DaySpend,
            MinuteRate,
            DoNotCall,
            Invitation,
            ContactImport,
            ImportPart,
            ImportedContact,
            AuditEntry,
            SavedView,
            CallLog,
            Leg,
            JournalEntry,
            Recording,
            Play,
            Note,
            FollowUp,
            StageChange,
            Run,
            RunEntry,
        )
        return {model: model.objects.first() for model in models}
