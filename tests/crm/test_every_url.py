"""Every address of the project, asked by those whom it is not for. A new address must be classified here."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings
from django.contrib.admindocs.utils import replace_named_groups
from django.db import connections
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from calls.addresses import callback_url
from calls.models import CallLog, Recording, Run
from crm.models import Contact, ContactImport, DoNotCall, FollowUp, Invitation, Membership, Note, Opportunity, SavedView
from crm.tenancy import tenant_models
from tests.conftest import Api, Company
from tests.crm.rows import one_of_each

OPEN = "everybody may look"
MEMBERS = "members only, each their own organization's"
ADMINS = "an organization's admins only"
ROW = "one row of an organization: missing for everybody else"
CALLBACK = "only what the organization's Twilio account has signed"
LINK = "whoever holds the link of an e-mail"
STEP = "a step of logging in, or of a way back in, that leads to its beginning"
PEOPLE = "whoever is signed in, about themselves"
MANAGERS = "an organization's managers and admins only"
NOWHERE = "there is nothing"

# What every address is. `api/` answers JSON and 401; the rest are pages, which lead to the log-in.
ADDRESSES = {
    "healthz": OPEN,
    "api/v1/schema/": OPEN,
    "api/v1/docs/": OPEN,
    "api/v1/me/": MEMBERS,
    "api/v1/me/test-call/": MEMBERS,
    "api/v1/twilio/": ADMINS,
    "api/v1/twilio/verify/": ADMINS,
    "api/v1/twilio/next-token/": ADMINS,
    "api/v1/twilio/promote/": ADMINS,
    "api/v1/twilio/numbers/": ADMINS,
    "api/v1/audit/": ADMINS,
    "api/v1/audit/export.csv": ADMINS,
    "api/v1/do-not-call/": MEMBERS,
    "api/v1/do-not-call/import/": ADMINS,
    "api/v1/do-not-call/<uuid:listed_id>/": ROW,
    "api/v1/organization/": MEMBERS,
    "api/v1/members/": MANAGERS,
    "api/v1/members/<uuid:member_id>/": ROW,
    "api/v1/invitations/": ADMINS,
    "api/v1/invitations/<uuid:invitation_id>/": ROW,
    "api/v1/invitations/<uuid:invitation_id>/send/": ROW,
    "api/v1/contacts/": MEMBERS,
    "api/v1/contacts/export.csv": MANAGERS,
    "api/v1/contacts/imports/": MANAGERS,
    "api/v1/contacts/imports/<uuid:import_id>/": ROW,
    "api/v1/contacts/imports/<uuid:import_id>/start/": ROW,
    "api/v1/contacts/imports/<uuid:import_id>/refused.csv": ROW,
    "api/v1/contacts/<uuid:contact_id>/": ROW,
    "api/v1/opportunities/": MEMBERS,
    "api/v1/opportunities/<uuid:opportunity_id>/": ROW,
    "api/v1/follow-ups/": MEMBERS,
    "api/v1/follow-ups/<uuid:follow_up_id>/": ROW,
    "api/v1/notes/": MEMBERS,
    "api/v1/notes/<uuid:note_id>/": ROW,
    "api/v1/organization/rules/": MEMBERS,
    "api/v1/organization/spend/": MEMBERS,
    "api/v1/calls/": MEMBERS,
    "api/v1/calls/export.csv": MEMBERS,
    "api/v1/calls/<uuid:call_id>/": ROW,
    "api/v1/calls/<uuid:call_id>/hangup/": ROW,
    "api/v1/calls/<uuid:call_id>/callbacks/": ROW,
    "api/v1/calls/<uuid:call_id>/recordings/": ROW,
    "api/v1/recordings/<uuid:recording_id>/": ROW,
    "api/v1/recordings/<uuid:recording_id>/audio": ROW,
    "api/v1/": NOWHERE,
    "^api(?:/|$)": NOWHERE,
    "webhooks/twilio/<organization_id>/calls/<call_id>/<kind>": CALLBACK,
    "": MEMBERS,
    "login/": OPEN,
    "logout/": STEP,
    "signup/": OPEN,
    "account/inactive/": OPEN,
    "account/confirm/": PEOPLE,
    "account/email/": PEOPLE,
    "account/email/sent/": OPEN,
    "account/email/verify/<str:key>/": LINK,
    "account/password/": PEOPLE,
    "account/password/set/": PEOPLE,
    "account/password/reset/": OPEN,
    "account/password/reset/sent/": OPEN,
    "account/password/reset/done/": OPEN,
    "account/password/reset/<uidb36>-<key>/": LINK,
    "account/second-factor/": PEOPLE,
    "account/second-factor/code/": STEP,
    "account/second-factor/confirm/": PEOPLE,
    "account/second-factor/app/": PEOPLE,
    "account/second-factor/app/remove/": PEOPLE,
    "account/second-factor/recovery-codes/": PEOPLE,
    "account/second-factor/recovery-codes/new/": PEOPLE,
    "account/second-factor/recovery-codes/download/": PEOPLE,
    "language/": OPEN,
    "profile/": MEMBERS,
    "profile/leave/": MEMBERS,
    "organization/": ADMINS,
    "organization/switch/": PEOPLE,
    "members/": MANAGERS,
    "members/<uuid:member_id>/": ROW,
    "members/invitations/<uuid:invitation_id>/": ROW,
    "invitations/<str:token>/": LINK,
    "rules/": ADMINS,
    "audit/": ADMINS,
    "do-not-call/": MEMBERS,
    "do-not-call/import/": ADMINS,
    "do-not-call/<uuid:listed_id>/remove/": ROW,
    "saved-views/": MEMBERS,
    "saved-views/<uuid:view_id>/delete/": ROW,
    "contacts/": MEMBERS,
    "contacts/new/": MEMBERS,
    "contacts/export.csv": MANAGERS,
    "contacts/import/": MANAGERS,
    "contacts/import/<uuid:import_id>/": ROW,
    "contacts/import/<uuid:import_id>/cancel/": ROW,
    "contacts/import/<uuid:import_id>/continue/": ROW,
    "contacts/import/<uuid:import_id>/refused.csv": ROW,
    "contacts/<uuid:contact_id>/": ROW,
    "contacts/<uuid:contact_id>/edit/": ROW,
    "contacts/<uuid:contact_id>/opportunities/new/": ROW,
    "contacts/<uuid:contact_id>/follow-ups/new/": ROW,
    "contacts/<uuid:contact_id>/notes/new/": ROW,
    "follow-ups/<uuid:follow_up_id>/": ROW,
    "follow-ups/<uuid:follow_up_id>/done/": ROW,
    "follow-ups/<uuid:follow_up_id>/delete/": ROW,
    "notes/<uuid:note_id>/": ROW,
    "notes/<uuid:note_id>/delete/": ROW,
    "opportunities/<uuid:opportunity_id>/": ROW,
    "opportunities/<uuid:opportunity_id>/edit/": ROW,
    "twilio/": ADMINS,
    "twilio/verify/": ADMINS,
    "twilio/next-token/": ADMINS,
    "twilio/promote/": ADMINS,
    "phone/test/": MEMBERS,
    "calls/": MEMBERS,
    "dashboard/": MEMBERS,
    "board/": MANAGERS,
    "calls/start/": MEMBERS,
    "calls/live/": MEMBERS,
    "calls/live/dismiss/": MEMBERS,
    "calls/<uuid:call_id>/": ROW,
    "calls/<uuid:call_id>/hangup/": ROW,
    "calls/<uuid:call_id>/player/": ROW,
    "calls/<uuid:call_id>/outcome/": ROW,
    "calls/<uuid:call_id>/note/": ROW,
    "runs/": MEMBERS,
    "runs/<uuid:run_id>/": ROW,
    "runs/<uuid:run_id>/next/": ROW,
    "runs/<uuid:run_id>/skip/": ROW,
    "runs/<uuid:run_id>/end/": ROW,
}
# Which row an id in an address means.
ROWS: dict[str, Any] = {
    "listed_id": DoNotCall,
    "contact_id": Contact,
    "opportunity_id": Opportunity,
    "call_id": CallLog,
    "recording_id": Recording,
    "member_id": Membership,
    "invitation_id": Invitation,
    "import_id": ContactImport,
    "view_id": SavedView,
    "follow_up_id": FollowUp,
    "note_id": Note,
    "run_id": Run,
}
# What stands in an e-mail's link; these are of no e-mail.
LINKED = {"key": "made-up", "uidb36": "1a", "token": "made_up"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Address:
    """One pattern of the URLconf."""

    route: str
    name: str
    parameters: tuple[str, ...]

    @property
    def kind(self) -> str:
        """How it is classified."""
        return ADDRESSES.get(self.route, "not classified")

    @property
    def is_api(self) -> bool:
        """Whether programs are spoken to, and not browsers."""
        return self.route.startswith("api/")

    def of(self, rows: dict[Any, Any]) -> str:
        """The path that names these rows."""
        known = {name: LINKED[name] if name in LINKED else rows[ROWS[name]].pk for name in self.parameters}
        return reverse(self.name, kwargs=known)


def walk(resolver: URLResolver, prefix: str = "") -> Iterator[Address]:
    """Every pattern below `resolver`; the operator's admin is tested as one below."""
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if pattern.namespace != "admin":
                yield from walk(pattern, route)
            continue
        assert isinstance(pattern, URLPattern)
        parameters = (*pattern.pattern.converters, *pattern.pattern.regex.groupindex)
        if "(?P<" in route:  # a regular expression is read as a path
            route = prefix + replace_named_groups(str(pattern.pattern)).strip("^$")
        yield Address(route, pattern.name or "", tuple(dict.fromkeys(parameters)))


EVERY = list(walk(get_resolver()))
row_addresses = pytest.mark.parametrize("address", [a for a in EVERY if a.kind == ROW], ids=lambda a: a.route)


def test_every_address_is_classified() -> None:
    assert {address.route for address in EVERY} == set(ADDRESSES), "Say in ADDRESSES what this address is."
    for address in EVERY:
        if address.kind == ROW:
            assert address.parameters, address.route
        elif address.kind not in (CALLBACK, LINK):
            assert not address.parameters, f"{address.route} takes an id: it is one row of somebody's."


def ask(client: Client, method: str, path: str) -> Any:
    """One request that asks for nothing special."""
    body = {} if method in ("GET", "HEAD") else {"data": "{}", "content_type": "application/json"}
    answer = client.generic(method, path, **body)
    answer.close()
    return answer


def everything_of(company: Company) -> str:
    """All that the organization's tables hold, as the owner of the schema reads it."""
    held = {}
    for model in tenant_models():
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                f"SELECT coalesce(jsonb_agg(t ORDER BY t::text), '[]')::text FROM {model._meta.db_table} t"
                " WHERE organization_id = %s",
                [company.id],
            )
            held[model.__name__] = cursor.fetchone()[0]
    return json.dumps(held)


def apart_from_refusals(everything: str) -> str:
    """The same without what is written down of a refusal: in the audit, and of callbacks in the set-up."""
    everything = json.dumps({name: rows for name, rows in json.loads(everything).items() if name != "AuditEntry"})
    return re.sub(r'\\"last_rejected_(at|why)\\": (null|\\"[^"]*\\")', "", everything)


@row_addresses
@pytest.mark.parametrize("way", ["token", "session"])
def test_a_strangers_row_is_missing(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client], address: Address, way: str
) -> None:
    rows = one_of_each(ours)
    nobodys = {model: model(**{model._meta.pk.name: theirs.id}) for model in ROWS.values()}
    before = everything_of(ours)
    for member in (theirs.rep, theirs.manager, theirs.admin):
        client = Api(member).client if way == "token" else client_of(member)
        told = {method: ask(client, method, address.of(rows)).status_code for method in METHODS}
        if way == "token" and not address.is_api:
            assert set(told.values()) == {302}, "A page takes no token: it asks for the log-in."
            continue
        assert set(told.values()) <= {404, 405}, told
        assert 404 in told.values(), told
        of_nothing = {method: ask(client, method, address.of(nobodys)).status_code for method in METHODS}
        assert of_nothing == told, "A row that exists is told apart from one that does not."
    assert everything_of(ours) == before


@row_addresses
def test_the_organizations_own_admin_finds_it(
    ours: Company, client_of: Callable[[Membership], Client], settings: Any, address: Address
) -> None:
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:1"  # nobody is called
    path = address.of(one_of_each(ours))
    told = {method: ask(client_of(ours.admin), method, path).status_code for method in METHODS}
    assert set(told.values()) - {404, 405}, f"This test would not tell a stranger from a member: {told}"
    assert 404 not in told.values()


@row_addresses
def test_a_session_that_names_another_organization_than_ones_own_changes_nothing(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client], address: Address
) -> None:
    client = client_of(theirs.admin)
    session = client.session
    session["organization"] = str(ours.id)
    session.save()
    assert {ask(client, method, address.of(one_of_each(ours))).status_code for method in METHODS} <= {404, 405}
    assert client.get("/api/v1/me/").json()["organization"] == str(theirs.id)


@pytest.mark.parametrize(
    "address", [a for a in EVERY if a.kind in (ROW, MEMBERS, MANAGERS, ADMINS, PEOPLE)], ids=lambda a: a.route
)
def test_nobody_gets_in_without_signing_in(ours: Company, address: Address) -> None:
    rows = one_of_each(ours)
    before = everything_of(ours)
    for method in METHODS:
        answer = ask(Client(), method, address.of(rows))
        if address.is_api:
            assert answer.status_code == 401, method
            assert answer["WWW-Authenticate"] == "Bearer"
        else:
            assert answer.status_code == 302, method
            assert answer["Location"].startswith(reverse(django_settings.LOGIN_URL) + "?next=")
    assert everything_of(ours) == before


@pytest.mark.parametrize("address", [a for a in EVERY if a.kind == OPEN], ids=lambda a: a.route)
def test_what_is_open_answers_everybody(address: Address) -> None:
    answer = Client().get(reverse(address.name))
    assert answer.status_code == 200 or reverse(django_settings.LOGIN_URL) not in answer["Location"]


@pytest.mark.parametrize("address", [a for a in EVERY if a.kind == MEMBERS], ids=lambda a: a.route)
@pytest.mark.parametrize("way", ["token", "session"])
def test_a_list_holds_no_strangers_rows(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client], address: Address, way: str
) -> None:
    rows = one_of_each(ours)
    one_of_each(theirs)
    client = Api(theirs.admin).client if way == "token" else client_of(theirs.admin)
    said = client.get(reverse(address.name)).getvalue().decode()
    secrets = [str(ours.id), ours.organization.name, ours.contact.name, ours.contact_number, ours.rep.user.email]
    for word in (*secrets, *(str(row.pk) for row in rows.values())):
        assert word not in said


@pytest.mark.parametrize("address", [a for a in EVERY if a.kind == ADMINS], ids=lambda a: a.route)
@pytest.mark.parametrize("way", ["token", "session"])
def test_what_is_for_admins_refuses_everybody_else_and_changes_nothing(
    ours: Company, client_of: Callable[[Membership], Client], settings: Any, address: Address, way: str
) -> None:
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:1"  # nobody is asked
    for member in (ours.rep, ours.manager):
        client = Api(member).client if way == "token" else client_of(member)
        if way == "token" and not address.is_api:
            continue  # a page takes no token: it asks for the log-in
        assert client.get("/api/v1/me/").status_code == 200  # which notes that a token was used
        before = apart_from_refusals(everything_of(ours))
        for method in METHODS:
            assert ask(client, method, reverse(address.name)).status_code in (403, 405), method
        assert apart_from_refusals(everything_of(ours)) == before
    told = {ask(client_of(ours.admin), method, reverse(address.name)).status_code for method in METHODS}
    assert told - {403, 405}, "This test would not tell an admin from a rep."


# Ids in a form


def test_nobody_works_in_an_organization_that_is_not_theirs(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client]
) -> None:
    client = client_of(theirs.admin)
    for wanted in (str(ours.id), "", "x", str(theirs.rep.pk)):
        assert client.post("/organization/switch/", {"organization": wanted}).status_code == 404
    assert client.get("/api/v1/me/").json()["organization"] == str(theirs.id)
    assert client.post("/organization/switch/", {"organization": str(theirs.id)}).status_code == 302


def test_a_page_calls_nobody_elses_contact_and_puts_away_nobody_elses_call(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client], settings: Any
) -> None:
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:1"  # nobody is called
    rows = one_of_each(ours)
    before = everything_of(ours), everything_of(theirs)
    client = client_of(theirs.rep)
    for headers in ({}, {"HX-Request": "true"}):
        assert client.post("/calls/start/", {"contact": str(ours.contact.pk)}, headers=headers).status_code == 404
        client.post("/calls/live/dismiss/", {"call": str(rows[CallLog].pk)}, headers=headers)
    assert (everything_of(ours), everything_of(theirs)) == before


# Callbacks: the organization in the path says whose signature is asked for


@pytest.mark.parametrize("kind", ["answer", "bridge", "key", "dial", "agent", "contact", "recording", "fallback"])
def test_another_organizations_valid_signature_opens_no_callback(ours: Company, theirs: Company, kind: str) -> None:
    rows = one_of_each(ours)
    call = rows[CallLog]
    before = apart_from_refusals(everything_of(ours))
    for signer, path_of, account in (
        (theirs, ours, theirs.account_sid),
        (theirs, ours, ours.account_sid),
        (theirs, theirs, theirs.account_sid),
        (theirs, theirs, ours.account_sid),
        (ours, theirs, ours.account_sid),
        (ours, theirs, theirs.account_sid),
    ):
        leg = "CA" + "c" * 32 if kind == "contact" else call.call_sid
        params = {"CallSid": leg, "ParentCallSid": call.call_sid, "AccountSid": account}
        url = callback_url(path_of.id, call.pk, kind)
        said = url + "".join(name + params[name] for name in sorted(params))
        signature = base64.b64encode(hmac.new(signer.auth_token.encode(), said.encode(), hashlib.sha1).digest())
        answer = Client().post(
            url.removeprefix(django_settings.PUBLIC_BASE_URL),
            urlencode(params),
            content_type="application/x-www-form-urlencoded",
            headers={"X-Twilio-Signature": signature.decode()},
        )
        assert answer.status_code == 403
    assert apart_from_refusals(everything_of(ours)) == before


# The operator's admin


def test_the_operators_admin_sends_members_and_strangers_to_its_own_log_in(
    ours: Company, client_of: Callable[[Membership], Client]
) -> None:
    [admin] = [p for p in get_resolver().url_patterns if isinstance(p, URLResolver) and p.namespace == "admin"]
    tried = 0
    for pattern in admin.url_patterns:
        inner = pattern.url_patterns if isinstance(pattern, URLResolver) else [pattern]
        for leaf in inner:
            if leaf.name in (None, "login", "jsi18n"):
                continue
            arguments = [str(ours.id)] * len(leaf.pattern.converters)
            if leaf.name == "app_list":
                arguments = ["crm"]
            try:
                path = reverse(f"admin:{leaf.name}", args=arguments)
            except Exception as problem:  # noqa: BLE001
                pytest.fail(f"{leaf.name}: {problem}")
            tried += 1
            for client in (Client(), client_of(ours.admin)):
                answer = client.get(path)
                if leaf.name == "logout":
                    assert answer.status_code in (302, 405)
                else:
                    assert answer.status_code == 302, path
                    assert "login/?next=" in answer["Location"], path
    assert tried > 5
