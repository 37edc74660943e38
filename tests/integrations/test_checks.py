"""Verification: each thing that can be wrong with an account is found without a call, with its cause and fix."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from calls import webhooks
from crm import tenancy
from integrations import checks
from integrations.access import account_of, numbers_of
from integrations.services.connect import connect_twilio
from integrations.twilio.errors import TwilioNotConnected
from tests.conftest import Api, Company, World, make_company

KEY = "SK" + "a" * 32


def new_key() -> str:
    """An API key's SID that no other test uses: a key is one account's."""
    return f"SK{uuid4().hex}"


def verified(company: Company) -> dict[str, Any]:
    """Verify over REST; return the findings by what was checked."""
    answer = Api(company.admin).post("twilio/verify/")
    assert answer.status_code == 200, answer.content
    return {one["check"]: one for one in answer.json()["checks"]}


def at_twilio(world: World, company: Company, **changes: Any) -> None:
    """Change what the simulated Twilio knows of the account."""
    world.twilio.ask("POST", "accounts", company.account() | changes)


def results(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The findings in short."""
    return {check: (one["result"], one["code"]) for check, one in found.items()}


def test_an_account_in_order(world: World, company: Company) -> None:
    found = verified(company)
    assert results(found) == {
        "account": ("ok", "account_active"),
        "numbers": ("ok", "numbers_listed"),
        "caller_id": ("ok", "caller_id_own"),
        "origin": ("ok", "origin_simulated"),
    }
    assert all(one["sentence"] and one["twilio_code"] is None for one in found.values())
    assert world.twilio.calls_made(company) == []
    with tenancy.inside(company.id):
        account = account_of(company.id)
        assert account
        assert account.checked_at
        assert account.signed_at is None, "Only a signature verifies the webhook."


@pytest.mark.parametrize(
    ("at", "check", "expected"),
    [
        ({"auth_token": "replaced"}, "account", ("failed", "twilio_credentials_rejected", 20003)),
        ({"auth_token": "replaced"}, "numbers", ("failed", "twilio_credentials_rejected", 20003)),
        ({"status": "suspended"}, "account", ("failed", "account_inactive", None)),
        ({"status": "suspended"}, "numbers", ("failed", "twilio_account_inactive", 20005)),
        ({"type": "Trial"}, "account", ("warning", "account_trial", None)),
        ({"numbers": []}, "caller_id", ("failed", "caller_id_unknown", None)),
        ({"numbers": []}, "numbers", ("failed", "numbers_none", None)),
    ],
    ids=str,
)
def test_what_is_wrong_at_twilio_is_named(
    world: World, company: Company, at: dict[str, Any], check: str, expected: tuple[str, str, int | None]
) -> None:
    at_twilio(world, company, **at)
    found = verified(company)[check]
    assert (found["result"], found["code"], found["twilio_code"]) == expected
    assert found["sentence"]


def test_a_token_of_another_account_never_says_success(world: World, company: Company) -> None:
    other = make_company("Other")
    world.twilio.knows(other)
    company.connect(auth_token=other.auth_token)
    found = verified(company)
    assert found["account"]["result"] == found["numbers"]["result"] == "failed"
    assert "caller_id" not in found, "Nobody could be asked."


def test_a_caller_id_may_be_verified_or_lack_a_voice(world: World, company: Company) -> None:
    at_twilio(world, company, numbers=[], verified=[company.number])
    assert results(verified(company))["caller_id"] == ("ok", "caller_id_verified")
    at_twilio(world, company, numbers=[], without_voice=[company.number])
    assert results(verified(company))["caller_id"] == ("failed", "caller_id_silent")


def test_each_secret_is_checked_on_its_own(world: World, company: Company) -> None:
    key = new_key()
    at_twilio(world, company, api_keys={key: "the-secret"})
    company.connect(api_key_sid=key, api_key_secret="the-secret")
    assert results(verified(company))["api_key"] == ("ok", "key_accepted")
    at_twilio(world, company, api_keys={key: "the-secret"}, auth_token="replaced")
    found = results(verified(company))
    assert found["account"][0] == "failed"
    assert found["api_key"] == ("ok", "key_accepted")
    at_twilio(world, company)
    found = results(verified(company))
    assert found["account"] == ("ok", "account_active")
    assert found["api_key"] == ("failed", "twilio_credentials_rejected")


def test_a_twilio_that_cannot_be_asked_is_unknown_and_not_wrong(company: Company, settings: Any) -> None:
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:1"
    found = results(verified(company))
    assert found["account"] == found["numbers"] == ("unknown", "twilio_unreachable")


def test_every_number_is_imported_and_what_is_gone_goes(world: World, company: Company) -> None:
    many = [f"+1500555{number:04}" for number in range(700)]  # more than a page of Twilio's
    at_twilio(world, company, numbers=[company.number, *many], verified=["+15005550010", company.number])
    verified(company)
    with tenancy.inside(company.id):
        listed = {one.number: one.kind for one in numbers_of(company.id)}
    assert len(listed) == 701
    assert listed[company.number] == "incoming"
    at_twilio(world, company, without_voice=[many[0]], verified=[many[1]])
    found = verified(company)
    shown = Api(company.admin).get("twilio/numbers/").json()
    assert [(one["number"], one["kind"], one["has_voice"]) for one in shown] == [
        (many[1], "verified", True),
        (company.number, "incoming", True),
        (many[0], "incoming", False),
    ]
    assert found["caller_id"]["result"] == "ok"


def test_a_number_is_one_organizations_only(world: World, company: Company) -> None:
    verified(company)
    other = make_company("Other")
    at_twilio(world, other, verified=[company.number])
    found = verified(other)["numbers"]
    assert (found["result"], found["code"]) == ("warning", "numbers_taken")
    assert company.number not in {one["number"] for one in Api(other.admin).get("twilio/numbers/").json()}
    assert company.number in {one["number"] for one in Api(company.admin).get("twilio/numbers/").json()}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://crm.example.com", "origin_public"),
        ("http://crm.example.com", "origin_not_https"),
        ("https://my_crm.example.com", "origin_underscore"),
        ("https://localhost", "origin_private"),
        ("https://crm", "origin_private"),
        ("https://192.168.1.20", "origin_private"),
        ("https://127.0.0.1:8000", "origin_private"),
        ("https://[::1]", "origin_private"),
        ("https://crm.internal", "origin_private"),
        ("https://8.8.8.8", "origin_public"),
    ],
)
def test_the_address_for_callbacks_is_judged(url: str, code: str, settings: Any) -> None:
    settings.TWILIO_API_BASE_URL = ""
    assert checks.origin(url)["code"] == code


def test_nobody_is_asked_before_an_account_is_connected(ours: Company) -> None:
    with tenancy.inside(ours.id):
        row = account_of(ours.id)
        assert row
        row.delete()
    with pytest.raises(TwilioNotConnected):
        checks.verify(ours.id)
    for answer in (Api(ours.admin).get("twilio/"), Api(ours.admin).post("twilio/verify/")):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "twilio_not_connected")


def test_every_code_has_a_sentence_in_both_languages(company: Company) -> None:
    from django.utils import translation

    for code in checks.SENTENCES:
        with translation.override("pt-br"):
            portuguese = checks.sentence_of({"code": code})
        assert portuguese != checks.sentence_of({"code": code}), code


def test_every_reason_of_the_webhook_is_worded() -> None:
    source = Path(webhooks.__file__).read_text()
    reasons = set(re.findall(r'Refused\("([^"]+)"', source))
    assert len(reasons) > 8
    assert reasons == {str(one) for one in checks.REFUSALS}


# Connecting


GOOD = {"account_sid": "AC" + "0" * 32, "auth_token": "t", "default_caller_id": "+551132345678"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"account_sid": "AC123"}, "account_sid"),
        ({"account_sid": "SK" + "0" * 32}, "account_sid"),
        ({"auth_token": "with space"}, "auth_token"),
        ({"auth_token": "açaí"}, "auth_token"),
        ({"auth_token": ""}, "auth_token"),
        ({"default_caller_id": "12"}, None),
        ({"api_key_sid": "SK1", "api_key_secret": "s"}, "api_key_sid"),
        ({"api_key_sid": KEY}, "api_key_secret"),
        ({"api_key_secret": "s"}, "api_key_sid"),
        ({"region": "ie1"}, "edge"),
        ({"edge": "dublin"}, "region"),
        ({"region": "ie1.evil", "edge": "dublin"}, "region"),
        ({"region": "ie1", "edge": "x/../y"}, "region"),
        ({"ring_seconds": 4}, "ring_seconds"),
    ],
    ids=str,
)
def test_bad_input_gets_a_clear_error_and_changes_nothing(
    ours: Company, changes: dict[str, Any], field: str | None
) -> None:
    with tenancy.inside(ours.id):
        before = vars(account_of(ours.id)).copy()
    answer = Api(ours.admin).put("twilio/", GOOD | changes)
    assert answer.status_code == 400, answer.content
    assert field in (None, answer.json()["errors"][0]["attr"])
    for secret in ("with space", ours.auth_token):
        assert secret not in answer.content.decode()
    with tenancy.inside(ours.id):
        after = vars(account_of(ours.id)).copy()
    del before["_state"], after["_state"]
    assert after == before


def test_an_account_is_connected_and_shown_without_its_secrets(ours: Company) -> None:
    answer = Api(ours.admin).put(
        "twilio/",
        GOOD | {"auth_token": "s3cret", "api_key_sid": KEY, "api_key_secret": "k3y", "region": "ie1", "edge": "dublin"},
    )
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["account_sid"], shown["api_key_sid"], shown["has_api_key_secret"]) == (GOOD["account_sid"], KEY, True)
    assert shown["webhook_address"].endswith(f"/webhooks/twilio/{ours.id}/")
    assert shown["verified_by_webhook_at"] is None
    for said in (answer, Api(ours.admin).get("twilio/")):
        assert "s3cret" not in said.content.decode()
        assert "k3y" not in said.content.decode()


def test_another_account_waits_until_the_calls_are_over(ours: Company) -> None:
    from tests.crm.rows import make_call

    make_call(ours)
    answer = Api(ours.admin).put("twilio/", GOOD)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "calls_under_way")
    same = Api(ours.admin).put("twilio/", GOOD | {"account_sid": ours.account_sid, "auth_token": "new"})
    assert same.status_code == 200, "A token may be replaced at any time."


def test_an_api_key_makes_the_calls(world: World, company: Company) -> None:
    key = new_key()
    at_twilio(world, company, api_keys={key: "the-secret"})
    connect_twilio(
        organization=company.organization,
        account_sid=company.account_sid,
        default_caller_id=company.number,
        api_key_sid=key,
        api_key_secret="the-secret",
    )
    at_twilio(world, company, api_keys={key: "the-secret"}, auth_token="only-signs-now")
    assert Api(company.rep).post("calls/", {"contact": str(company.contact.pk)}).status_code == 201


def test_what_comes_and_what_is_refused_is_shown(ours: Company) -> None:
    from integrations.services.rotate import note_callbacks
    from tests.calls.test_webhooks import post, said_of
    from tests.crm.rows import make_call

    call = make_call(ours)
    assert post(ours, call.pk, "agent", said_of(ours, call), token="wrong").status_code == 403
    shown = Api(ours.admin).get("twilio/").json()
    assert shown["last_rejected_at"]
    assert shown["last_rejected_why"] == "The signature is missing or wrong."
    assert shown["verified_by_webhook_at"] is None
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204
    note_callbacks(ours.id)
    shown = Api(ours.admin).get("twilio/").json()
    assert shown["verified_by_webhook_at"]
    assert shown["last_callback_at"]
