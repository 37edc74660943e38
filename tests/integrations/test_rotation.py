"""The auth token is replaced without a lost callback: two are accepted; the old one goes once Twilio has changed."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connections
from django.utils import timezone

from crm import tenancy
from crm.errors import AppError
from integrations.access import account_of, callback_credentials
from integrations.models import TwilioAccount
from integrations.services import rotate
from tests.calls.test_webhooks import post, said_of, sign
from tests.conftest import Api, Company, World, callbacks_of, eventually, read_call
from tests.crm.rows import make_call

NEXT = "the-next-token"


def row_of(company: Company) -> TwilioAccount:
    """The account's row as it is now."""
    with tenancy.inside(company.id):
        account = account_of(company.id)
    assert account is not None
    return account


def age_promotion(company: Company) -> None:
    """Let the time pass in which what was signed with the old token may still be tried again."""
    with tenancy.inside(company.id):
        TwilioAccount.objects.update(
            next_signed_at=timezone.now() - rotate.PROMOTION_OVERLAP - timedelta(seconds=1),
        )


@pytest.fixture
def rotating(ours: Company) -> Company:
    """An organization with a second token beside its own."""
    rotate.set_next_token(organization=ours.organization, next_auth_token=NEXT)
    return ours


def test_both_tokens_are_accepted_and_no_third(rotating: Company) -> None:
    call = make_call(rotating)
    for number, (token, expected) in enumerate([(rotating.auth_token, 204), (NEXT, 204), ("third", 403)]):
        said = said_of(rotating, call, SequenceNumber=str(number))
        assert post(rotating, call.pk, "agent", said, token=token).status_code == expected
    assert callbacks_of(rotating, call.pk).count == 2
    row = row_of(rotating)
    assert row.signed_at
    assert row.next_signed_at


def test_the_old_token_goes_by_itself_minutes_after_twilio_signed_with_the_new_one(rotating: Company) -> None:
    call = make_call(rotating)
    post(rotating, call.pk, "agent", said_of(rotating, call), token=NEXT)
    rotate.note_callbacks(rotating.id)
    assert row_of(rotating).secret("auth_token") == rotating.auth_token, "What is tried again may be signed with it."
    age_promotion(rotating)
    rotate.note_callbacks(rotating.id)
    row = row_of(rotating)
    assert (row.secret("auth_token"), row.secret("next_auth_token")) == (NEXT, "")
    callback_credentials.clear()  # as another process, seconds later
    late = said_of(rotating, call, SequenceNumber="7")
    assert post(rotating, call.pk, "agent", late).status_code == 403
    assert post(rotating, call.pk, "agent", late, token=NEXT).status_code == 204


def test_a_token_that_never_signed_is_not_promoted_unless_somebody_insists(rotating: Company) -> None:
    admin = Api(rotating.admin)
    refused = admin.post("twilio/promote/")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "token_not_promoted")
    assert row_of(rotating).secret("auth_token") == rotating.auth_token
    assert admin.post("twilio/promote/", {"now": True}).status_code == 200
    assert row_of(rotating).secret("auth_token") == NEXT
    assert admin.post("twilio/promote/").json()["errors"][0]["code"] == "no_next_token"


def test_the_next_token_can_be_forgotten(rotating: Company) -> None:
    assert Api(rotating.admin).delete("twilio/next-token/").status_code == 204
    call = make_call(rotating)
    assert post(rotating, call.pk, "agent", said_of(rotating, call), token=NEXT).status_code == 403


def test_what_another_process_remembers_of_a_rotation_never_costs_the_token(rotating: Company) -> None:
    """The way in which the token was once erased: promoted here, while another process still took it for the next."""
    rotate.promote_token(organization=rotating.organization, now=True)
    rotate.note_signed(rotating.id, NEXT)
    rotate.note_signed(rotating.id, rotating.auth_token)  # the old one, remembered elsewhere
    row = row_of(rotating)
    assert row.signed_at
    assert row.next_signed_at is None
    with tenancy.inside(rotating.id):
        TwilioAccount.objects.update(last_callback_at=None)
    rotate.note_callbacks(rotating.id)
    assert row_of(rotating).secret("auth_token") == NEXT


@pytest.mark.parametrize("columns", [{"sealed_auth_token": ""}, {"next_signed_at": timezone.now()}])
def test_the_database_keeps_no_account_without_its_token(ours: Company, columns: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), tenancy.inside(ours.id):
        TwilioAccount.objects.update(**columns)


def test_a_token_that_twilio_signs_with_is_neither_forgotten_nor_replaced(rotating: Company, world: World) -> None:
    world.twilio.ask("POST", "accounts", rotating.account() | {"secondary_auth_token": "third"})
    call = make_call(rotating)
    assert post(rotating, call.pk, "agent", said_of(rotating, call), token=NEXT).status_code == 204
    admin = Api(rotating.admin)
    for refused in (admin.delete("twilio/next-token/"), admin.put("twilio/next-token/", {"auth_token": "third"})):
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "token_in_use")
    later = said_of(rotating, call, SequenceNumber="2")
    assert post(rotating, call.pk, "agent", later, token=NEXT).status_code == 204


def test_an_empty_key_signs_nothing(ours: Company) -> None:
    from integrations.twilio.signatures import signature_is_valid

    url, params = "https://crm.example.com/x", {"a": "b"}
    signed = sign("", url, list(params.items()))
    assert not signature_is_valid(auth_token="", url=url, params=params, signature=signed)


def test_a_new_token_in_its_place_ends_the_rotation(rotating: Company) -> None:
    rotating.connect(auth_token="another")
    row = row_of(rotating)
    assert (row.secret("auth_token"), row.sealed_next_auth_token) == ("another", "")


@pytest.mark.parametrize("column", ["sealed_auth_token", "sealed_next_auth_token"])
def test_a_dump_shows_neither_token(rotating: Company, column: str) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM integrations_twilioaccount WHERE organization_id = %s", [rotating.id])
        [sealed] = cursor.fetchone()
    assert sealed
    assert NEXT not in sealed
    assert rotating.auth_token not in sealed


def test_what_was_sealed_as_one_token_is_not_opened_as_the_other(rotating: Company) -> None:
    with tenancy.inside(rotating.id):
        row = TwilioAccount.objects.get()
        row.sealed_auth_token = row.sealed_next_auth_token
        with pytest.raises(AppError, match="not sealed for this row"):
            row.secret("auth_token")


# At Twilio


def test_a_rotation_at_twilio_loses_no_call_and_no_callback(running: World, company: Company) -> None:
    tokens = {"auth_token": company.auth_token, "secondary_auth_token": NEXT}
    running.twilio.ask("POST", "accounts", company.account() | tokens)
    admin = Api(company.admin)
    wrong = admin.put("twilio/next-token/", {"auth_token": "wrong"})
    assert (wrong.status_code, wrong.json()["errors"][0]["twilio_code"]) == (422, 20003)
    assert not row_of(company).sealed_next_auth_token
    assert admin.put("twilio/next-token/", {"auth_token": NEXT}).json()["has_next_auth_token"] is True
    call_before = talk(company)
    # Promoted at Twilio: it signs with the new token, and the old one is nobody's any more.
    running.twilio.ask("POST", "accounts", company.account() | {"auth_token": NEXT})
    call_after = talk(company)
    assert {call_before, call_after} == {"completed"}
    assert row_of(company).next_signed_at
    age_promotion(company)
    rotate.note_callbacks(company.id)
    assert row_of(company).secret("auth_token") == NEXT


def talk(company: Company) -> str:
    """Play a call to its end; return its status."""
    call = Api(company.rep).post("calls/", {"contact": str(company.contact.pk)}).json()
    return eventually(
        lambda: (row := read_call(company, UUID(call["id"]))).stage == "ended" and row.status, what="the call is over"
    )
