"""The REST API's core: who is asking, contacts, tokens, the one shape of errors, and the document that describes it."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from crm import tenancy
from crm.access import member_of_token, token_digest
from crm.models import ApiToken, Contact, ContactNumber, Membership, Organization, User
from crm.services import create_token
from tests.conftest import Api, Company
from tests.crm.rows import make_call

ApiOf = Callable[[Membership], Api]

# Written down, not drawn: each worker process must collect the same tests.
NOBODYS = "01890000-0000-7000-8000-000000000000"


def with_token(token: str) -> Client:
    """A machine with this bearer token."""
    return Client(headers={"Authorization": f"Bearer {token}"})


def error_of(answer: Any) -> dict[str, Any]:
    """The one error of an answer, whose shape is the promised one."""
    body = answer.json()
    assert set(body) == {"type", "errors"}
    assert body["type"] in ("client_error", "validation_error", "server_error")
    for error in body["errors"]:
        assert {"code", "detail", "attr"} <= set(error)
        assert error["code"]
        assert error["detail"]
    return dict(body["errors"][0])


# Who am I


@pytest.mark.parametrize("role", ["admin", "manager", "rep"])
def test_me_is_the_member_whom_the_token_stands_for(ours: Company, api_of: ApiOf, role: str) -> None:
    member = getattr(ours, role)
    assert api_of(member).get("me/").json() == {
        "id": str(member.pk),
        "user": str(member.user_id),
        "email": member.user.email,
        "name": member.user.name,
        "organization": str(ours.id),
        "organization_name": ours.organization.name,
        "role": role,
        "phone_number": member.phone_number,
        "phone_checked_at": None,
    }


def test_a_users_token_and_session_are_each_of_one_organization(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client]
) -> None:
    with tenancy.inside(theirs.id):
        second = Membership.objects.create(user=ours.rep.user, role="admin")
    assert [
        with_token(create_token(member=member)).get("/api/v1/me/").json()["organization"]
        for member in (ours.rep, second)
    ] == [str(ours.id), str(theirs.id)]
    assert client_of(second).get("/api/v1/me/").json()["role"] == "admin"
    assert client_of(ours.rep).get("/api/v1/me/").json()["role"] == "rep"


def test_a_user_without_a_membership_is_told_so() -> None:
    client = Client()
    client.force_login(User.objects.create_user(f"{uuid4()}@nowhere.example"))
    answer = client.get("/api/v1/me/")
    assert answer.status_code == 403
    assert error_of(answer)["code"] == "permission_denied"


# Contacts


@pytest.fixture
def people(ours: Company) -> dict[str, Contact]:
    """Four contacts whom a search tells apart."""
    known = {
        "João Ávila": ("Padaria Ótima", ["+551133334444", "+5511933334444"]),
        "Maria Silva": ("Construtora Norte", ["+552122225555"]),
        "100% Real_Name": ("Fifty\\Fifty", []),
        "Zoë": ("", ["+442071838750"]),
    }
    made = {}
    with tenancy.inside(ours.id):
        for name, (company, numbers) in known.items():
            made[name] = Contact.objects.create(name=name, company=company)
            for position, number in enumerate(numbers):
                ContactNumber.objects.create(contact=made[name], number=number, position=position)
    return made


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("silva", {"Maria Silva"}),
        ("joão", {"João Ávila"}),
        ("ÁVILA", {"João Ávila"}),
        ("padaria ó", {"João Ávila"}),
        ("3333-4444", {"João Ávila"}),
        ("(21) 2222", {"Maria Silva"}),
        ("+44 20 7183", {"Zoë"}),
        ("  maria  ", {"Maria Silva"}),
        ("%", {"100% Real_Name"}),
        ("l_n", {"100% Real_Name"}),
        ("fifty\\", {"100% Real_Name"}),
        ("nobody at all", set()),
        ("';--", set()),
        ("\x00", None),
        ("silva\x00", None),
        ("☎" * 1000, set()),
    ],
)
def test_contacts_are_found_by_name_company_or_a_fragment_of_a_number(
    ours: Company, people: dict[str, Contact], api_of: ApiOf, search: str, found: set[str] | None
) -> None:
    answer = api_of(ours.rep).get("contacts/", query_params={"search": search})
    assert answer.status_code == 200, answer.content
    names = [row["name"] for row in answer.json()["results"]]
    assert len(names) == len(set(names)), "Two numbers that match do not make two contacts."
    if found is not None:
        assert set(names) == found


def test_without_a_search_all_contacts_come_by_name_with_their_numbers_the_default_first(
    ours: Company, people: dict[str, Contact], api_of: ApiOf
) -> None:
    rows = api_of(ours.rep).get("contacts/").json()["results"]
    assert [row["name"] for row in rows] == sorted([*people, ours.contact.name])
    joao = next(row for row in rows if row["name"] == "João Ávila")
    assert joao["numbers"] == [{"number": "+551133334444", "label": ""}, {"number": "+5511933334444", "label": ""}]
    assert (joao["organization"], joao["owner"], joao["company"]) == (str(ours.id), None, "Padaria Ótima")
    assert api_of(ours.rep).get(f"contacts/{joao['id']}/").json() == joao


@pytest.mark.parametrize("size", ["1", "7", "200", "1000", "0", "-1", "x"])
def test_pages_of_contacts_show_each_once_even_under_one_name(ours: Company, api_of: ApiOf, size: str) -> None:
    with tenancy.inside(ours.id):
        Contact.objects.bulk_create(
            Contact(organization=ours.organization, name=f"Name {number // 12}") for number in range(30)
        )
        expected = {str(pk) for pk in Contact.objects.values_list("pk", flat=True)}
    client = api_of(ours.rep).client
    seen: list[str] = []
    url: str | None = f"/api/v1/contacts/?page_size={size}"
    while url:
        answer = client.get(url)
        assert answer.status_code == 200
        page = answer.json()
        assert len(page["results"]) <= 200
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert len(seen) == len(expected)
    assert set(seen) == expected


def cursor(text: str) -> str:
    """A cursor as the framework writes it."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("path", ["contacts/", "calls/"])
@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        "é",
        "%%%",
        cursor(""),
        cursor("p=abc"),
        cursor("o=-1"),
        cursor("o=9" * 9),
        cursor("p=%00"),
        cursor("r=1&p=%ff"),
    ],
)
def test_a_forged_cursor_is_an_ordinary_error_or_an_ordinary_page(
    ours: Company, api_of: ApiOf, path: str, forged: str
) -> None:
    answer = api_of(ours.rep).get(path, query_params={"cursor": forged})
    assert answer.status_code in (200, 404)
    if answer.status_code == 404:
        assert error_of(answer)["code"] == "not_found"


@pytest.mark.parametrize("forged", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:59", "2026-02-30", "\x00"])
def test_a_forged_cursor_of_a_list_by_time_is_an_ordinary_error(ours: Company, api_of: ApiOf, forged: str) -> None:
    call = make_call(ours)
    page = cursor(f"p={quote(forged)}")
    answer = api_of(ours.rep).get(f"calls/{call.pk}/callbacks/", query_params={"cursor": page})
    assert answer.status_code == 404
    assert error_of(answer)["code"] == "not_found"


# Tokens


def test_create_token_prints_a_token_that_works_and_keeps_only_its_digest(ours: Company) -> None:
    said = io.StringIO()
    call_command("create_token", ours.rep.user.email.upper(), ours.organization.slug, name="CI", stdout=said)
    token = said.getvalue().strip()
    assert said.getvalue() == f"{token}\n"
    assert token.startswith("ctc_")
    assert with_token(token).get("/api/v1/me/").json()["user"] == str(ours.rep.user_id)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT to_jsonb(t)::text FROM crm_apitoken t WHERE organization_id = %s", [ours.id])
        [(row,)] = cursor.fetchall()
    assert json.loads(row)["digest"] == token_digest(token)
    assert json.loads(row)["name"] == "CI"
    assert token.rpartition("_")[2] not in row
    assert token not in row


def test_create_token_takes_the_organizations_id_too_and_makes_another_each_time(ours: Company) -> None:
    made = []
    for _ in range(2):
        said = io.StringIO()
        call_command("create_token", ours.rep.user.email, str(ours.id), stdout=said)
        made.append(said.getvalue())
    assert made[0] != made[1]


@pytest.mark.parametrize(
    "wrong", ["e-mail", "organization", "inactive member", "inactive user", "inactive organization"]
)
def test_create_token_refuses_whoever_is_not_an_active_member(ours: Company, theirs: Company, wrong: str) -> None:
    email, organization = ours.rep.user.email, ours.organization.slug
    if wrong == "e-mail":
        email = "nobody@nowhere.example"
    elif wrong == "organization":
        organization = theirs.organization.slug
    else:
        deactivate(ours, wrong)
    said = io.StringIO()
    with pytest.raises(CommandError, match="is not an active member"):
        call_command("create_token", email, organization, stdout=said)
    assert said.getvalue() == ""


def deactivate(company: Company, what: str) -> None:
    """Switch the rep's membership, user or organization off, or revoke the token."""
    if what == "inactive user":
        User.objects.filter(pk=company.rep.user_id).update(is_active=False)
    elif what == "inactive organization":
        Organization.objects.filter(pk=company.id).update(is_active=False)
    else:
        with tenancy.inside(company.id):
            if what == "inactive member":
                Membership.objects.filter(pk=company.rep.pk).update(is_active=False)
            else:
                ApiToken.objects.update(revoked_at=timezone.now())


OFF = ["inactive member", "inactive user", "inactive organization", "revoked"]


@pytest.mark.parametrize("what", OFF)
def test_a_token_stops_at_once_when_it_is_revoked_or_its_member_is_gone(
    ours: Company, api_of: ApiOf, what: str
) -> None:
    api = api_of(ours.rep)
    assert api.get("me/").status_code == 200
    deactivate(ours, what)
    answer = api.get("me/")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert error_of(answer)["code"] == "authentication_failed"


@pytest.mark.parametrize("what", OFF[:3])
def test_a_session_stops_at_once_when_its_member_is_gone(
    ours: Company, client_of: Callable[[Membership], Client], what: str
) -> None:
    client = client_of(ours.rep)
    deactivate(ours, what)
    assert client.get("/api/v1/me/").status_code in (401, 403)


def test_a_token_notes_when_it_was_last_used_once_a_minute(ours: Company, api_of: ApiOf) -> None:
    api = api_of(ours.rep)

    def used() -> Any:
        with tenancy.inside(ours.id):
            return ApiToken.objects.get().last_used_at

    assert used() is None
    api.get("me/")
    first = used()
    api.get("me/")
    assert used() == first is not None


def test_a_token_is_no_good_with_another_organization_written_into_it(ours: Company, theirs: Company) -> None:
    token = create_token(member=ours.rep)
    assert member_of_token(token) is not None
    assert member_of_token(token.replace(ours.id.hex, theirs.id.hex)) is None
    assert member_of_token(token.replace(ours.id.hex, uuid4().hex)) is None


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        "bearer x",
        "Bearer ctc",
        "Bearer ctc_",
        "Bearer ctc__",
        "Bearer ctc_zz_secret",
        "Bearer ctc_00000000000000000000000000000000_",
        "Bearer ctc_00000000000000000000000000000000_secret",
        "Bearer ctc_{urn:uuid:00000000-0000-0000-0000-000000000000}_s",
        "Bearer ctc_00000000000000000000000000000000_\x00",
        "Bearer ctc_00000000000000000000000000000000_é",
        "Bearer \udcff\udcfe",
        "Bearer " + "ctc_" * 5000,
        "Basic dXNlcjpwYXNz",
        "Token abc",
        "",
        " ",
        "\x00",
    ],
)
def test_a_malformed_token_is_401_and_nothing_worse(authorization: str) -> None:
    for answer in (
        Client().get("/api/v1/me/", HTTP_AUTHORIZATION=authorization),
        Client().post("/api/v1/calls/", "{}", content_type="application/json", HTTP_AUTHORIZATION=authorization),
    ):
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert error_of(answer)["code"] in ("not_authenticated", "authentication_failed")


def test_a_bearer_token_counts_and_not_the_session_beside_it(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client]
) -> None:
    client = client_of(ours.rep)
    token = create_token(member=theirs.rep)
    told = client.get("/api/v1/me/", headers={"Authorization": f"Bearer {token}"}).json()
    assert told["organization"] == str(theirs.id)
    assert client.get("/api/v1/me/", headers={"Authorization": "Bearer wrong"}).status_code == 401


# Sessions and CSRF


def test_a_session_needs_the_csrf_token_to_change_something_and_none_to_read(ours: Company) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ours.rep.user)
    assert client.get("/api/v1/me/").status_code == 200
    body: dict[str, Any] = {"data": "{}", "content_type": "application/json"}
    refused = client.post("/api/v1/calls/", **body)
    assert refused.status_code == 403
    assert "CSRF" in error_of(refused)["detail"]
    secret = "a" * 32
    client.cookies["csrftoken"] = secret
    assert client.post("/api/v1/calls/", **body, headers={"X-CSRFToken": "b" * 32}).status_code == 403
    # Past the check, the empty order is what is wrong.
    assert client.post("/api/v1/calls/", **body, headers={"X-CSRFToken": secret}).status_code == 400


def test_a_token_needs_no_csrf_token(ours: Company) -> None:
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {create_token(member=ours.rep)}"})
    assert client.post("/api/v1/calls/", "{}", content_type="application/json").status_code == 400


# Errors


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "status", "code"),
    [
        ("GET", "/api/v1/nothing/", "", "", 404, "not_found"),
        ("POST", "/api/v1/nothing/", "{}", "application/json", 404, "not_found"),
        ("GET", "/api/v1/", "", "", 404, "not_found"),
        ("GET", "/api/", "", "", 404, "not_found"),
        ("GET", "/api/v2/calls/", "", "", 404, "not_found"),
        ("GET", "/api/v1/calls/not-an-id/", "", "", 404, "not_found"),
        ("GET", f"/api/v1/calls/{NOBODYS}/", "", "", 404, "not_found"),
        ("GET", f"/api/v1/contacts/{NOBODYS}/", "", "", 404, "not_found"),
        ("DELETE", "/api/v1/me/", "", "", 405, "method_not_allowed"),
        ("POST", "/api/v1/calls/", "a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ("POST", "/api/v1/calls/", "{", "application/json", 400, "parse_error"),
        ("POST", "/api/v1/calls/", b"\xff", "application/json", 400, "parse_error"),
        ("POST", "/api/v1/calls/", "[]", "application/json", 400, "invalid"),
        ("POST", "/api/v1/calls/", "null", "application/json", 400, None),
        ("POST", "/api/v1/calls/", '"text"', "application/json", 400, "invalid"),
        ("POST", "/api/v1/calls/", "{}", "application/json", 400, "required"),
        ("POST", "/api/v1/calls/", '{"to": ""}', "application/json", 400, "required"),
        ("POST", "/api/v1/calls/", '{"to": {"a": 1}}', "application/json", 400, "invalid"),
        ("POST", "/api/v1/calls/", '{"to": "\\u0000"}', "application/json", 400, None),
        ("POST", "/api/v1/calls/", '{"contact": [1]}', "application/json", 400, "invalid"),
        ("POST", "/api/v1/calls/", '{"contact": "x"}', "application/json", 400, "invalid"),
        ("POST", "/api/v1/calls/", '{"to": "12"}', "application/json", 400, "invalid_number"),
        ("GET", "/api/v1/calls/?status=never", "", "", 400, "invalid_choice"),
        ("GET", "/api/v1/calls/?contact=x", "", "", 400, None),
        ("GET", "/api/v1/calls/?created_after=x", "", "", 400, "invalid"),
        ("GET", "/api/v1/calls/?created_after=0001-01-01T00:00:00%2B23:00", "", "", 400, "invalid"),
        ("GET", "/api/v1/calls/?created_before=9999-12-31T23:59:59-23:59", "", "", 400, "invalid"),
        ("GET", "/api/v1/calls/?has_recording=maybe", "", "", 400, "invalid_choice"),
        ("GET", "/api/v1/calls/?has_recording=%00", "", "", 400, None),
        ("GET", "/api/v1/calls/?search=%00", "", "", 400, None),
    ],
)
def test_every_error_has_the_one_shape(
    ours: Company, api_of: ApiOf, method: str, path: str, body: Any, content_type: str, status: int, code: str | None
) -> None:
    answer = api_of(ours.rep).client.generic(method, path, body, content_type=content_type)
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    error = error_of(answer)
    if code:
        assert error["code"] == code


def test_an_unknown_address_is_json_for_strangers_too() -> None:
    for path in ("/api/v1/nothing/", "/api/", "/api"):
        answer = Client().get(path)
        assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found"), path


def test_an_error_is_told_in_the_language_of_the_request(ours: Company, api_of: ApiOf) -> None:
    told = {
        language: error_of(
            api_of(ours.rep).client.get(f"/api/v1/calls/{uuid4()}/", headers={"Accept-Language": language})
        )
        for language in ("en", "pt-br")
    }
    assert told["en"]["code"] == told["pt-br"]["code"] == "not_found"


# The document


PROMISED = {
    "/api/v1/me/": {"get", "patch"},
    "/api/v1/contacts/": {"get", "post"},
    "/api/v1/contacts/{contact_id}/": {"get", "patch"},
    "/api/v1/opportunities/": {"get", "post"},
    "/api/v1/opportunities/{opportunity_id}/": {"get", "patch"},
    "/api/v1/follow-ups/": {"get", "post"},
    "/api/v1/follow-ups/{follow_up_id}/": {"get", "patch", "delete"},
    "/api/v1/notes/": {"get", "post"},
    "/api/v1/notes/{note_id}/": {"get", "patch", "delete"},
    "/api/v1/calls/": {"get", "post"},
    "/api/v1/calls/{call_id}/": {"get", "patch"},
    "/api/v1/calls/{call_id}/hangup/": {"post"},
    "/api/v1/calls/{call_id}/callbacks/": {"get"},
    "/api/v1/calls/{call_id}/recordings/": {"get"},
    "/api/v1/recordings/{recording_id}/audio": {"get"},
}


def test_the_openapi_document_is_made_without_a_warning_and_holds_what_is_promised(tmp_path: Any) -> None:
    call_command("spectacular", file=str(tmp_path / "schema.yaml"), validate=True, fail_on_warn=True)
    document = yaml.safe_load((tmp_path / "schema.yaml").read_text())
    paths = {path: set(methods) for path, methods in document["paths"].items()}
    assert {path: paths.get(path) for path in PROMISED} == PROMISED
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
    start = document["paths"]["/api/v1/calls/"]["post"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in start["parameters"]}
    assert "201" in start["responses"]


def test_the_document_and_its_pages_are_served_to_everybody() -> None:
    document = Client().get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert document.status_code == 200
    assert json.loads(document.content)["openapi"].startswith("3.")
    docs = Client().get("/api/v1/docs/")
    assert docs.status_code == 200
    assert b"//cdn" not in docs.content


def test_the_documents_page_may_show_its_own_style_and_no_other() -> None:
    """The framework's page brings it inline; its digest is pinned, so that an upgrade which changes it fails here."""
    docs = Client().get("/api/v1/docs/")
    [style] = re.findall(rb"<style>(.*?)</style>", docs.content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in docs["Content-Security-Policy"].split(";"))
    assert rules["style-src"] == f"'self' 'sha256-{digest}'"
    assert "unsafe-inline" not in docs["Content-Security-Policy"]
    assert "style-src" not in Client().get("/login/")["Content-Security-Policy"]


def test_what_the_api_answers_is_what_its_document_says(ours: Company, api_of: ApiOf) -> None:
    schema = json.loads(
        Client().get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).content
    )["components"]["schemas"]
    assert set(schema["Me"]["properties"]) == set(api_of(ours.rep).get("me/").json())
    contact = api_of(ours.rep).get(f"contacts/{ours.contact.pk}/").json()
    assert set(schema["Contact"]["properties"]) == set(contact)
    deal = api_of(ours.rep).get(f"opportunities/{ours.opportunity.pk}/").json()
    assert set(schema["Opportunity"]["properties"]) == set(deal)
