"""Log-in, forgotten passwords, e-mail addresses and second factors, as a person meets them; guesses are counted."""

import base64
import hashlib
import hmac
import re
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.utils import timezone

from crm import tenancy
from crm.accounts import forget_expired, reseal_second_factors, take_second_factor
from crm.models import AuditEntry, Membership, Organization, User
from tests.conftest import Company, at_once
from tests.integrations.test_reseal import new_key

PASSWORD = "a-long-pass-phrase"
OTHER = "quite-another-phrase"


@pytest.fixture(autouse=True)
def _nobody_has_tried() -> None:
    cache.clear()


@pytest.fixture
def rep(ours: Company) -> User:
    """Somebody with a password."""
    user = ours.rep.user
    user.set_password(PASSWORD)
    user.save()
    return user


def log_in(email: str, password: str = PASSWORD, *, client: Client | None = None, ip: str = "203.0.113.1") -> Any:
    """Fill in the log-in page."""
    return (client or Client()).post("/login/", {"login": email, "password": password}, REMOTE_ADDR=ip)


def said(answer: Any) -> str:
    """The page's words, spaces made one."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def link_in(mail: Any) -> str:
    """The path of the link in an e-mail."""
    [link] = re.findall(r"https?://\S+/account/\S+", mail.body)
    return urlsplit(link).path


def code_for(secret: str, *, steps: int = 0) -> str:
    """The code that an authenticator app shows (RFC 6238), some steps of 30 seconds from now."""
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    offset = digest[-1] & 0xF
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def set_up_second_factor(client: Client) -> str:
    """Activate an authenticator app on the page; return its secret."""
    page = client.get("/account/second-factor/app/", follow=True)
    if page.request["PATH_INFO"] == "/account/confirm/":
        page = client.post(
            "/account/confirm/", {"password": PASSWORD, "next": "/account/second-factor/app/"}, follow=True
        )
    secret = re.search(r'value="([A-Z2-7]{32})"', page.content.decode())
    assert secret, said(page)
    done = client.post("/account/second-factor/app/", {"code": code_for(secret[1])})
    assert done.status_code == 302, said(done)
    return secret[1]


# Passwords


def test_the_fifth_wrong_password_locks_the_account_even_for_the_right_one_and_from_elsewhere(
    rep: User, theirs: Company
) -> None:
    for number in range(5):
        assert "do not match" in said(log_in(rep.email, "wrong", ip=f"203.0.113.{number}"))
    assert "Too many wrong passwords" in said(log_in(rep.email, ip="203.0.113.77"))
    theirs.rep.user.set_password(PASSWORD)
    theirs.rep.user.save()
    assert log_in(theirs.rep.user.email).status_code == 302, "Others are not locked out."


def test_wrong_passwords_at_the_same_time_are_counted_one_by_one(rep: User) -> None:
    answers: list[str] = []

    def guess(number: int) -> None:
        answers.append(said(log_in(rep.email, "wrong", ip=f"198.51.100.{number}")))

    assert at_once(*[partial(guess, number) for number in range(12)]) == []
    assert len(answers) == 12
    assert sum("do not match" in answer for answer in answers) <= 5


def test_the_lock_is_the_accounts_however_the_host_is_named(rep: User, settings: Any) -> None:
    hosts = [f"testserver:{port}" for port in range(1, 5)] + ["TESTSERVER", "testserver."]
    for number, host in enumerate(hosts):
        answer = Client().post(
            "/login/",
            {"login": rep.email, "password": "wrong"},
            REMOTE_ADDR=f"203.0.113.{number}",
            headers={"host": host},
        )
    assert "Too many wrong passwords" in said(answer)


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(rep: User) -> None:
    wrong, unknown = log_in(rep.email, "wrong"), log_in("nobody@example.com", "wrong")
    assert said(wrong).replace(rep.email, "") == said(unknown).replace("nobody@example.com", "")


def test_a_forgotten_password_is_replaced_through_an_e_mail_which_ends_other_sessions(
    rep: User, settings: Any, mailoutbox: list[Any]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    elsewhere = Client()
    assert log_in(rep.email, client=elsewhere).status_code == 302
    assert elsewhere.get("/contacts/").status_code == 200
    Client().post("/account/password/reset/", {"email": rep.email.upper()}, headers={"host": "evil.example"})
    [mail] = mailoutbox
    assert mail.to == [rep.email]
    assert "evil" not in mail.body
    assert settings.PUBLIC_BASE_URL in mail.body
    client = Client()
    form = client.get(link_in(mail), follow=True)
    path = form.request["PATH_INFO"]
    assert link_in(mail) != path, "The key is in the session, and not in the address of the form."
    short = client.post(path, {"password1": "short", "password2": "short"})
    assert "too short" in said(short)
    client.post(path, {"password1": OTHER, "password2": OTHER})
    assert elsewhere.get("/contacts/").status_code == 302
    assert "do not match" in said(log_in(rep.email, PASSWORD))
    assert log_in(rep.email, OTHER).status_code == 302
    again = Client().get(link_in(mail), follow=True)
    assert "invalid" in said(again)


def test_asking_for_another_password_says_nothing_of_who_has_an_account(rep: User, mailoutbox: list[Any]) -> None:
    known = Client().post("/account/password/reset/", {"email": rep.email}, follow=True)
    unknown = Client().post("/account/password/reset/", {"email": "nobody@example.com"}, follow=True)
    assert said(known) == said(unknown)
    assert [mail.to for mail in mailoutbox] == [[rep.email], ["nobody@example.com"]]
    assert "/signup/" not in mailoutbox[1].body


def test_a_mail_server_that_is_away_is_said_and_changes_nothing(rep: User, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.EMAIL_PORT = closed.getsockname()[1]
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    answer = Client().post("/account/password/reset/", {"email": rep.email})
    assert answer.status_code == 503
    assert "The e-mail could not be sent" in said(answer)


def test_nobody_signs_up_by_themselves() -> None:
    for answer in (
        Client().get("/signup/"),
        Client().post("/signup/", {"email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD}),
    ):
        assert answer.status_code == 200
        assert "invited" in said(answer)
    assert not User.objects.filter(email="new@example.com").exists()


def test_an_address_that_was_never_verified_lets_nobody_in_until_its_link_is_followed(
    rep: User, mailoutbox: list[Any]
) -> None:
    EmailAddress.objects.filter(user=rep).delete()
    client = Client()
    assert log_in(rep.email, client=client)["Location"] == "/account/email/sent/"
    assert client.get("/contacts/").status_code == 302
    [mail] = mailoutbox
    assert client.post(link_in(mail)).status_code == 302
    assert log_in(rep.email)["Location"] == "/"


def test_another_address_counts_once_its_link_was_followed(rep: User, mailoutbox: list[Any]) -> None:
    client, new = Client(), f"new-{rep.email}"
    log_in(rep.email, client=client)
    asked = client.post("/account/email/", {"email": new, "action_add": ""})
    assert asked["Location"] == "/account/confirm/?next=%2Faccount%2Femail%2F", "The password, once more."
    client.post(asked["Location"], {"password": PASSWORD})
    [mail] = mailoutbox
    assert mail.to == [new]
    assert User.objects.get(pk=rep.pk).email == rep.email, "Not yet."
    assert client.post(link_in(mail)).status_code == 302
    assert User.objects.get(pk=rep.pk).email == new
    assert log_in(new).status_code == 302
    assert "do not match" in said(log_in(rep.email))


def test_another_password_ends_a_change_of_address_that_is_under_way(rep: User, mailoutbox: list[Any]) -> None:
    intruder = Client()
    log_in(rep.email, client=intruder)
    intruder.post("/account/confirm/", {"password": PASSWORD})
    intruder.post("/account/email/", {"email": "evil@example.com", "action_add": ""})
    Client().post("/account/password/reset/", {"email": rep.email})
    change, reset = mailoutbox
    owner = Client()
    form = owner.get(link_in(reset), follow=True)
    done = owner.post(form.request["PATH_INFO"], {"password1": OTHER, "password2": OTHER}, follow=True)
    assert 'href="/login/"' in done.content.decode()
    Client().post(link_in(change))
    assert User.objects.get(pk=rep.pk).email == rep.email


def test_nobody_takes_the_address_of_somebody_else(rep: User, theirs: Company, mailoutbox: list[Any]) -> None:
    client = Client()
    log_in(rep.email, client=client)
    client.post("/account/confirm/", {"password": PASSWORD})
    client.post("/account/email/", {"email": theirs.admin.user.email, "action_add": ""})
    assert [mail.to for mail in mailoutbox] == [[theirs.admin.user.email]], "Who has an account is not told here."
    assert not EmailAddress.objects.filter(user=rep, email=theirs.admin.user.email, verified=True).exists()
    assert User.objects.get(pk=rep.pk).email == rep.email


# Second factors


def test_a_second_factor_is_asked_for_and_each_code_counts_once(rep: User) -> None:
    client = Client()
    log_in(rep.email, client=client)
    secret = set_up_second_factor(client)
    later = Client()
    assert log_in(rep.email, client=later)["Location"].startswith("/account/second-factor/code/")
    assert later.get("/contacts/").status_code == 302, "The password alone is not enough."
    assert "Incorrect code" in said(later.post("/account/second-factor/code/", {"code": "000000"}))
    code = code_for(secret, steps=1)
    assert later.post("/account/second-factor/code/", {"code": code})["Location"] == "/"
    again = Client()
    log_in(rep.email, client=again)
    assert "Incorrect code" in said(again.post("/account/second-factor/code/", {"code": code}))


def test_a_recovery_code_stands_in_once(rep: User) -> None:
    client = Client()
    log_in(rep.email, client=client)
    set_up_second_factor(client)
    codes = re.findall(r"\b\d{8}\b", client.get("/account/second-factor/recovery-codes/").content.decode())
    assert len(codes) == 10
    for status in (302, 200):
        later = Client()
        log_in(rep.email, client=later)
        assert later.post("/account/second-factor/code/", {"code": codes[0]}).status_code == status


def test_guessing_codes_is_stopped(rep: User) -> None:
    client = Client()
    log_in(rep.email, client=client)
    secret = set_up_second_factor(client)
    guesser = Client()
    log_in(rep.email, client=guesser)
    for number in range(5):
        guesser.post("/account/second-factor/code/", {"code": f"{number:06}"})
    right = guesser.post("/account/second-factor/code/", {"code": code_for(secret, steps=1)})
    assert right.status_code != 302


def test_the_database_holds_no_second_factor_in_clear_and_its_key_can_be_replaced(rep: User, settings: Any) -> None:
    client = Client()
    log_in(rep.email, client=client)
    secret = set_up_second_factor(client)
    rows = list(Authenticator.objects.filter(user=rep))
    assert {row.type for row in rows} == {"totp", "recovery_codes"}
    assert secret not in str([row.data for row in rows])
    Authenticator.objects.exclude(user=rep).delete()  # other tests' have keys of their own
    settings.FIELD_ENCRYPTION_KEYS = [new_key("newest"), *settings.FIELD_ENCRYPTION_KEYS]
    assert reseal_second_factors() == 2
    assert reseal_second_factors() == 0
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    later = Client()
    log_in(rep.email, client=later)
    answer = later.post("/account/second-factor/code/", {"code": code_for(secret, steps=1)})
    assert answer["Location"] == "/"


@pytest.fixture
def strict(ours: Company) -> Company:
    """An organization that requires a second factor."""
    Organization.objects.filter(pk=ours.id).update(requires_mfa=True)
    return ours


def test_an_organization_that_requires_a_second_factor_lets_in_who_has_proved_one(strict: Company, rep: User) -> None:
    client, before = Client(), Client()
    log_in(rep.email, client=before)
    log_in(rep.email, client=client)
    for path in ("/contacts/", "/calls/", f"/contacts/{strict.contact.pk}/", "/calls/live/"):
        answer = client.get(path)
        assert answer.status_code == 403, path
        assert strict.contact.name not in said(answer)
        assert "/account/second-factor/app/" in answer.content.decode()
    refused = client.get("/api/v1/contacts/")
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["code"] == "second_factor_required"
    set_up_second_factor(client)
    assert client.get("/contacts/").status_code == 200
    assert client.get("/api/v1/contacts/").status_code == 200
    assert before.get("/contacts/").status_code == 403, "That session knew the password only."


@pytest.mark.parametrize("path", ["recovery-codes/", "recovery-codes/download/", "recovery-codes/new/", "app/remove/"])
def test_a_session_that_knows_the_password_alone_gets_at_no_second_factor(rep: User, path: str) -> None:
    thief, poster, owner = Client(), Client(), Client()
    for one in (thief, poster, owner):
        log_in(rep.email, client=one)
    secret = set_up_second_factor(owner)
    page = f"/account/second-factor/{path}"
    asked = thief.get(page)
    assert asked["Location"].startswith("/account/second-factor/confirm/")
    thief.post("/account/confirm/", {"password": PASSWORD, "next": page})
    got = thief.get(page, follow=True)
    assert not re.search(r"\b\d{8}\b", said(got))
    poster.post(page)
    poster.post("/account/confirm/", {"password": PASSWORD, "next": page})
    assert Authenticator.objects.filter(user=rep, type="totp").exists()
    thief.post(asked["Location"], {"code": code_for(secret, steps=1)})
    assert thief.get(page).status_code == 200, "With the factor it opens."


def test_a_session_proves_the_factor_that_there_is_now(strict: Company, rep: User) -> None:
    stolen, owner = Client(), Client()
    log_in(rep.email, client=stolen)
    set_up_second_factor(stolen)
    assert stolen.get("/contacts/").status_code == 200
    take_second_factor(rep)
    assert stolen.get("/contacts/").status_code == 403
    log_in(rep.email, client=owner)
    set_up_second_factor(owner)
    assert owner.get("/contacts/").status_code == 200
    assert stolen.get("/contacts/").status_code == 403


def test_who_has_an_app_is_asked_for_its_code_where_it_is_required(strict: Company, rep: User) -> None:
    before, other = Client(), Client()
    log_in(rep.email, client=before)
    log_in(rep.email, client=other)
    secret = set_up_second_factor(other)
    page = before.get("/contacts/").content.decode()
    assert "/account/second-factor/confirm/?next=/" in page
    proved = before.post("/account/second-factor/confirm/?next=/", {"code": code_for(secret, steps=1), "next": "/"})
    assert proved.status_code == 302
    assert before.get("/contacts/").status_code == 200
    with tenancy.inside(strict.id):
        refused = AuditEntry.objects.filter(action="refused", user_id=rep.pk)
        assert [entry.details["code"] for entry in refused] == ["second_factor_required"]


def test_who_has_a_second_factor_can_change_their_address(rep: User, mailoutbox: list[Any]) -> None:
    client = Client()
    log_in(rep.email, client=client)
    set_up_second_factor(client)
    mailoutbox.clear()
    client.post("/account/email/", {"email": f"new-{rep.email}", "action_add": ""})
    assert client.post(link_in(mailoutbox[-1])).status_code == 302
    assert User.objects.get(pk=rep.pk).email == f"new-{rep.email}"


def test_a_required_second_factor_cannot_be_taken_away_by_its_owner(strict: Company, rep: User) -> None:
    client = Client()
    log_in(rep.email, client=client)
    set_up_second_factor(client)
    answer = client.post("/account/second-factor/app/remove/")
    assert "cannot deactivate" in said(answer)
    assert Authenticator.objects.filter(user=rep, type="totp").exists()


def test_machines_tokens_need_no_second_factor(strict: Company, api_of: Callable[[Membership], Any]) -> None:
    assert api_of(strict.rep).get("contacts/").status_code == 200


def test_the_other_organization_of_who_is_shut_out_stays_open(
    strict: Company, theirs: Company, rep: User, make_member: Callable[..., Membership]
) -> None:
    make_member(theirs, rep)
    client = Client()
    log_in(rep.email, client=client)
    assert client.post("/organization/switch/", {"organization": str(strict.id)}).status_code == 302
    shut = client.get("/contacts/")
    assert shut.status_code == 403
    assert theirs.organization.name in shut.content.decode(), "The way to it is on the page."
    assert client.post("/organization/switch/", {"organization": str(theirs.id)}).status_code == 302
    assert client.get("/contacts/").status_code == 200


def test_sessions_and_counts_that_are_over_are_forgotten(rep: User) -> None:
    client = Client()
    log_in(rep.email, client=client)
    log_in(rep.email, "wrong", ip="192.0.2.7")
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE crm_cache SET expires = now() - interval '1 s' WHERE cache_key LIKE '%192.0.2.7%'")
        assert cursor.rowcount >= 1
    key = client.session.session_key
    Session.objects.filter(pk=key).update(expire_date=timezone.now())
    assert forget_expired() >= 1
    assert not Session.objects.filter(pk=key).exists()


# The operator


def test_the_operators_admin_asks_for_the_second_factor_too(rep: User) -> None:
    client = Client()
    log_in(rep.email, client=client)
    set_up_second_factor(client)
    User.objects.filter(pk=rep.pk).update(is_staff=True, is_superuser=True)
    later = Client()
    assert later.get("/admin/login/?next=/admin/")["Location"] == "/login/?next=%2Fadmin%2F"
    assert later.post("/admin/login/", {"username": rep.email, "password": PASSWORD}).status_code == 302
    assert later.get("/admin/").status_code == 302, "That form logs nobody in."


def test_the_operator_takes_a_lost_second_factor_away(rep: User, ours: Company) -> None:
    client = Client()
    log_in(rep.email, client=client)
    set_up_second_factor(client)
    operator = Client()
    operator.force_login(User.objects.create_superuser(f"operator-{rep.email}", PASSWORD))
    operator.post("/admin/crm/user/", {"action": "take_second_factor", "_selected_action": str(rep.pk)})
    with tenancy.inside(ours.id):
        assert AuditEntry.objects.filter(action="member.second_factor_taken", details__member=rep.email).exists()
    assert log_in(rep.email)["Location"] == "/"
