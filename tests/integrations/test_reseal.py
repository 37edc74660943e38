"""Keys are replaced while everything runs: one command seals what an old key had sealed."""

import base64
import os
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from crm import tenancy
from integrations.access import credentials
from integrations.models import TwilioAccount
from tests.calls.test_webhooks import post, said_of
from tests.conftest import Company, make_company
from tests.crm.rows import make_call

KEY = "SK" + "a" * 32


@pytest.fixture
def only_these() -> tuple[Company, Company]:
    """Two organizations with all their secrets, and no others with any: those of other tests have keys of their own."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM integrations_twilioaccount")
    companies = make_company("First"), make_company("Second")
    for company in companies:
        company.connect(api_key_sid=KEY, api_key_secret=f"key of {company.id}".replace(" ", "-"))
    return companies


def new_key(name: str) -> str:
    """A key as FIELD_ENCRYPTION_KEYS holds it."""
    return f"{name}:{base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip('=')}"


def sealed_with(company: Company) -> set[str]:
    """The ids of the keys that seal an organization's secrets."""
    with tenancy.inside(company.id):
        row = TwilioAccount.objects.get()
    return {row.sealed_auth_token.partition(":")[0], row.sealed_api_key_secret.partition(":")[0]}


def reseal() -> str:
    """Run the command; return what it says."""
    said = StringIO()
    call_command("reseal_secrets", stdout=said, stderr=said)
    return said.getvalue()


def test_a_key_is_replaced_with_no_secret_and_no_callback_lost(
    only_these: tuple[Company, Company], settings: Any
) -> None:
    first, second = only_these
    old = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = [new_key("new"), *old]
    call = make_call(first)
    assert post(first, call.pk, "agent", said_of(first, call)).status_code == 204, "The old key still opens."
    assert "4 secrets of 2 organizations" in reseal()
    assert sealed_with(first) == sealed_with(second) == {"new"}
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    for company in only_these:
        account = credentials(company.id)
        assert account
        assert (account.auth_token, account.api_key_secret) == (company.auth_token, f"key-of-{company.id}")
    assert "0 secrets of 0 organizations" in reseal(), "Again, there is nothing to do."


def test_it_goes_on_where_it_was_stopped_and_names_what_no_key_opens(
    only_these: tuple[Company, Company], settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = only_these
    old = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = [new_key("lost")]
    first.connect(auth_token="sealed-with-a-key-that-is-lost", api_key_sid=KEY, api_key_secret="and-this")
    settings.FIELD_ENCRYPTION_KEYS = [new_key("new"), *old]
    said = StringIO()
    with pytest.raises(CommandError, match="1 organizations"):
        call_command("reseal_secrets", stdout=said, stderr=said)
    assert str(first.id) in said.getvalue()
    assert "2 secrets of 1 organizations" in said.getvalue()
    assert sealed_with(second) == {"new"}
    assert sealed_with(first) == {"lost"}
    for company in only_these:
        assert company.auth_token not in said.getvalue()


def test_a_dump_without_the_keys_is_useless(only_these: tuple[Company, Company], settings: Any) -> None:
    secrets = [secret for company in only_these for secret in (company.auth_token, f"key-of-{company.id}")]
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{table}\" t")
            [held] = cursor.fetchone()
            assert not [secret for secret in secrets if secret in held], table
    settings.FIELD_ENCRYPTION_KEYS = [new_key("another")]
    from crm.vault import SealBroken

    with pytest.raises(SealBroken):
        credentials(only_these[0].id)
