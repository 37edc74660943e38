"""The cast of every test, and the stage: a database, a web server, a worker and a simulated Twilio, all real.

Nothing is rolled back: each test commits, as production does, in organizations of its own. Tenancy keeps tests apart.
"""

import json
import os
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.test.utils import setup_databases, teardown_databases
from django.utils import translation

from calls.models import CallLog, DueCall, JournalEntry
from calls.services.start import start_call
from crm import celery_app, tenancy
from crm.accounts import vouch_for_email
from crm.local.child import stop_all
from crm.local.services import Services
from crm.local.stack import Stack
from crm.models import Contact, ContactNumber, Membership, Opportunity, Organization, Role, User
from crm.services import create_token
from integrations.access import callback_credentials
from integrations.services.connect import connect_twilio

T = TypeVar("T")
SPEED = 10.0  # the simulator's clock runs this much faster than ours


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give browser tests, which wait for a person's pace, more time."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session", autouse=True)
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """Make this worker's test database, migrated by its owner, and leave access to it open."""
    suffix = os.environ.get("PYTEST_XDIST_WORKER", "main")
    connections["owner"].settings_dict["TEST"]["NAME"] = f"test_crm_{suffix}"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # half a second less for each log-in
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default", "owner"}, serialized_aliases=set())
        call_command("collectstatic", interactive=False, verbosity=0)
        yield
        for connection in connections.all():
            connection.close()
        teardown_databases(made, verbosity=0)


@dataclass
class Company:
    """One organization of the cast, with everybody in it."""

    organization: Organization
    account_sid: str
    auth_token: str
    number: str
    admin: Membership
    manager: Membership
    rep: Membership
    rep2: Membership
    contact: Contact
    contact_number: str
    opportunity: Opportunity

    @property
    def id(self) -> UUID:
        """The organization's."""
        return self.organization.pk

    def connect(self, *, auth_token: str = "", **rules: Any) -> None:
        """Connect its Twilio account again, with another token or other rules of calling."""
        connect_twilio(
            organization=self.organization,
            account_sid=self.account_sid,
            auth_token=auth_token,
            default_caller_id=self.number,
            **rules,
        )

    def account(self) -> dict[str, Any]:
        """What the simulated Twilio knows of it."""
        return {
            "sid": self.account_sid,
            "auth_token": self.auth_token,
            "friendly_name": self.organization.name,
            "type": "Full",
            "status": "active",
            "numbers": [self.number],
            "verified": [],
        }


def phone() -> str:
    """A valid Brazilian mobile number that no other test uses."""
    return f"+55119{secrets.randbelow(10**8 - 10**7) + 10**7}"


def make_company(name: str) -> Company:
    """Make an organization with an admin, a manager, two reps, a contact, an opportunity and a Twilio account."""
    tag = secrets.token_hex(6)
    organization = Organization.objects.create(name=f"{name} {tag}", slug=f"{name.lower()}-{tag}", region="BR")
    account_sid, auth_token, number = f"AC{secrets.token_hex(16)}", secrets.token_hex(16), phone()
    connect_twilio(organization=organization, account_sid=account_sid, auth_token=auth_token, default_caller_id=number)
    members: dict[str, Membership] = {}
    for who, role in (("admin", Role.ADMIN), ("manager", Role.MANAGER), ("rep", Role.REP), ("rep2", Role.REP)):
        user = User.objects.create_user(f"{who}-{tag}@{name.lower()}.example", name=f"{who.title()} of {name}")
        vouch_for_email(user)
        with tenancy.inside(organization.pk):
            members[who] = Membership.objects.create(user=user, role=role, phone_number=phone())
            members[who].organization = organization
    contact_number = phone()
    with tenancy.inside(organization.pk):
        contact = Contact.objects.create(name=f"Contact of {name}", company=f"{name} Ltda")
        ContactNumber.objects.create(contact=contact, number=contact_number)
        opportunity = Opportunity.objects.create(contact=contact, title="A deal")
    return Company(
        organization=organization,
        account_sid=account_sid,
        auth_token=auth_token,
        number=number,
        contact=contact,
        contact_number=contact_number,
        opportunity=opportunity,
        **members,
    )


@pytest.fixture
def ours() -> Company:
    """The organization that a test is about."""
    return make_company("Ours")


@pytest.fixture
def theirs() -> Company:
    """Another organization, full of strangers."""
    return make_company("Theirs")


@pytest.fixture
def make_member() -> Callable[..., Membership]:
    """One more membership: `make_member(theirs, ours.rep.user, role="admin")`."""

    def make(company: Company, user: User, **fields: Any) -> Membership:
        with tenancy.inside(company.id):
            return Membership.objects.create(user=user, **fields)

    return make


@pytest.fixture
def client_of() -> Callable[[Membership], Client]:
    """A browser's session of a member: `client_of(ours.rep).get("/contacts/")`."""

    def sign_in(member: Membership) -> Client:
        client = Client()
        client.force_login(member.user)
        session = client.session
        session["organization"] = str(member.organization_id)
        session.save()
        return client

    return sign_in


class Api:
    """A machine that speaks JSON with a member's bearer token, in this process."""

    def __init__(self, member: Membership) -> None:
        self.token = create_token(member=member)
        self.client = Client(headers={"Authorization": f"Bearer {self.token}"})

    def get(self, path: str, **options: Any) -> Any:
        """GET under /api/v1/."""
        return self.client.get(f"/api/v1/{path}", **options)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST JSON under /api/v1/."""
        return self.client.post(
            f"/api/v1/{path}", data=json.dumps(body or {}), content_type="application/json", headers=headers
        )

    def put(self, path: str, body: Any = None) -> Any:
        """PUT JSON under /api/v1/."""
        return self.client.put(f"/api/v1/{path}", data=json.dumps(body or {}), content_type="application/json")

    def patch(self, path: str, body: Any = None) -> Any:
        """PATCH JSON under /api/v1/."""
        return self.client.patch(f"/api/v1/{path}", data=json.dumps(body or {}), content_type="application/json")

    def delete(self, path: str) -> Any:
        """DELETE under /api/v1/."""
        return self.client.delete(f"/api/v1/{path}")


@pytest.fixture
def api_of() -> Callable[[Membership], Api]:
    """`api_of(ours.rep).post("calls/", {"contact": …})`."""
    return Api


def eventually(question: Callable[[], T], *, seconds: float = 20, what: str = "") -> T:
    """Ask until the answer is true, and return it; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {seconds} s: {what or question}; last answer {answer!r}")
        time.sleep(0.05)


def at_once(*works: Callable[[], object]) -> list[Any]:
    """Do all of these side by side, each with a database connection of its own; return what they raised."""
    raised: list[Any] = []
    together = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            together.wait(10)
            work()
        except BaseException as error:  # noqa: BLE001  handed to the test
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


class Twilio:
    """The simulated Twilio, through its control API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to `/simulator/…`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/simulator/{path}", data=data, method=method, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def knows(self, company: Company) -> None:
        """Open the company's account there."""
        self.ask("POST", "accounts", company.account())

    def phone(self, number: str, **behaviour: Any) -> None:
        """Say what a phone does: `does="answer", after=1, press="1", talk=5` (seconds of the simulator's clock)."""
        self.ask("PUT", f"phones/{number.replace('+', '%2B')}", behaviour)

    def faults(self, *faults: dict[str, Any]) -> None:
        """Set what goes wrong from now on; without any, nothing does."""
        self.ask("PUT", "faults", list(faults))

    def requests(self, call_sid: str) -> list[dict[str, Any]]:
        """Every webhook that was sent for a call."""
        found = self.ask("GET", f"requests?call_sid={call_sid}")
        return found["requests"] if isinstance(found, dict) else found

    def calls_made(self, company: Company) -> list[dict[str, Any]]:
        """The calls that were created over REST in a company's account, children left out."""
        found = self.ask("GET", "state")["calls"]
        return [
            call
            for call in found["live"] + found["recent"]
            if call.get("account_sid") == company.account_sid and not call.get("parent_call_sid")
        ]


@dataclass
class World:
    """Web server and simulated Twilio as processes, over this worker's test database; workers on demand."""

    stack: Stack
    twilio: Twilio
    url: str

    def call(self, company: Company, member: Membership | None = None) -> UUID:
        """Click: start a call of `company`'s rep to its contact, from this process."""
        call_id, _ = start_call(member=member or company.rep, contact_id=company.contact.pk)
        return call_id


@pytest.fixture(scope="session")
def _world() -> Iterator[World]:
    folder = Path(os.environ["STATIC_ROOT"]).parent
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    name = connections["default"].settings_dict["NAME"]
    stack = Stack(
        Services(f"{base}/{name}", None, os.environ["CELERY_BROKER_URL"], folder),
        web_port=None,
        simulator_port=None,
        live_port=None,
        speed=SPEED,
    )
    stack.sample = {"organizations": []}
    # The names that a test process shares with the web server; its address is known only now.
    settings.PUBLIC_BASE_URL = stack.web_url
    settings.TWILIO_API_BASE_URL = stack.simulator_url
    stack.environment |= {"PUBLIC_BASE_URL": stack.web_url, "LIVE_URL": stack.live_url}
    try:
        for process in ("simulator", "web"):
            stack.launch(process)
        for process in ("simulator", "web"):
            stack.wait_ready(process)
        yield World(stack=stack, twilio=Twilio(stack.simulator_url), url=stack.web_url)
    finally:
        stack.stop()


@pytest.fixture
def world(_world: World) -> Iterator[World]:
    """Web and simulator without workers: nothing is applied until the test (or a sweeper) does it."""
    _world.stack.check()
    yield _world
    _world.twilio.faults()


@pytest.fixture(scope="module")
def _workers(_world: World) -> Iterator[None]:
    processes = ("worker", "asker", "beat")
    # What tests without workers have left to be done is theirs, and would keep these busy.
    celery_app.control.purge()
    DueCall.objects.all().delete()
    for process in processes:
        _world.stack.launch(process)
    for process in processes:
        _world.stack.wait_ready(process)
    yield
    # Gone with the module: other tests look at what nobody has applied yet.
    stop_all([_world.stack.children.pop(process) for process in processes])


@pytest.fixture
def running(world: World, _workers: None) -> World:
    """Web, simulator, workers and beat: everything that `make demo` runs."""
    return world


@pytest.fixture
def company(world: World, ours: Company) -> Company:
    """An organization whose account the simulated Twilio knows, and whose phones answer."""
    world.twilio.knows(ours)
    for member in (ours.rep, ours.rep2, ours.manager, ours.admin):
        world.twilio.phone(member.phone_number, does="answer", after=1, press="1", press_after=1)
    world.twilio.phone(ours.contact_number, does="answer", after=2, talk=20)
    return ours


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    callback_credentials.clear()
    yield
    translation.deactivate()  # Django's test client leaves the last request's language behind


def read_call(company: Company, call_id: UUID) -> CallLog:
    """The call's row as it stands."""
    with tenancy.inside(company.id):
        return CallLog.objects.select_related("contact", "user").get(pk=call_id)


def read_journal(company: Company, call_id: UUID) -> list[JournalEntry]:
    """The call's journal, in order of arrival."""
    with tenancy.inside(company.id):
        return list(JournalEntry.objects.filter(call_id=call_id).order_by("received_at", "digest"))


def callbacks_of(company: Company, call_id: UUID) -> SimpleNamespace:
    """The kinds of callback that came, and how many in all."""
    entries = [entry for entry in read_journal(company, call_id) if entry.source == "callback"]
    return SimpleNamespace(kinds={entry.kind for entry in entries}, count=len(entries), entries=entries)


@pytest.fixture
def quiet(_world: World, world: World) -> Iterator[World]:
    """Web and simulator, and certainly no worker or beat: an earlier test's are stopped, and started again after."""
    stopped = [name for name in ("beat", "worker", "asker") if name in _world.stack.children]
    for name in stopped:
        _world.stack.children.pop(name).stop()
    yield world
    for name in stopped:
        _world.stack.launch(name)
    for name in stopped:
        _world.stack.wait_ready(name)
