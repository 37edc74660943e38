"""Is this Twilio account ready to call? Asked of Twilio without placing a call; each finding with cause and fix.

What they cannot show: that the auth token is the primary one, with which Twilio signs. Only a valid signature does.
"""

import ipaddress
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError
from django.utils import translation
from django.utils.translation import gettext_lazy

from crm.errors import AppError
from integrations.access import Credentials, credentials
from integrations.services.findings import claim_check, forget_check, save_checks, save_numbers
from integrations.twilio import client, errors

logger = logging.getLogger(__name__)

OK, WARNING, FAILED, UNKNOWN = "ok", "warning", "failed", "unknown"

# What a finding's code means: cause, and fix. Texts in the reader's language: `sentence_of`.
SENTENCES = {
    "account_active": gettext_lazy("The account is active."),
    "account_trial": gettext_lazy("This is a trial account: it calls verified numbers only, ten minutes at most."),
    "account_inactive": gettext_lazy("The account is suspended or closed. Settle that with Twilio, then verify again."),
    "token_accepted": gettext_lazy("Twilio accepts the token."),
    "key_accepted": gettext_lazy("Twilio accepts the API key."),
    "numbers_listed": gettext_lazy("The account's numbers are imported."),
    "numbers_none": gettext_lazy("The account has no number that can call. Buy one, or verify yours, at Twilio."),
    "numbers_taken": gettext_lazy("Some numbers are another organization's here already, and were left out."),
    "caller_id_own": gettext_lazy("The caller ID is a number of this account."),
    "caller_id_verified": gettext_lazy("The caller ID is verified for this account."),
    "caller_id_unknown": gettext_lazy(
        "The caller ID is neither a number of this account nor verified there. Choose another, or verify it at Twilio."
    ),
    "caller_id_silent": gettext_lazy("Twilio does not let this number make calls. Choose one with voice."),
    "origin_public": gettext_lazy("Twilio can send callbacks to this server's address."),
    "origin_simulated": gettext_lazy("Callbacks come from the simulator on this machine."),
    "origin_not_https": gettext_lazy(
        "This server's address is not https: callbacks would cross the internet in clear."
    ),
    "origin_underscore": gettext_lazy("Twilio calls no host with an underscore in its name. Ask who runs this server."),
    "origin_private": gettext_lazy(
        "This server's address is private: Twilio cannot reach it. Ask who runs this server."
    ),
}

# Why a callback is refused, as the webhook says it.
REFUSALS = (
    gettext_lazy("Only forms are accepted."),
    gettext_lazy("Not a length."),
    gettext_lazy("Too large."),
    gettext_lazy("Not a form."),
    gettext_lazy("The signature is missing or wrong."),
    gettext_lazy("Another account."),
    gettext_lazy("No call SID."),
    gettext_lazy("No SID of a contact's leg."),
    gettext_lazy("No recording SID."),
    gettext_lazy("No such call."),
    gettext_lazy("Another call's SID."),
)


def verify(organization_id: UUID) -> list[dict[str, Any]]:
    """Ask Twilio about the organization's account; keep its numbers and the findings with it, and return these.

    Each is `{"check", "result": ok|warning|failed|unknown, "code", "twilio_code", …}`; `sentence_of` words it. The
    checks are account, next_token, api_key, numbers, caller_id and origin; `unknown` when Twilio could not be asked.
    Outside of a transaction. Raises: TwilioNotConnected, SealBroken.
    """
    account = credentials(organization_id)
    if account is None:
        raise errors.TwilioNotConnected
    # With each secret on its own: one that works must not hide another that does not.
    token = replace(account, api_key_sid="", api_key_secret="", next_auth_token="")
    found = [_asked("account", lambda: _account(token))]
    if account.next_auth_token:
        following = replace(token, auth_token=account.next_auth_token)
        found.append(_asked("next_token", lambda: _account(following) and {"code": "token_accepted"}))
    listed: list[dict[str, Any]] | None = None

    def numbers() -> dict[str, Any]:
        nonlocal listed
        listed = client.fetch_numbers(account)
        return {"code": "key_accepted" if account.api_key_sid else "token_accepted"}

    asked = _asked("api_key" if account.api_key_sid else "numbers", numbers)
    if account.api_key_sid or listed is None:
        found.append(asked)
    if listed is not None:
        found.append(_numbers(listed, save_numbers(organization_id, account.account_sid, listed)))
        found.append(_caller_id(account, listed))
    found.append({"check": "origin", "twilio_code": None, **origin(settings.PUBLIC_BASE_URL)})
    save_checks(account, found)
    return found


def try_token(organization_id: UUID, token: str) -> None:
    """Have Twilio look at a token before it is stored. Raises: TwilioNotConnected, and whatever Twilio says of it."""
    account = credentials(organization_id)
    if account is None:
        raise errors.TwilioNotConnected
    client.fetch_account(replace(account, auth_token=token, next_auth_token="", api_key_sid="", api_key_secret=""))


def _asked(check: str, question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"check": check, "result": OK, "twilio_code": None, **question()}
    except AppError as trouble:
        result = FAILED if trouble.status < 500 else UNKNOWN
        return {"check": check, "result": result, "code": trouble.code, "twilio_code": trouble.twilio_code}


def _account(account: Credentials) -> dict[str, Any]:
    found = client.fetch_account(account)
    if found["status"] != "active":
        return found | {"result": FAILED, "code": "account_inactive"}
    if found["type"] == "Trial":
        return found | {"result": WARNING, "code": "account_trial"}
    return found | {"code": "account_active"}


def _numbers(listed: list[dict[str, Any]], taken: list[str]) -> dict[str, Any]:
    said = {"check": "numbers", "twilio_code": None, "can_call": sum(one["has_voice"] for one in listed)}
    if taken:
        return said | {"result": WARNING, "code": "numbers_taken", "taken": taken[:20]}
    if not said["can_call"]:
        return said | {"result": FAILED, "code": "numbers_none"}
    return said | {"result": OK, "code": "numbers_listed"}


def _caller_id(account: Credentials, listed: list[dict[str, Any]]) -> dict[str, Any]:
    mine = next((one for one in listed if one["number"] == account.default_caller_id), None)
    said = {"check": "caller_id", "twilio_code": None, "number": account.default_caller_id}
    if mine is None:
        return said | {"result": FAILED, "code": "caller_id_unknown"}
    if not mine["has_voice"]:
        return said | {"result": FAILED, "code": "caller_id_silent"}
    return said | {"result": OK, "code": "caller_id_own" if mine["kind"] == "incoming" else "caller_id_verified"}


def origin(url: str) -> dict[str, str]:
    """Judge the address that callbacks come to, by what can be known without being called."""
    if settings.TWILIO_API_BASE_URL:
        return {"result": OK, "code": "origin_simulated"}
    parts = urlsplit(url)
    host = parts.hostname or ""
    if "_" in host:
        return {"result": FAILED, "code": "origin_underscore"}
    if _is_private(host):
        return {"result": FAILED, "code": "origin_private"}
    if parts.scheme != "https":
        return {"result": FAILED, "code": "origin_not_https"}
    return {"result": OK, "code": "origin_public"}


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:  # a name
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".test", ".invalid", ".example"))


def sentence_of(finding: dict[str, Any]) -> str:
    """Word a finding for a person, in the language of the request."""
    code = str(finding.get("code"))
    return str(SENTENCES.get(code) or errors.sentence_of(code))


def worded(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return findings as they are kept, each with its `sentence`."""
    return [finding | {"sentence": sentence_of(finding)} for finding in findings]


def refusal_of(why: str) -> str:
    """Word why a callback was refused, in the language of the request; empty for none."""
    with translation.override("en"):
        known = {str(one): one for one in REFUSALS}
    return str(known.get(why, why))


def verify_due(*, seconds: float) -> int:
    """Verify the accounts whose last verification is a day old, the oldest first, for about so long; return how many.

    One that cannot be verified is logged, and comes again when its claim has run out.
    """
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until and (organization_id := claim_check()):
        try:
            verify(organization_id)
        except errors.TwilioNotConnected:
            forget_check(organization_id)
        except AppError as trouble:
            logger.warning("Organization %s could not be verified: %s", organization_id, trouble.code)
        except DatabaseError:  # what is wrong with one holds up no other
            logger.exception("Organization %s could not be verified", organization_id)
        count += 1
    return count
