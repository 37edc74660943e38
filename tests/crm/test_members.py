"""Who belongs to an organization: invited, joined, changed, shut out; and its last admin, who cannot go."""

import re
import socket
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.test import Client
from django.utils import timezone

from crm import audit, tenancy
from crm.invitations import accept, invite
from crm.logs import HideLinks
from crm.members import LastAdmin, change_member
from crm.models import ApiToken, AuditEntry, Invitation, Membership, Organization, Role, User
from tests.conftest import Api, Company, World, at_once, eventually, phone, read_call
from tests.crm.test_accounts import PASSWORD, log_in, said

NEW = "a-phrase-of-somebody-new"


def link_in(mail: Any) -> str:
    """The path of the invitation in an e-mail."""
    [link] = re.findall(r"https?://\S+/invitations/\S+", mail.body)
    return urlsplit(link).path


def row_of(member: Membership) -> Membership:
    """A member as the database has them."""
    with tenancy.inside(member.organization_id):
        return Membership.objects.select_related("user").get(pk=member.pk)


def audited(company: Company) -> list[tuple[str, str, dict[str, Any]]]:
    """Who did what with members and the organization, oldest first."""
    with tenancy.inside(company.id):
        rows = AuditEntry.objects.filter(action__regex="^(member|organization)[.]").order_by("id")
        return [(one.who, one.action, one.details) for one in rows]


def code_of(answer: Any) -> str:
    """The code of a refusal."""
    return str(answer.json()["errors"][0]["code"])


# Invitations


def test_somebody_new_is_invited_and_joins_with_a_password_and_a_verified_address(
    ours: Company, api_of: Callable[[Membership], Api], mailoutbox: list[Any], settings: Any
) -> None:
    email = f"new-{ours.organization.slug}@example.com"
    made = api_of(ours.admin).post("invitations/", {"email": email.upper(), "role": "manager"})
    assert made.status_code == 201, made.json()
    assert made.json()["email"] == email
    assert made.json()["sent_at"]
    [mail] = mailoutbox
    assert mail.to == [email]
    assert ours.organization.name in mail.subject
    assert settings.PUBLIC_BASE_URL in mail.body
    path = link_in(mail)
    with tenancy.inside(ours.id):
        assert path.rsplit("/", 2)[1] not in str(list(Invitation.objects.values())), "Only the digest is kept."

    client = Client()
    page = client.get(path)
    assert ours.organization.name in said(page)
    assert not User.objects.filter(email=email).exists(), "Looking at it does nothing; mail scanners look too."
    easy = client.post(path, {"name": "Nova", "password": "12345678"})
    assert "too common" in said(easy)
    bad = client.post(path, {"name": "Nova", "password": NEW, "phone_number": "12"})
    assert "not a valid phone number" in said(bad)
    assert not User.objects.filter(email=email).exists()
    joined = client.post(path, {"name": "Nova Pessoa", "password": NEW, "phone_number": "11 98765-4321"})
    assert joined["Location"] == "/"
    me = client.get("/api/v1/me/").json()
    assert (me["email"], me["role"], me["phone_number"]) == (email, "manager", "+5511987654321")
    assert EmailAddress.objects.get(email=email).verified
    assert log_in(email, NEW).status_code == 302
    assert [action for _, action, _ in audited(ours)] == ["member.invited", "member.joined"]
    assert "used or withdrawn" in said(Client().get(path)), "Once."


def test_somebody_with_an_account_logs_in_to_join_and_works_in_both(
    ours: Company, theirs: Company, mailoutbox: list[Any]
) -> None:
    user = theirs.rep.user
    user.set_password(PASSWORD)
    user.save()
    invite(by=ours.admin, email=user.email, role="rep")
    path = link_in(mailoutbox[0])
    client = Client()
    page = client.get(path)
    assert f"/login/?next={path}" in page.content.decode()
    assert Client().post(path, {"name": "X", "password": NEW}).status_code == 200, "No second account, no new password."
    assert "do not match" in said(log_in(user.email, NEW))
    client.post("/login/", {"login": user.email, "password": PASSWORD})
    assert client.post(path)["Location"] == "/"
    assert client.get("/api/v1/me/").json()["organization"] == str(ours.id)
    client.post("/organization/switch/", {"organization": str(theirs.id)})
    assert client.get("/api/v1/me/").json()["organization"] == str(theirs.id)


def test_an_invitation_is_for_its_address_only(
    ours: Company, theirs: Company, client_of: Callable[[Membership], Client], mailoutbox: list[Any]
) -> None:
    invite(by=ours.admin, email="somebody@example.com", role="admin")
    path = link_in(mailoutbox[0])
    stranger = client_of(theirs.rep)
    assert theirs.rep.user.email in said(stranger.get(path))
    refused = stranger.post(path)
    assert refused.status_code == 403
    with tenancy.inside(ours.id):
        assert not Membership.objects.filter(user=theirs.rep.user).exists()
        assert Invitation.objects.get().accepted_at is None


def test_an_invitation_ends_when_it_is_withdrawn_renewed_or_a_week_old(
    ours: Company, api_of: Callable[[Membership], Api], mailoutbox: list[Any]
) -> None:
    api = api_of(ours.admin)
    first = api.post("invitations/", {"email": "one@example.com"}).json()
    soon = api.post(f"invitations/{first['id']}/send/")
    assert (soon.status_code, code_of(soon)) == (429, "limit_reached"), "Not twice within a minute."
    with tenancy.inside(ours.id):
        Invitation.objects.update(sent_at=timezone.now() - timedelta(minutes=2))
    assert api.post(f"invitations/{first['id']}/send/").status_code == 200
    old, new = (link_in(mail) for mail in mailoutbox)
    assert Client().get(old).status_code == 410
    assert Client().get(new).status_code == 200
    assert api.delete(f"invitations/{first['id']}/").status_code == 204
    assert Client().get(new).status_code == 410
    assert api.get("invitations/").json()["results"] == []

    invite(by=ours.admin, email="two@example.com", role="rep")
    path = link_in(mailoutbox[-1])
    with tenancy.inside(ours.id):
        Invitation.objects.filter(email="two@example.com").update(expires_at=timezone.now())
    assert Client().post(path, {"name": "Two", "password": NEW}).status_code == 410
    assert not User.objects.filter(email="two@example.com").exists()


def test_inviting_again_renews(ours: Company, api_of: Callable[[Membership], Api], mailoutbox: list[Any]) -> None:
    for role in ("rep", "manager"):
        with tenancy.inside(ours.id):
            Invitation.objects.update(sent_at=timezone.now() - timedelta(minutes=2))
        assert api_of(ours.admin).post("invitations/", {"email": "twice@example.com", "role": role}).status_code == 201
    soon = api_of(ours.admin).post("invitations/", {"email": "twice@example.com", "role": "rep"})
    assert (soon.status_code, code_of(soon)) == (429, "limit_reached")
    [one] = api_of(ours.admin).get("invitations/").json()["results"]
    assert one["role"] == "manager"
    assert [Client().get(link_in(mail)).status_code for mail in mailoutbox] == [410, 200]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"email": "no address"}, "bad_invitation"),
        ({"email": "a@b"}, "bad_invitation"),
        ({"email": "a@example.com\nBcc: x@example.com"}, "bad_invitation"),
        ({"email": f"{'a' * 250}@example.com"}, "max_length"),
        ({"email": "nul\x00@example.com"}, "null_characters_not_allowed"),
        ({"email": "ok@example.com", "role": "owner"}, "invalid_choice"),
        ({}, "required"),
    ],
)
def test_a_bad_invitation_is_refused_and_nobody_is_written_to(
    ours: Company, api_of: Callable[[Membership], Api], mailoutbox: list[Any], body: dict[str, str], code: str
) -> None:
    refused = api_of(ours.admin).post("invitations/", body)
    assert (refused.status_code, code_of(refused)) == (400, code), refused.json()
    assert mailoutbox == []
    with tenancy.inside(ours.id):
        assert not Invitation.objects.exists()


def test_members_and_who_was_one_are_not_invited(ours: Company, api_of: Callable[[Membership], Api]) -> None:
    change_member(by=ours.admin, member_id=ours.rep2.pk, is_active=False)
    for member in (ours.rep, ours.rep2):
        refused = api_of(ours.admin).post("invitations/", {"email": member.user.email})
        assert (refused.status_code, code_of(refused)) == (409, "already_member")


def test_a_mail_server_that_is_away_leaves_an_invitation_that_can_be_sent_again(
    ours: Company, api_of: Callable[[Membership], Api], settings: Any, mailoutbox: list[Any]
) -> None:
    works = settings.EMAIL_BACKEND
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.EMAIL_PORT = closed.getsockname()[1]
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    refused = api_of(ours.admin).post("invitations/", {"email": "late@example.com"})
    assert (refused.status_code, code_of(refused)) == (503, "mail_not_sent")
    settings.EMAIL_BACKEND = works
    [waiting] = api_of(ours.admin).get("invitations/").json()["results"]
    assert waiting["sent_at"] is None
    assert api_of(ours.admin).post(f"invitations/{waiting['id']}/send/").json()["sent_at"]
    assert len(mailoutbox) == 1


def test_an_admin_cannot_write_to_the_whole_world(ours: Company, api_of: Callable[[Membership], Api]) -> None:
    sent = api_of(ours.admin).post("invitations/", {"email": "first@example.com"}).json()
    with tenancy.inside(ours.id):
        for number in range(199):
            audit.note(ours.admin, audit.MEMBER_INVITED, member=f"{number}@example.com", role="rep")
        Invitation.objects.update(sent_at=timezone.now() - timedelta(minutes=2))
    for refused in (
        api_of(ours.admin).post("invitations/", {"email": "more@example.com"}),
        api_of(ours.admin).post(f"invitations/{sent['id']}/send/"),
    ):
        assert (refused.status_code, code_of(refused)) == (429, "limit_reached")


def test_invitations_to_one_address_at_once_are_one_and_one_e_mail(ours: Company, mailoutbox: list[Any]) -> None:
    click = partial(invite, by=ours.admin, email="once@example.com", role="rep")
    assert [error.code for error in at_once(*[click] * 4)] == ["limit_reached"] * 3
    assert len(mailoutbox) == 1


def test_who_is_shut_out_takes_the_invitations_along_that_they_sent(ours: Company, mailoutbox: list[Any]) -> None:
    change_member(by=ours.admin, member_id=ours.manager.pk, role="admin")
    ours.manager.role = Role.ADMIN
    invite(by=ours.manager, email="back@example.com", role="admin")
    change_member(by=ours.admin, member_id=ours.manager.pk, is_active=False)
    assert Client().post(link_in(mailoutbox[0]), {"name": "B", "password": NEW}).status_code == 410
    assert not User.objects.filter(email="back@example.com").exists()


def test_an_invitation_to_who_is_a_member_by_now_or_was_one_is_answered_as_such(
    ours: Company,
    theirs: Company,
    client_of: Callable[[Membership], Client],
    make_member: Callable[..., Membership],
    mailoutbox: list[Any],
) -> None:
    invite(by=ours.admin, email=theirs.rep.user.email, role="rep")
    invite(by=ours.admin, email=theirs.rep2.user.email, role="rep")
    now, was = (link_in(mail) for mail in mailoutbox)
    make_member(ours, theirs.rep.user)
    make_member(ours, theirs.rep2.user, is_active=False)
    assert client_of(theirs.rep).post(now)["Location"] == "/"
    refused = client_of(theirs.rep2).post(was)
    assert refused.status_code == 409
    assert "make you active again" in said(refused)


@pytest.mark.parametrize("email", ["a@" + "\ufdfa" * 10 + ".example", "a@x.\xad\xad"])
def test_an_address_that_no_mail_server_takes_is_refused_in_words(
    ours: Company, api_of: Callable[[Membership], Api], email: str
) -> None:
    refused = api_of(ours.admin).post("invitations/", {"email": email})
    assert (refused.status_code, code_of(refused)) == (400, "bad_invitation")
    with tenancy.inside(ours.id):
        assert not Invitation.objects.exists()
    assert "not an e-mail address" in said(Client().post("/account/password/reset/", {"email": email}))


def test_half_a_character_in_a_field_is_an_error_in_words(ours: Company, api_of: Callable[[Membership], Api]) -> None:
    refused = api_of(ours.admin).patch(f"members/{ours.rep.pk}/", {"role": "\ud800"})
    assert (refused.status_code, code_of(refused)) == (400, "invalid_choice")


def test_links_are_in_no_log_line(ours: Company, mailoutbox: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    invite(by=ours.admin, email="logged@example.com", role="rep")
    path = link_in(mailoutbox[0])
    Client().put(path)
    Client(enforce_csrf_checks=True).post(path)
    lines = [record for record in caplog.records if "/invitations/" in record.getMessage()]
    assert len(lines) == 2
    for line in lines:
        assert HideLinks().filter(line)
        assert path.split("/")[2] not in line.getMessage()
    assert settings.LOGGING["handlers"]["stderr"]["filters"] == ["links"]


def test_a_member_leaves_and_the_last_admin_cannot(ours: Company, client_of: Callable[[Membership], Client]) -> None:
    page = client_of(ours.rep)
    assert page.post("/profile/leave/")["Location"] == "/"
    assert page.get("/contacts/").status_code == 403
    assert not row_of(ours.rep).is_active
    kept = client_of(ours.admin).post("/profile/leave/", follow=True)
    assert "last admin" in said(kept)
    assert row_of(ours.admin).is_active


def test_two_clicks_on_one_invitation_make_one_member(ours: Company, mailoutbox: list[Any]) -> None:
    email = f"twice-{ours.organization.slug}@example.com"
    invite(by=ours.admin, email=email, role="rep")
    token = link_in(mailoutbox[0]).split("/")[2]
    join = partial(accept, token=token, name="Twice", password=NEW)
    assert [error.code for error in at_once(*[join] * 4)] == ["invitation_gone"] * 3
    with tenancy.inside(ours.id):
        assert Membership.objects.filter(user__email=email).count() == 1


@pytest.mark.parametrize("token", ["x", "_", "x_y", f"{'0' * 32}_y", "\x00_y", f"{'f' * 32}_"])
def test_rubbish_is_no_invitation(token: str) -> None:
    assert Client().get(f"/invitations/{token}/").status_code == 410


def test_an_invitation_to_a_closed_organization_leads_nowhere(ours: Company, mailoutbox: list[Any]) -> None:
    invite(by=ours.admin, email="late@example.com", role="rep")
    Organization.objects.filter(pk=ours.id).update(is_active=False)
    assert Client().get(link_in(mailoutbox[0])).status_code == 410


# Roles


def test_an_admin_changes_a_role_and_it_counts_at_once(ours: Company, api_of: Callable[[Membership], Api]) -> None:
    rep = api_of(ours.rep)
    assert rep.get("members/").status_code == 403
    changed = api_of(ours.admin).patch(f"members/{ours.rep.pk}/", {"role": "manager"})
    assert changed.json()["role"] == "manager"
    assert rep.get("members/").status_code == 200
    details = {"member": ours.rep.user.email, "role": "manager", "before": {"role": "rep"}}
    assert audited(ours) == [(ours.admin.user.email, "member.changed", details)]


@pytest.mark.parametrize("change", [{"role": "rep"}, {"is_active": False}])
def test_the_last_admin_cannot_leave(
    ours: Company, api_of: Callable[[Membership], Api], change: dict[str, Any]
) -> None:
    refused = api_of(ours.admin).patch(f"members/{ours.admin.pk}/", change)
    assert (refused.status_code, code_of(refused)) == (409, "last_admin")
    api_of(ours.admin).patch(f"members/{ours.manager.pk}/", {"role": "admin"})
    assert api_of(ours.admin).patch(f"members/{ours.admin.pk}/", change).status_code == 200


def test_an_admin_who_cannot_log_in_does_not_count(ours: Company) -> None:
    change_member(by=ours.admin, member_id=ours.manager.pk, role="admin")
    User.objects.filter(pk=ours.manager.user_id).update(is_active=False)
    with pytest.raises(LastAdmin):
        change_member(by=ours.admin, member_id=ours.admin.pk, role="rep")


def test_of_two_admins_who_depose_each_other_at_once_one_stays(ours: Company) -> None:
    for _ in range(8):
        with tenancy.inside(ours.id):
            Membership.objects.filter(pk__in=[ours.admin.pk, ours.manager.pk]).update(role=Role.ADMIN)
        refused = at_once(
            partial(change_member, by=ours.admin, member_id=ours.manager.pk, role="rep"),
            partial(change_member, by=ours.manager, member_id=ours.admin.pk, role="rep"),
        )
        with tenancy.inside(ours.id):
            assert Membership.objects.filter(role=Role.ADMIN, is_active=True).count() == 1
            assert [error.code for error in refused] in (["last_admin"], ["permission_denied"])
            ours.admin.role = ours.manager.role = Role.ADMIN


def test_members_of_others_and_bad_values_change_nothing(
    ours: Company, theirs: Company, api_of: Callable[[Membership], Api]
) -> None:
    api = api_of(ours.admin)
    assert api.patch(f"members/{theirs.rep.pk}/", {"role": "admin"}).status_code == 404
    for body in (
        {"role": "owner"},
        {"is_active": "perhaps"},
        {"phone_number": "12"},
        {"phone_number": "\x00"},
        {"caller_id": "+5511999999999"},
        {"caller_id": theirs.number},
    ):
        assert api.patch(f"members/{ours.rep.pk}/", body).status_code == 400, body
    assert row_of(ours.rep).role == "rep"
    assert row_of(theirs.rep).role == "rep"
    assert audited(theirs) == []


def test_another_phone_is_not_checked_and_the_same_one_stays_so(
    ours: Company, api_of: Callable[[Membership], Api]
) -> None:
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep.pk).update(phone_checked_at=timezone.now())
    api = api_of(ours.rep)
    assert api.patch("me/", {"phone_number": ours.rep.phone_number}).json()["phone_checked_at"]
    changed = api.patch("me/", {"phone_number": "(11) 98765-4321", "name": " Nome  Novo "}).json()
    assert (changed["phone_number"], changed["phone_checked_at"]) == ("+5511987654321", None)
    assert changed["name"] == "Nome Novo"
    assert api.patch("me/", {"role": "admin"}).json()["role"] == "rep"


def test_nobody_changes_their_own_phone_all_day_long(ours: Company, api_of: Callable[[Membership], Api]) -> None:
    api, numbers = api_of(ours.rep), [phone() for _ in range(7)]
    for number in numbers[:5]:
        assert api.patch("me/", {"phone_number": number}).status_code == 200
        assert api.patch("me/", {"phone_number": number, "name": "Nome"}).status_code == 200, "That is no change."
    answer = api.patch("me/", {"phone_number": numbers[5], "name": "Outro"})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["limit"]) == (429, "limit_reached", "phone_changes_per_day")
    assert error["detail"]
    assert (row_of(ours.rep).phone_number, row_of(ours.rep).user.name) == (numbers[4], "Nome")
    admin = api_of(ours.admin)
    for number in numbers:
        assert admin.patch(f"members/{ours.rep.pk}/", {"phone_number": number}).status_code == 200
    assert admin.patch("me/", {"phone_number": phone()}).status_code == 200, "Others' are not their own."


# Shut out


def test_who_is_made_inactive_is_out_at_once_with_sessions_and_tokens_and_stays_out_with_the_old_ones(
    ours: Company,
    theirs: Company,
    client_of: Callable[[Membership], Client],
    api_of: Callable[[Membership], Api],
    make_member: Callable[..., Membership],
) -> None:
    make_member(theirs, ours.rep.user)
    page, machine, other = client_of(ours.rep), api_of(ours.rep), client_of(ours.rep2)
    assert page.get("/contacts/").status_code == machine.get("me/").status_code == 200
    assert api_of(ours.admin).patch(f"members/{ours.rep.pk}/", {"is_active": False}).status_code == 200
    assert machine.get("me/").status_code == 401
    assert page.get("/api/v1/me/").json()["organization"] == str(theirs.id), "Elsewhere they are still welcome."
    assert ours.contact.name not in page.get("/contacts/").content.decode()
    assert other.get("/contacts/").status_code == 200
    with tenancy.inside(ours.id):
        assert not ApiToken.objects.filter(membership=ours.rep, revoked_at=None).exists()

    api_of(ours.admin).patch(f"members/{ours.rep.pk}/", {"is_active": True})
    assert machine.get("me/").status_code == 401, "A token that ended has ended."
    assert page.get("/api/v1/me/").json()["organization"] == str(theirs.id), "And so has a session."
    assert client_of(ours.rep).get("/api/v1/me/").json()["organization"] == str(ours.id)


def test_who_is_a_member_nowhere_sees_nothing(ours: Company, client_of: Callable[[Membership], Client]) -> None:
    page = client_of(ours.rep)
    change_member(by=ours.admin, member_id=ours.rep.pk, is_active=False)
    assert page.get("/contacts/").status_code == 403
    assert page.get("/api/v1/contacts/").status_code == 403


@pytest.mark.stack
def test_the_call_of_who_is_shut_out_ends_as_it_would_have(running: World, company: Company) -> None:
    running.twilio.phone(company.contact_number, does="answer", after=1, talk=30)
    call_id = running.call(company)
    eventually(lambda: read_call(company, call_id).status == "in-progress", what="talking")
    change_member(by=company.admin, member_id=company.rep.pk, is_active=False)
    done = eventually(
        lambda: (call := read_call(company, call_id)).status == "completed" and call, seconds=30, what="completed"
    )
    assert (done.duration_seconds or 0) >= 25


# The organization


def test_an_admin_changes_the_organization(ours: Company, api_of: Callable[[Membership], Api]) -> None:
    api = api_of(ours.admin)
    changed = api.patch("organization/", {"name": "Outro nome", "region": "pt", "requires_mfa": True, "slug": "x"})
    assert changed.status_code == 200
    assert {name: changed.json()[name] for name in ("name", "region", "requires_mfa", "slug")} == {
        "name": "Outro nome",
        "region": "PT",
        "requires_mfa": True,
        "slug": ours.organization.slug,
    }
    for body in ({"region": "XX"}, {"name": " "}, {"requires_mfa": "x"}):
        assert api.patch("organization/", body).status_code == 400, body
    assert api_of(ours.rep).get("organization/").json()["region"] == "PT"
    assert api_of(ours.manager).patch("organization/", {"name": "Mine"}).status_code == 403
    assert "organization.changed" in [action for _, action, _ in audited(ours)]


# Pages


def test_an_admin_invites_changes_and_shuts_out_on_the_pages(
    ours: Company, client_of: Callable[[Membership], Client], mailoutbox: list[Any]
) -> None:
    page = client_of(ours.admin)
    assert "Nobody at the moment" in said(page.get("/members/"))
    assert "member already" in said(page.post("/members/", {"email": ours.rep.user.email, "role": "rep"}))
    done = page.post("/members/", {"email": "page@example.com", "role": "manager"}, follow=True)
    assert "on its way to page@example.com" in said(done)
    [mail] = mailoutbox
    with tenancy.inside(ours.id):
        waiting = Invitation.objects.get()
    assert "a moment ago" in said(page.post(f"/members/invitations/{waiting.pk}/", {"send": "1"}, follow=True))
    page.post(f"/members/invitations/{waiting.pk}/", {"withdraw": "1"})
    assert Client().get(link_in(mail)).status_code == 410

    path = f"/members/{ours.rep.pk}/"
    wrong = page.post(path, {"role": "rep", "phone_number": "12", "caller_id": ""})
    assert "not a valid phone number" in said(wrong)
    page.post(path, {"role": "manager", "phone_number": "", "caller_id": ""})
    assert (row_of(ours.rep).role, row_of(ours.rep).phone_number) == ("manager", "")
    page.post(path, {"is_active": "no"})
    assert not row_of(ours.rep).is_active
    assert "gets in no more" in said(page.get(path))
    page.post(path, {"is_active": "yes"})
    assert row_of(ours.rep).is_active
    kept = page.post(f"/members/{ours.admin.pk}/", {"is_active": "no"}, follow=True)
    assert "last admin" in said(kept)


def test_a_manager_sees_the_members_and_changes_none(ours: Company, client_of: Callable[[Membership], Client]) -> None:
    page = client_of(ours.manager)
    listed = page.get("/members/")
    assert ours.rep2.user.email in said(listed)
    assert "Invite somebody" not in said(listed)
    assert page.post("/members/", {"email": "x@example.com", "role": "admin"}).status_code == 403
    assert page.get(f"/members/{ours.rep.pk}/").status_code == 403
    assert client_of(ours.rep).get("/members/").status_code == 403


def test_a_member_changes_their_own_phone_on_their_profile(
    ours: Company, client_of: Callable[[Membership], Client]
) -> None:
    page = client_of(ours.rep)
    assert "not a valid phone number" in said(page.post("/profile/", {"name": "R", "phone_number": "12"}))
    saved = page.post("/profile/", {"name": "Rita", "phone_number": "11987654321"}, follow=True)
    assert "Saved" in said(saved)
    assert row_of(ours.rep).phone_number == "+5511987654321"
    assert row_of(ours.rep).user.name == "Rita"


def test_an_admin_requires_a_second_factor_on_the_page(
    ours: Company, client_of: Callable[[Membership], Client]
) -> None:
    page = client_of(ours.admin)
    assert page.post("/organization/", {"name": "", "region": "BR"}).status_code == 200
    page.post("/organization/", {"name": ours.organization.name, "region": "BR", "requires_mfa": "on"})
    assert Organization.objects.get(pk=ours.id).requires_mfa
    assert page.get("/organization/").status_code == 403, "It holds for the admin as well."
