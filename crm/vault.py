"""Secrets at rest: AES-256-GCM, bound to the row that they belong to, with keys that can be rotated.

A sealed value reads `key id:base64url(nonce + ciphertext)`. Its owner (an organization), table and column are its
associated data, so that somebody who can write the database cannot move one organization's token into another's row.
"""

import base64
import binascii
import logging
import os
from functools import cache
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from crm.errors import AppError

logger = logging.getLogger(__name__)

NONCE_BYTES = 12


class SealBroken(AppError):
    """The value was not sealed for this row, or its key is not among FIELD_ENCRYPTION_KEYS: `why` is for the log."""

    code = "credentials_unreadable"
    status = 503
    message = _("The Twilio credentials cannot be opened: this server lacks their key. Tell whoever runs it.")

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why

    def __str__(self) -> str:
        return self.why


@cache
def _keys(entries: tuple[str, ...]) -> dict[str, AESGCM]:
    keys: dict[str, AESGCM] = {}
    for number, entry in enumerate(entries, 1):
        key_id, _, encoded = entry.strip().partition(":")
        try:
            key = _decoded(encoded + "=" * (-len(encoded) % 4))
        except (binascii.Error, ValueError):
            raise ImproperlyConfigured(f"FIELD_ENCRYPTION_KEYS: key {number} is not base64url.") from None
        # By number, never by id: where the id is forgotten or comes last, it is the key that would be shown.
        if not key_id or len(key) != 32:
            raise ImproperlyConfigured(f"FIELD_ENCRYPTION_KEYS: key {number} is not `id:base64url(32 bytes)`.")
        if key_id in keys:
            raise ImproperlyConfigured(f"FIELD_ENCRYPTION_KEYS: key {number} has the id of an earlier one.")
        keys[key_id] = AESGCM(key)
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS holds no key.")
    return keys


def _decoded(encoded: str) -> bytes:
    """Read base64url; unlike urlsafe_b64decode, refuse what does not belong there instead of skipping it."""
    return base64.b64decode(encoded.encode("ascii"), altchars=b"-_", validate=True)


def check_keys(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """The system check: FIELD_ENCRYPTION_KEYS must hold keys before any secret is sealed or opened with them."""
    try:
        _keys(tuple(settings.FIELD_ENCRYPTION_KEYS))
    except ImproperlyConfigured as problem:
        return [Error(str(problem), hint="The README says how a key is made.", id="crm.E006")]
    return []


def seal(secret: str, *, owner: UUID | str, table: str, column: str) -> str:
    """Encrypt `secret` with the first key for one column of its owner's row."""
    key_id, key = next(iter(_keys(tuple(settings.FIELD_ENCRYPTION_KEYS)).items()))
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + key.encrypt(nonce, secret.encode(), _bound_to(owner, table, column))
    return f"{key_id}:{base64.urlsafe_b64encode(sealed).decode()}"


def is_current(sealed: str) -> bool:
    """Whether a value was sealed with the first key, the one that seals now."""
    return sealed.partition(":")[0] == next(iter(_keys(tuple(settings.FIELD_ENCRYPTION_KEYS))))


def unseal(sealed: str, *, owner: UUID | str, table: str, column: str) -> str:
    """Decrypt what `seal` made for the same place, with whichever key made it. Raises: SealBroken."""
    key_id, _, encoded = sealed.partition(":")
    key = _keys(tuple(settings.FIELD_ENCRYPTION_KEYS)).get(key_id)
    if key is None:
        logger.error("A value is sealed with key %r, which is not among FIELD_ENCRYPTION_KEYS", key_id)
        raise SealBroken(f"No key {key_id!r} among FIELD_ENCRYPTION_KEYS.")
    try:
        raw = _decoded(encoded)
        bound = _bound_to(owner, table, column)
        return key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound).decode()
    except (InvalidTag, binascii.Error, ValueError):
        # Neither the value nor the reason: both say something about the secret.
        logger.error("A value in %s.%s was not sealed for its row", table, column)
        raise SealBroken("This value was not sealed for this row.") from None


def _bound_to(owner: UUID | str, table: str, column: str) -> bytes:
    return f"{owner}/{table}/{column}".encode()
