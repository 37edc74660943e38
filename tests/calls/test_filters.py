"""The filters of the REST list that the history's page has too, and the filtered set as a file."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls import api_export, queries
from calls.models import CallLog
from crm import audit, tenancy
from crm.models import AuditEntry, Contact, Membership
from crm.search import FEW, few
from tests.conftest import Api, Company, phone
from tests.crm.rows import make_call

ApiOf = Callable[[Membership], Api]


def found(api: Api, query: str = "") -> list[str]:
    """The ids that the list answers."""
    answer = api.get(f"calls/?{query}")
    assert answer.status_code == 200, answer.content
    return [call["id"] for call in answer.json()["results"]]


def test_each_filter_finds_what_it_says(ours: Company, api_of: ApiOf) -> None:
    number = phone()
    over: dict[str, Any] = {"stage": "ended"}
    talked = make_call(ours, status="completed", duration_seconds=90, disposition="interested", **over)
    busy = make_call(ours, ours.rep2, status="busy", unanswered_by="contact", to_number=number, **over)
    missed = make_call(ours, ours.admin, status="failed", unanswered_by="agent", duration_seconds=0, **over)
    live = make_call(ours, ours.manager, status="in-progress", stage="talking")
    adopted = make_call(ours, status="completed", **over)
    with tenancy.inside(ours.id):
        CallLog.objects.filter(pk=adopted.pk).update(user=None)
    api = api_of(ours.manager)
    everything = [adopted, live, missed, busy, talked]
    for query, expected in (
        ("", everything),
        (f"number={number[-7:]}", [busy]),
        (f"number={number[3:5]} {number[5:]}", [busy]),
        ("number=Ana", []),
        ("disposition=interested", [talked]),
        ("disposition=interested&disposition=busy", [talked]),
        ("needs_outcome=true", [busy]),
        ("needs_outcome=false", [adopted, live, missed, talked]),
        ("is_live=true", [live]),
        ("is_live=false&needs_outcome=false", [adopted, missed, talked]),
        ("unanswered_by=agent", [missed]),
        ("unanswered_by=agent&unanswered_by=contact", [missed, busy]),
        ("duration_min=90", [talked]),
        ("duration_max=89", [missed]),
        ("duration_min=1&duration_max=2147483647", [talked]),
        (f"user={ours.rep2.user.pk}", [busy]),
        (f"search={number[-7:]}", [busy]),
    ):
        assert found(api, query) == [str(call.pk) for call in expected], query


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("duration_min=-1", "duration_min", "min_value"),
        ("duration_max=2147483648", "duration_max", "max_value"),
        ("duration_max=long", "duration_max", "invalid"),
        ("disposition=never", "disposition", "invalid_choice"),
        ("unanswered_by=nobody", "unanswered_by", "invalid_choice"),
        ("needs_outcome=perhaps", "needs_outcome", "invalid_choice"),
        ("is_live=perhaps", "is_live", "invalid_choice"),
        (f"number={'1' * 101}", "number", "max_length"),
    ],
)
@pytest.mark.parametrize("path", ["calls/", "calls/export.csv"])
def test_a_bad_filter_is_refused_by_name(
    ours: Company, api_of: ApiOf, path: str, query: str, field: str, code: str
) -> None:
    answer = api_of(ours.manager).get(f"{path}?{query}")
    assert answer.status_code == 400
    assert [(error["attr"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


def test_the_document_tells_the_filters_of_list_and_file(client: Client) -> None:
    document = client.get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    for path in ("/api/v1/calls/", "/api/v1/calls/export.csv"):
        told = {one["name"]: one["schema"] for one in document["paths"][path]["get"]["parameters"]}
        assert told["duration_min"]["type"] == told["duration_max"]["type"] == "integer"
        assert told["needs_outcome"]["type"] == told["is_live"]["type"] == "boolean"
        assert told["unanswered_by"]["type"] == told["disposition"]["type"] == "array"
        assert "meeting" in told["disposition"]["items"]["enum"]
        assert told["number"] == {"type": "string"}
    assert {"cursor", "page_size"} <= {
        one["name"] for one in document["paths"]["/api/v1/calls/"]["get"]["parameters"]
    }, "The list has pages, and the file none."
    assert "cursor" not in told
    assert list(document["paths"]["/api/v1/calls/export.csv"]["get"]["responses"]["200"]["content"]) == ["text/csv"]


# Search


def test_a_fragment_is_found_by_the_index_or_without_it_alike(
    ours: Company, api_of: ApiOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tenancy.inside(ours.id):
        contact = Contact.objects.create(name="100%_João\\ da Silva")
    named = make_call(ours, contact=contact, to_number="+551140028922")
    caller = make_call(ours, ours.rep2, contact=None, from_number="+551140028922")
    make_call(ours, ours.manager)
    api = api_of(ours.manager)
    questions = {
        "4002-8922": [caller, named],
        "0028": [caller, named],
        "JOÃO": [named],
        "joão\\ da": [named],
        "%25_J": [named],
        "%25_": [named],
        "1000%25_": [],
        "da silva 4002": [caller, named],
        "da silva 55": [],
    }
    for limit in (FEW, -1):
        monkeypatch.setattr("crm.search.FEW", limit)
        for text, expected in questions.items():
            assert found(api, f"search={text}") == [str(call.pk) for call in expected], (limit, text)


def test_more_than_a_few_are_left_to_the_plain_filter(ours: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    make_call(ours, status="completed", stage="ended")
    make_call(ours, ours.rep2)
    with tenancy.inside(ours.id):
        for limit, is_known in ((1, False), (2, True)):
            monkeypatch.setattr("crm.search.FEW", limit)
            assert (few("calls_search", text="contact", digits="") is not None) is is_known
        assert few("calls_search", text="co", digits="") is None
        assert few("calls_search", text="", digits="12") is None


def test_the_searches_plan_is_an_index_once_there_are_rows_enough(ours: Company) -> None:
    with tenancy.inside(ours.id):
        CallLog.objects.bulk_create(
            CallLog(
                organization=ours.organization,
                user=ours.rep.user,
                from_number=ours.number,
                to_number=f"+5511{900_000_000 + place * 7919}",
                status="completed",
                stage="ended",
            )
            for place in range(5000)
        )
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) calls_calllog")
    with tenancy.inside(ours.id), connection.cursor() as cursor:
        before = scans(cursor)
        rare = str(900_000_000 + 4321 * 7919)
        assert len(few("calls_search", text=rare, digits=rare) or []) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        assert scans(cursor) > before


def scans(cursor: Any) -> int:
    """How often the trigrams of calls' numbers were used."""
    cursor.execute("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'calls_by_part_of_a_number'")
    return cursor.fetchone()[0]


# The file


def lines(answer: Any) -> list[dict[str, str]]:
    """The file's rows by its first line, as a spreadsheet reads it."""
    assert answer.status_code == 200
    text = answer.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_file_holds_every_column_by_name_with_times_in_utc(ours: Company, api_of: ApiOf) -> None:
    at = timezone.now().replace(microsecond=0)
    call = make_call(
        ours,
        opportunity=ours.opportunity,
        status="completed",
        stage="ended",
        started_at=at,
        answered_at=at + timedelta(seconds=9),
        ended_at=at + timedelta(seconds=70),
        duration_seconds=61,
        ended_by="contact",
        disposition="meeting",
        notes="Terça, às 9h\n“até lá”",
        price="-0.01400",
        price_unit="USD",
    )
    answer = api_of(ours.manager).get("calls/export.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="calls.csv"'
    assert "no-store" in answer["Cache-Control"]
    [row] = lines(answer)
    assert list(row) == list(queries.EXPORTED)
    assert {name: row[name] for name in row if name != "created_at"} == {
        "id": str(call.pk),
        "started_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "answered_at": f"{at + timedelta(seconds=9):%Y-%m-%dT%H:%M:%SZ}",
        "ended_at": f"{at + timedelta(seconds=70):%Y-%m-%dT%H:%M:%SZ}",
        "direction": "outbound",
        "status": "completed",
        "rep": "Rep of Ours",
        "rep_email": ours.rep.user.email,
        "contact": "Contact of Ours",
        "company": "Ours Ltda",
        "from_number": f"'{ours.number}",
        "to_number": f"'{ours.contact_number}",
        "duration_seconds": "61",
        "unanswered_by": "",
        "ended_by": "contact",
        "outcome": "meeting",
        "notes": "Terça, às 9h\n“até lá”",
        "opportunity": "A deal",
        "recording_seconds": "",
        "price": "-0.01400",
        "price_unit": "USD",
        "error_code": "",
        "contact_id": str(ours.contact.pk),
        "opportunity_id": str(ours.opportunity.pk),
    }


def test_no_cell_of_the_file_is_a_formula(ours: Company, api_of: ApiOf) -> None:
    texts = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("https://example.com")')
    for text in texts:
        with tenancy.inside(ours.id):
            contact = Contact.objects.create(name=text, company=text)
        make_call(ours, contact=contact, notes=text, status="completed", stage="ended")
    rows = lines(api_of(ours.manager).get("calls/export.csv"))
    assert [row["notes"] for row in rows] == [row["contact"] for row in rows] == [f"'{text}" for text in texts[::-1]]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_the_file_is_what_the_filters_find_of_what_one_may_see(
    ours: Company, theirs: Company, api_of: ApiOf, client_of: Callable[[Membership], Client]
) -> None:
    own = make_call(ours, status="busy", stage="ended")
    colleagues = make_call(ours, ours.rep2, status="completed", stage="ended")
    make_call(theirs, status="busy", stage="ended")
    make_call(ours, ours.manager, is_test=True, status="completed", stage="ended")

    def ids(member: Membership, query: str = "") -> list[str]:
        return [row["id"] for row in lines(api_of(member).get(f"calls/export.csv?{query}"))]

    assert ids(ours.rep) == ids(ours.rep, f"search={ours.contact_number[-6:]}") == [str(own.pk)]
    assert ids(ours.rep, f"user={ours.rep2.user.pk}") == []
    for member in (ours.manager, ours.admin):
        assert ids(member) == [str(colleagues.pk), str(own.pk)]
        assert ids(member, "status=busy") == [str(own.pk)]
    page = client_of(ours.rep).get("/api/v1/calls/export.csv")
    assert [row["id"] for row in lines(page)] == [str(own.pk)]


def test_an_export_is_written_down_with_who_what_and_how_many(ours: Company, api_of: ApiOf) -> None:
    make_call(ours, status="busy", stage="ended")
    make_call(ours, ours.rep2, status="busy", stage="ended")
    api = api_of(ours.manager)
    assert api.get("calls/export.csv?status=never").status_code == 400
    lines(api.get("calls/export.csv?status=busy&status=failed&page=2"))
    with tenancy.inside(ours.id):
        entries = AuditEntry.objects.filter(action=audit.CALLS_EXPORTED)
        [(user_id, details)] = entries.values_list("user_id", "details")
    assert user_id == ours.manager.user_id
    assert details == {"filters": {"status": "busy, failed"}, "count": 2}
    told = api_of(ours.admin).get("audit/?action=calls.exported").json()["results"]
    assert len(told) == 1


def test_the_file_comes_in_parts_with_no_transaction_open_between_them(
    ours: Company, theirs: Company, api_of: ApiOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_export, "CHUNK", 2)
    made = [make_call(ours, status="busy", stage="ended") for _ in range(5)]
    make_call(theirs, status="busy", stage="ended")
    answer = api_of(ours.manager).get("calls/export.csv")
    parts = iter(answer.streaming_content)
    text = next(parts).decode("utf-8-sig")
    with CaptureQueriesContext(connection) as asked:
        for part in parts:
            assert not connection.in_atomic_block, "The reader's pace would hold it open."
            with pytest.raises(tenancy.NoOrganization):
                tenancy.current_organization_id()
            text += part.decode()
    assert [row["id"] for row in csv.DictReader(io.StringIO(text))] == [str(call.pk) for call in reversed(made)]
    assert sum("calls_calllog" in query["sql"] for query in asked.captured_queries) == 3
    answer.close()
