"""The audit: what is written down, that nobody changes it, who reads it, and what is forgotten."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from crm import audit, tenancy
from crm.models import AuditEntry, Membership, Organization
from tests.calls.test_gate import patch
from tests.conftest import Api, Company
from tests.crm.rows import make_call, make_recording


def actions(company: Company) -> list[tuple[str, str]]:
    """What the audit says, oldest first: action and who."""
    with tenancy.inside(company.id):
        return [(one.action, one.who) for one in AuditEntry.objects.order_by("id")]


def fresh(company: Company) -> Company:
    """The company with an audit that is empty but for what comes; by the owner of the schema."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM crm_auditentry WHERE organization_id = %s", [company.id])
    return company


def test_who_changed_what_is_written_down_without_a_secret(ours: Company) -> None:
    fresh(ours)
    admin, who = Api(ours.admin), ours.admin.user.email
    good = {"account_sid": ours.account_sid, "default_caller_id": ours.number}
    assert admin.put("twilio/", good | {"auth_token": "s3cret"}).status_code == 200
    assert patch(ours, allowed_countries=["BR", "PT"], calls_from="09:00").status_code == 200
    assert Api(ours.rep).post("do-not-call/", {"number": "+5511987654321"}).status_code == 201
    assert actions(ours) == [
        ("twilio.connected", who),
        ("rules.changed", who),
        ("do_not_call.added", ours.rep.user.email),
    ]
    said = admin.get("audit/").content.decode()
    assert "s3cret" not in said
    [connected] = admin.get("audit/?action=twilio.connected").json()["results"]
    assert connected["details"] == {
        "account_sid": ours.account_sid,
        "caller_id": ours.number,
        "api_key_sid": "",
        "new_auth_token": True,
        "new_api_key_secret": False,
    }
    [changed] = admin.get("audit/?action=rules.changed").json()["results"]
    assert changed["details"] == {
        "allowed_countries": ["BR", "PT"],
        "calls_from": "09:00",
        "before": {"allowed_countries": [], "calls_from": None},
    }


def test_what_failed_is_not_written_down_as_done(ours: Company) -> None:
    fresh(ours)
    assert Api(ours.admin).put("twilio/", {"account_sid": "AC1", "default_caller_id": ours.number}).status_code == 400
    assert patch(ours, days=[]).status_code == 400
    assert patch(ours, concurrent=50).status_code == 200, "It is 50 already."
    assert actions(ours) == []


def test_who_listened_is_written_down_once_a_play(ours: Company) -> None:
    fresh(ours)
    recording = make_recording(make_call(ours), b"RIFF of a conversation")
    for _ in range(3):  # a player asks for one part after the other
        answer = Api(ours.manager).get(f"recordings/{recording.pk}/audio")
        assert answer.status_code == 200
        answer.close()
    assert actions(ours) == [("recording.played", ours.manager.user.email)]


@pytest.mark.parametrize("way", ["api", "page"])
def test_who_was_refused_is_written_down_once_a_minute(ours: Company, client_of: Any, way: str) -> None:
    fresh(ours)
    for _ in range(3):
        if way == "api":
            assert Api(ours.rep).get("twilio/").status_code == 403
        else:
            assert client_of(ours.rep).get("/twilio/").status_code == 403
    assert actions(ours) == [("refused", ours.rep.user.email)]


def test_a_call_that_a_rule_refused_is_written_down_although_it_was_taken_back(ours: Company) -> None:
    fresh(ours)
    assert Api(ours.rep).post("calls/", {"to": "+881612345678"}).status_code == 422
    [entry] = Api(ours.admin).get("audit/").json()["results"]
    assert entry["action"] == "refused"
    assert entry["details"] == {"what": "call", "code": "costly_number", "contact": None, "to": "+881612345678"}


def test_the_applications_role_changes_and_deletes_no_entry(ours: Company) -> None:
    fresh(ours)
    with tenancy.inside(ours.id):
        audit.note(ours.rep, audit.RULES_CHANGED)
    for statement in ("UPDATE crm_auditentry SET who = ''", "TRUNCATE crm_auditentry"):
        with pytest.raises(DatabaseError, match="permission denied"), tenancy.inside(ours.id):
            sql(statement)
    with tenancy.inside(ours.id):
        assert sql("DELETE FROM crm_auditentry") == 0
    assert len(actions(ours)) == 1


def sql(statement: str) -> int:
    """Run a statement as the application's role; return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.rowcount)


def test_a_role_that_may_change_it_starts_nothing() -> None:
    with connections["owner"].cursor() as cursor:
        role = connections["default"].settings_dict["USER"]
        cursor.execute(f'GRANT UPDATE ON crm_auditentry TO "{role}"')
        try:
            assert "crm.E005" in {problem.id for problem in tenancy.check_role(databases=["default"])}
        finally:
            cursor.execute(f'REVOKE UPDATE ON crm_auditentry FROM "{role}"')
    assert tenancy.check_role(databases=["default"]) == []


def aged(company: Company, days: int) -> None:
    """Add an entry that is so old, as the owner of the schema."""
    with tenancy.inside(company.id):
        audit.note(company.rep, audit.RULES_CHANGED, days=days)
        newest = AuditEntry.objects.latest("id").pk
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "UPDATE crm_auditentry SET at = %s WHERE id = %s", [timezone.now() - timedelta(days=days), newest]
        )


def test_what_is_old_is_forgotten_and_a_month_stays_whoever_asks(ours: Company, theirs: Company) -> None:
    fresh(ours)
    for days in (400, 40, 20):
        aged(ours, days)
    aged(theirs, 400)
    before = len(actions(theirs))
    assert audit.forget(ours.id, before=timezone.now() - timedelta(days=365)) == 1
    assert audit.forget(ours.id, before=timezone.now() + timedelta(days=1)) == 1, "That of 40 days."
    assert len(actions(ours)) == 1
    assert len(actions(theirs)) == before
    assert len(actions(theirs)) == before


def test_the_nightly_task_forgets_what_is_older_than_the_setting(ours: Company, settings: Any) -> None:
    from crm.tasks import forget_audit

    fresh(ours)
    for days in (800, 700):
        aged(ours, days)
    settings.AUDIT_DAYS = 730
    forget_audit()
    assert len(actions(ours)) == 1


def test_it_is_filtered_and_only_an_admin_reads_it(ours: Company, theirs: Company) -> None:
    fresh(ours)
    with tenancy.inside(ours.id):
        for member in (ours.rep, ours.manager):
            audit.note(member, audit.RULES_CHANGED)
        audit.note(None, audit.TWILIO_PROMOTED)
    admin = Api(ours.admin)
    assert len(admin.get("audit/").json()["results"]) == 3
    assert len(admin.get(f"audit/?who={ours.rep.user.email[:6]}").json()["results"]) >= 1
    assert [one["who"] for one in admin.get("audit/?action=twilio.promoted").json()["results"]] == [""]
    later = (timezone.now() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert admin.get(f"audit/?since={later}").json()["results"] == []
    assert len(admin.get(f"audit/?until={later}").json()["results"]) == 3
    for bad in ("action=nothing", "since=yesterday", "cursor=x"):
        assert admin.get(f"audit/?{bad}").status_code in (400, 404)
    assert Api(theirs.admin).get("audit/?action=twilio.promoted").json()["results"] == []
    for member in (ours.rep, ours.manager):
        assert Api(member).get("audit/").status_code == 403
        assert Api(member).get("audit/export.csv").status_code == 403


def test_it_is_exported_as_a_file_without_formulas(ours: Company) -> None:
    fresh(ours)
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep.pk).update(is_active=True)
        audit.note(ours.rep, audit.NUMBER_LISTED, number="+5511987654321")
        AuditEntry.objects.create(who="=cmd|' /C calc'!A0", action="refused", details={"what": "ação"})
        AuditEntry.objects.bulk_create(
            AuditEntry(organization_id=ours.id, who="x@y.example", action="refused") for _ in range(2100)
        )
    answer = Api(ours.admin).get("audit/export.csv")
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert rows[0] == ["at", "who", "action", "details"]
    assert len(rows) == 1 + 1 + 2102, "The export is in it, too."
    assert ["'=cmd|' /C calc'!A0", "refused", "what: ação"] in [row[1:] for row in rows]
    assert rows[-1][3] == "number: +5511987654321"


@pytest.mark.parametrize(
    "query", ["action=refused", "member=x", "x=%00", "who=%00", "&".join(f"a{n}=1" for n in range(500))]
)
def test_an_export_keeps_only_its_filters(ours: Company, query: str) -> None:
    fresh(ours)
    assert Api(ours.admin).get(f"audit/export.csv?{query}").status_code in (200, 400)
    with tenancy.inside(ours.id):
        for entry in AuditEntry.objects.filter(action="audit.exported"):
            assert set(entry.details) == {"filters"}
            assert set(entry.details["filters"]) <= {"action", "who", "since", "until"}


def test_a_closed_organizations_audit_can_be_deleted_with_it(ours: Company) -> None:
    aged(ours, 1)
    Organization.objects.filter(pk=ours.id).update(is_active=False)
    assert audit.forget(ours.id, before=timezone.now()) > 0
    assert actions(ours) == []
