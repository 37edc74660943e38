"""Secrets at rest: readable only in their own row, with keys that can be rotated, and never shown."""

import base64
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from crm import tenancy, vault
from crm.vault import SealBroken, seal, unseal
from integrations.access import callback_credentials, credentials
from integrations.models import TwilioAccount
from integrations.services.connect import connect_twilio
from tests.conftest import Company

PLACE: dict[str, Any] = {"owner": uuid4(), "table": "a_table", "column": "a_column"}
OLD, NEW = (f"{name}:{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}" for name in ("old", "new"))
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _few_keys_are_remembered() -> Iterator[None]:
    yield
    vault._keys.cache_clear()


@pytest.mark.parametrize("secret", ["", TOKEN, "ünïcödé £ 日本", "x" * 10_000, "\x00:\n"])
def test_what_was_sealed_for_a_place_is_opened_there(secret: str) -> None:
    sealed = seal(secret, **PLACE)
    assert unseal(sealed, **PLACE) == secret
    assert not secret or secret not in sealed


def test_the_same_secret_never_looks_the_same() -> None:
    assert len({seal(TOKEN, **PLACE) for _ in range(100)}) == 100


@pytest.mark.parametrize("elsewhere", [{"owner": uuid4()}, {"table": "other"}, {"column": "other"}])
def test_a_sealed_value_is_worthless_in_another_place(elsewhere: dict[str, Any]) -> None:
    with pytest.raises(SealBroken):
        unseal(seal(TOKEN, **PLACE), **PLACE | elsewhere)


def test_a_token_moved_into_another_organizations_row_does_not_open(ours: Company, theirs: Company) -> None:
    owner = connections["owner"]
    with owner.cursor() as cursor:  # somebody who can write the database, policies or not
        cursor.execute(
            "UPDATE integrations_twilioaccount SET sealed_auth_token ="
            " (SELECT sealed_auth_token FROM integrations_twilioaccount WHERE organization_id = %s)"
            " WHERE organization_id = %s",
            [theirs.id, ours.id],
        )
    with pytest.raises(SealBroken):
        credentials(ours.id)
    assert credentials(theirs.id).auth_token == theirs.auth_token  # type: ignore[union-attr]


def _flip(sealed: str, position: int) -> str:
    """Change one bit of the sealed bytes."""
    key_id, _, encoded = sealed.partition(":")
    raw = bytearray(base64.urlsafe_b64decode(encoded))
    raw[position] ^= 1
    return f"{key_id}:{base64.urlsafe_b64encode(bytes(raw)).decode()}"


@pytest.mark.parametrize("position", [0, 11, 12, 20, -1])
def test_one_changed_bit_anywhere_breaks_the_seal(position: int) -> None:
    with pytest.raises(SealBroken):
        unseal(_flip(seal(TOKEN, **PLACE), position), **PLACE)


@pytest.mark.parametrize(
    "rubbish", ["", ":", "t1", "t1:", "t1:AAAA", "t1:!!!!", "t1:é", "nobody:AAAA", TOKEN, "t1:\x00"]
)
def test_what_was_never_sealed_is_refused_and_nothing_else_happens(rubbish: str) -> None:
    with pytest.raises(SealBroken):
        unseal(rubbish, **PLACE)


def test_a_new_key_seals_from_now_on_and_the_old_one_still_opens(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    before = seal(TOKEN, **PLACE)
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    after = seal(TOKEN, **PLACE)
    assert (before.split(":")[0], after.split(":")[0]) == ("old", "new")
    assert unseal(before, **PLACE) == unseal(after, **PLACE) == TOKEN
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert unseal(after, **PLACE) == TOKEN
    with pytest.raises(SealBroken, match="No key 'old'"):
        unseal(before, **PLACE)


def test_a_key_of_the_same_name_with_other_bytes_opens_nothing(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    sealed = seal(TOKEN, **PLACE)
    settings.FIELD_ENCRYPTION_KEYS = ["old:" + NEW.partition(":")[2]]
    with pytest.raises(SealBroken):
        unseal(sealed, **PLACE)


KEY = OLD.partition(":")[2]


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [""],
        ["no colon"],
        [f":{KEY}"],
        [KEY],
        [f"{KEY}:!"],
        ["short:AAAA"],
        [f"long:{KEY}AAAA"],
        ["letters:" + "é" * 43],
        ["signs:" + "!" * 44],
        [f"trailing:{KEY}!"],
        [OLD, OLD],
        [OLD, ""],
    ],
)
def test_a_malformed_key_is_said_to_be_one_without_showing_it(settings: Any, keys: list[str]) -> None:
    settings.FIELD_ENCRYPTION_KEYS = keys
    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEYS") as problem:
        seal(TOKEN, **PLACE)
    assert KEY not in str(problem.value)
    [found] = vault.check_keys()
    assert (found.id, found.msg) == ("crm.E006", str(problem.value))


def test_good_keys_pass_the_check(settings: Any) -> None:
    assert vault.check_keys() == []
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert vault.check_keys() == []


START = {
    "web": ["-c", "import crm.wsgi"],
    "worker": ["-m", "celery", "-A", "crm", "worker", "-l", "ERROR"],
    "beat": ["-m", "celery", "-A", "crm", "beat", "-l", "ERROR", "--schedule", "{folder}/schedule"],
    "a command": ["manage.py", "create_token", "nobody@example.com", "nowhere"],
    "the checks": ["manage.py", "check"],
}


@pytest.mark.parametrize("start", START.values(), ids=START)
def test_no_process_starts_with_malformed_keys(tmp_path: Path, start: list[str]) -> None:
    for keys in ("", "k1:AAAA", f"{OLD},{OLD}", f"{KEY}:!") if "crm.wsgi" in start[-1] else (f"{KEY}:!",):
        ended = subprocess.run(
            [sys.executable, *(word.format(folder=tmp_path) for word in start)],
            env=os.environ | {"FIELD_ENCRYPTION_KEYS": keys},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ended.returncode != 0
        assert "crm.E006" in ended.stderr, ended.stderr
        assert KEY not in ended.stderr + ended.stdout


def test_spaces_around_keys_do_no_harm_and_padding_may_be_left_out(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    sealed = seal(TOKEN, **PLACE)
    settings.FIELD_ENCRYPTION_KEYS = [OLD, " " + NEW.rstrip("=") + " "]
    assert unseal(sealed, **PLACE) == TOKEN


# Never shown


def test_a_broken_seal_says_nothing_of_the_secret() -> None:
    sealed = seal(TOKEN, **PLACE)
    with pytest.raises(SealBroken) as problem:
        unseal(sealed, **PLACE | {"column": "other"})
    error: BaseException | None = problem.value
    while error is not None:
        assert TOKEN not in repr(error)
        assert sealed not in repr(error)
        error = error.__cause__
    assert problem.value.__suppress_context__


def test_the_table_holds_no_token_in_clear(ours: Company) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT to_jsonb(t)::text FROM integrations_twilioaccount t")
        dump = " ".join(row for (row,) in cursor.fetchall())
    assert ours.account_sid in dump
    for token in (ours.auth_token, base64.b64encode(ours.auth_token.encode()).decode().rstrip("=")):
        assert token not in dump


def test_neither_row_nor_credentials_show_the_token(ours: Company, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with tenancy.inside(ours.id):
        account = TwilioAccount.objects.get()
    found = callback_credentials.get(ours.id)
    assert found is not None
    assert found.auth_token == account.secret("auth_token") == ours.auth_token
    for shown in (repr(account), str(account), repr(found), str(found), f"{found!r:>1}", repr([found]), caplog.text):
        assert ours.auth_token not in shown
    assert ours.auth_token not in repr(vars(account))


def test_an_empty_token_keeps_the_one_that_is_there_and_a_new_one_replaces_it(ours: Company) -> None:
    known: dict[str, Any] = {
        "organization": ours.organization,
        "account_sid": ours.account_sid,
        "default_caller_id": ours.number,
    }
    connect_twilio(**known, auth_token="", records_calls=False)
    assert (credentials(ours.id).auth_token, credentials(ours.id).records_calls) == (ours.auth_token, False)  # type: ignore[union-attr]
    connect_twilio(**known, auth_token=TOKEN)
    assert credentials(ours.id).auth_token == TOKEN  # type: ignore[union-attr]
