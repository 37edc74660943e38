"""The organization's Twilio account, for whoever is about to ask or to check a signature."""

import threading
import time
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import QuerySet

from crm import tenancy
from crm.models import Organization
from integrations.models import Number, TwilioAccount

CACHE_SECONDS = 10.0
RELOAD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """What it takes to talk to one Twilio account; the token stays out of any repr."""

    organization_id: UUID
    account_sid: str
    auth_token: str = field(repr=False)
    default_caller_id: str
    confirms_with_key: bool
    records_calls: bool
    ring_seconds: int
    next_auth_token: str = field(default="", repr=False)
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)
    region: str = ""
    edge: str = ""
    is_signed: bool = False  # a signature of this account's was valid before
    next_is_signed: bool = False  # one with the next token was

    @property
    def login(self) -> tuple[str, str]:
        """What REST requests authenticate with: the API key, or the account with its newest token.

        Twilio takes its secondary token over REST before its promotion as after it; the primary one ends with that.
        """
        if self.api_key_sid:
            return self.api_key_sid, self.api_key_secret
        return self.account_sid, self.next_auth_token or self.auth_token

    @property
    def signing_tokens(self) -> tuple[str, ...]:
        """What Twilio may sign with: the token, and the next one from its promotion on."""
        return tuple(token for token in (self.auth_token, self.next_auth_token) if token)


def credentials(organization_id: UUID) -> Credentials | None:
    """Read the organization's Twilio credentials and rules from the database; None when it has not connected Twilio.

    Raises: vault.SealBroken when no key of ours opens the token.
    """
    with tenancy.inside(organization_id):
        account = TwilioAccount.objects.first()
    if account is None:
        return None
    return Credentials(
        organization_id=organization_id,
        account_sid=account.account_sid,
        auth_token=account.secret("auth_token"),
        default_caller_id=account.default_caller_id,
        confirms_with_key=account.confirms_with_key,
        records_calls=account.records_calls,
        ring_seconds=account.ring_seconds,
        next_auth_token=account.secret("next_auth_token"),
        api_key_sid=account.api_key_sid,
        api_key_secret=account.secret("api_key_secret"),
        region=account.region,
        edge=account.edge,
        is_signed=account.signed_at is not None,
        next_is_signed=account.next_signed_at is not None,
    )


def account_of(organization_id: UUID) -> TwilioAccount | None:
    """Return the account's row, for who shows or edits it inside the organization; None before it is connected."""
    return TwilioAccount.objects.filter(organization_id=organization_id).first()


def numbers_of(organization_id: UUID) -> QuerySet[Number]:
    """Return the numbers that calls may come from, those that can call first."""
    return Number.objects.filter(organization_id=organization_id).order_by("-has_voice", "number")


def may_call_from(number: str) -> bool:
    """Whether the organization that is set may show this E.164 number to those whom it calls."""
    return Number.objects.filter(number=number, has_voice=True).exists()


class CredentialsCache:
    """Credentials of the organizations whose callbacks arrive, at most CACHE_SECONDS old, in this process's memory.

    A callback is checked several times a second against the same token; reading and unsealing it each time would
    halve what one server takes in. A signature that fails is checked again against the database (`fresh`), at most
    once in RELOAD_SECONDS per organization, so that a new token works at once and a flood of forgeries stays cheap.
    The ordinary reading does not count: a token may have been replaced right after it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[UUID, tuple[float, Credentials | None]] = {}
        self._reloaded: dict[UUID, float] = {}

    def get(self, organization_id: UUID, *, fresh: bool = False) -> Credentials | None:
        """Return credentials; with `fresh`, as they are in the database now (or at the last fresh look)."""
        now = time.monotonic()
        read = self._read.get(organization_id)
        if read and now - read[0] < CACHE_SECONDS and not (fresh and self._may_reload(organization_id, now)):
            return read[1]
        found = credentials(organization_id) if Organization.objects.filter(pk=organization_id).exists() else None
        with self._lock:
            if len(self._read) >= 10_000:
                self._read.clear()
            if found is not None:
                self._read[organization_id] = (now, found)
            else:
                self._read.pop(organization_id, None)
        return found

    def _may_reload(self, organization_id: UUID, now: float) -> bool:
        with self._lock:
            if now - self._reloaded.get(organization_id, -RELOAD_SECONDS) < RELOAD_SECONDS:
                return False
            if len(self._reloaded) >= 10_000:
                self._reloaded.clear()
            self._reloaded[organization_id] = now
            return True

    def forget(self, organization_id: UUID) -> None:
        """Read this organization's anew, as whoever has just changed them wants; other processes have until then."""
        with self._lock:
            self._read.pop(organization_id, None)

    def clear(self) -> None:
        """Forget everything, as a new process would."""
        with self._lock:
            self._read.clear()
            self._reloaded.clear()


callback_credentials = CredentialsCache()
