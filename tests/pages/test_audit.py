"""The page of the audit: sentences, filters that stay in the address, pages, and the same filters' export."""

from collections.abc import Callable
from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import translation

from calls.services.rules import set_rules
from crm import audit, tenancy
from crm.audit_sentences import SAID, choices, sentence_of
from crm.do_not_call import add_number
from crm.models import AuditEntry, Membership
from tests.conftest import Api, Company

Sessions = Callable[[Membership], Client]


def note(company: Company, action: str, by: Membership | None = None, /, **details: object) -> AuditEntry:
    """Write an entry down; return it."""
    with tenancy.inside(company.id):
        audit.note(by, action, **details)
        return audit.entries(company.admin)[0]


def said(company: Company, entry: AuditEntry) -> str:
    """Its sentence."""
    with tenancy.inside(company.id):
        return sentence_of(entry, audit.people(company.admin))


def happened(entry: AuditEntry, at: str) -> None:
    """Say when it was; by the owner of the schema, as nobody else may."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE crm_auditentry SET at = %s WHERE id = %s", [at, entry.pk])


def lines(browser: Client, **filters: Any) -> list[str]:
    """The sentences that the page shows."""
    answer = browser.get("/audit/", filters)
    assert answer.status_code == 200
    return [line.sentence for line in answer.context["lines"]]


@pytest.mark.parametrize("action", audit.ACTIONS)
def test_every_action_has_a_name_and_a_sentence(ours: Company, action: str) -> None:
    assert action in SAID, "Add a name and a sentence to crm/audit_sentences.py."
    assert len(str(SAID[action][0])) <= 60
    bare = said(ours, note(ours, action, ours.admin))
    assert bare.startswith("Admin of Ours")
    assert "%(" not in bare


@pytest.mark.parametrize(
    ("action", "details", "expected"),
    [
        (
            audit.RULES_CHANGED,
            {"calls_until": "21:00", "before": {"calls_until": "20:00"}},
            "Admin of Ours changed the rules: calls until 20:00 → 21:00",
        ),
        (
            audit.RULES_CHANGED,
            {
                **{"days": 0b11111, "allowed_countries": ["BR", "PT"], "allows_costly_numbers": True},
                **{"may_play": "admin", "gone_rule": 5},
                "before": {"days": 0b1111111, "allowed_countries": [], "allows_costly_numbers": False},
            },
            "Admin of Ours changed the rules: days Mon, Tue, Wed, Thu, Fri, Sat, Sun → Mon, Tue, Wed, Thu, Fri;"
            " who may play recordings Admin; gone_rule 5; countries – → Brazil, Portugal;"
            " premium, shared-cost and personal numbers, satellites no → yes",
        ),
        (audit.NUMBER_LISTED, {"number": "+5511987654321"}, "Admin of Ours put +55 11 98765-4321 on the do-not-call"),
        (audit.NUMBERS_IMPORTED, {"added": 3, "invalid": 0}, "imported numbers not to call: 3 added, 0 left out"),
        (
            audit.REFUSED,
            {"what": "call", "code": "costly_number", "contact": None, "to": "+881612345678"},
            "Admin of Ours was refused: a call to +881 6 123 45678. This is a premium, shared-cost or satellite number",
        ),
        (
            audit.REFUSED,
            {"what": "GET /twilio/", "code": "permission_denied"},
            "Admin of Ours was refused: GET /twilio/ is not for their role",
        ),
        *(
            (
                audit.ORGANIZATION_CHANGED,
                {"name": name, "before": {"name": "admin"}},
                f"Admin of Ours changed the organization: name admin → {name}",
            )
            for name in ("rep", "Loja +1 650-253-0000 Ltda", "+5511987654321")
        ),
        (
            audit.MEMBER_CHANGED,
            {"member": "rep", "role": "manager", "phone_number": "+5511987654321", "before": {"role": "rep"}},
            "Admin of Ours changed rep: role Rep → Manager; phone +55 11 98765-4321",
        ),
        (
            audit.RULES_CHANGED,
            {"daily_spend_cap": "1500.00", "before": {"daily_spend_cap": "200.00"}},
            "200.00 → 1,500.00",
        ),
        ("something.new", {"x": 1}, "Admin of Ours: something.new"),
    ],
    ids=str,
)
def test_an_entry_is_a_sentence(ours: Company, action: str, details: dict[str, Any], expected: str) -> None:
    assert expected in said(ours, note(ours, action, ours.admin, **details))


def test_the_system_and_who_is_no_member_are_named_too(ours: Company, theirs: Company) -> None:
    assert said(ours, note(ours, audit.RECORDING_DELETED, call="x")) == "The system deleted a recording"
    entry = note(ours, audit.EXPORTED, ours.rep)
    assert sentence_of(entry, {}) == f"{ours.rep.user.email} exported the audit"


def test_the_page_speaks_the_readers_language(ours: Company, client_of: Sessions) -> None:
    set_rules(organization=ours.organization, by=ours.admin, days=1)
    page = client_of(ours.admin).get("/audit/", headers={"Accept-Language": "pt-br"})
    assert page["Content-Language"] == "pt-br"
    with translation.override("pt-br"):
        assert str(translation.gettext("calls from")) == "ligações a partir de"
    assert "Seg" in page.content.decode()
    set_rules(organization=ours.organization, by=ours.admin, daily_spend_cap=Decimal("1500.50"))
    page = client_of(ours.admin).get("/audit/", headers={"Accept-Language": "pt-br"})
    assert "200,00 → 1.500,50" in page.content.decode()


def test_what_was_done_shows_newest_first_and_to_admins_only(
    ours: Company, theirs: Company, client_of: Sessions
) -> None:
    set_rules(organization=ours.organization, by=ours.admin, calls_until=time(20))
    add_number(member=ours.rep, number="+5511987654321")
    add_number(member=theirs.rep, number="+5521955500201")
    browser = client_of(ours.admin)
    assert lines(browser)[:2] == [
        "Rep of Ours put +55 11 98765-4321 on the do-not-call list",
        "Admin of Ours changed the rules: calls until – → 20:00",
    ]
    page = browser.get("/audit/").content.decode()
    assert "95550-0201" not in page
    assert 'aria-current="page">Audit</a>' in page
    for member in (ours.rep, ours.manager):
        assert client_of(member).get("/audit/").status_code == 403


def test_filters_narrow_stay_in_the_address_and_are_the_exports(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.admin)
    early = note(ours, audit.NUMBER_LISTED, ours.rep, number="+5511987654321")
    late = note(ours, audit.NUMBER_LISTED, ours.admin, number="+551132345678")
    happened(early, "2026-11-02T02:59:59Z")  # the first of November in São Paulo
    happened(late, "2026-11-05T23:00:00Z")
    listed = {"action": audit.NUMBER_LISTED}
    assert len(lines(browser, **listed)) == 2
    assert len(lines(browser, **listed, user=str(ours.rep.user_id))) == 1
    assert len(lines(browser, **listed, since="2026-11-02")) == 2
    assert len(lines(browser, **listed, since="2026-11-02", zone="America/Sao_Paulo")) == 1
    assert len(lines(browser, **listed, until="2026-11-05")) == 2, "The last day is included."
    assert len(lines(browser, **listed, until="2026-11-04")) == 1
    assert lines(browser, action=audit.TWILIO_PROMOTED) == []
    kept = {"action": audit.NUMBER_LISTED, "since": "2026-11-02", "until": "2026-11-06", "zone": "America/Sao_Paulo"}
    answer = browser.get("/audit/", kept)
    page = answer.content.decode()
    assert 'value="2026-11-02"' in page
    assert '<option value="do_not_call.added" selected>' in page
    export = browser.get(answer.context["export"])
    exported = b"".join(export.streaming_content).decode()  # type: ignore[attr-defined]
    assert len(exported.strip().splitlines()) == 2
    assert "+551132345678" in exported


@pytest.mark.parametrize(
    ("filters", "said_beside"),
    [
        ({"action": "nothing"}, "nothing is not one of the available choices"),
        ({"user": "nobody"}, "nobody is not one of the available choices"),
        ({"since": "yesterday"}, "Enter a valid date."),
        ({"until": "9999-12-31"}, "less than or equal to"),
        ({"since": "2026-11-05", "until": "2026-11-04"}, "This is before the first day."),
        ({"since": "2026-11-05", "zone": "../../etc/passwd"}, ""),
        ({"since": "2026-11-05", "zone": "\x00"}, ""),
        ({"before": "x"}, ""),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_filter_stands_beside_it(
    ours: Company, client_of: Sessions, filters: dict[str, str], said_beside: str
) -> None:
    page = client_of(ours.admin).get("/audit/", filters).content.decode()
    assert said_beside in page.partition('class="bad-why"')[2]


def test_a_stranger_is_no_choice_and_finds_nothing(ours: Company, theirs: Company, client_of: Sessions) -> None:
    page = client_of(ours.admin).get("/audit/", {"user": str(theirs.rep.user_id)}).content.decode()
    assert theirs.rep.user.email not in page
    assert Api(ours.admin).get(f"audit/?user={theirs.rep.user_id}").json()["results"] == []


def test_entries_come_in_pages_without_a_gap(ours: Company, client_of: Sessions, monkeypatch: Any) -> None:
    monkeypatch.setattr("crm.views_audit.PAGE_ROWS", 2)
    for number in range(5):
        note(ours, audit.NUMBERS_IMPORTED, ours.admin, added=number, invalid=0)
    browser, address, seen = client_of(ours.admin), "?action=do_not_call.imported", []
    for _ in range(3):
        answer = browser.get(f"/audit/{address}", headers={"HX-Request": "true", "HX-Target": "more-lines"})
        assert b"<html" not in answer.content
        seen += [line.entry.details["added"] for line in answer.context["lines"]]
        address = f"?{answer.context['older']}"
    assert (seen, address) == ([4, 3, 2, 1, 0], "?")


def test_a_recordings_entry_leads_to_its_call(ours: Company, client_of: Sessions) -> None:
    note(ours, audit.RECORDING_PLAYED, ours.manager, recording=str(ours.id), call=str(ours.id))
    page = client_of(ours.admin).get("/audit/", {"action": audit.RECORDING_PLAYED}).content.decode()
    assert f'href="/calls/{ours.id}/"' in page


def test_an_audit_in_which_nothing_is_says_what_will_be(ours: Company, client_of: Sessions) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM crm_auditentry WHERE organization_id = %s", [ours.id])
    assert "Changes of the rules" in client_of(ours.admin).get("/audit/").content.decode()
    narrowed = client_of(ours.admin).get("/audit/", {"action": audit.EXPORTED}).content.decode()
    assert "Nothing matches these filters" in narrowed


def test_the_filter_offers_every_action() -> None:
    assert [action for action, _name in choices()] == list(audit.ACTIONS)
