"""Secrets at rest: AES-256-GCM, bound to the row that they belong to, with keys that can be rotated.

A sealed value reads `key id:base64url(nonce + ciphertext)`. The organization, table and column are its associated
data, so that somebody who can write the database cannot move one organization's token into another's row.
"""

import base64
import binascii
import os
from functools import cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

NONCE_BYTES = 12


class SealBroken(Exception):
    """The value was not sealed for this row, or its key is not among FIELD_ENCRYPTION_KEYS."""


@cache
def _keys(entries: tuple[str, ...]) -> dict[str, AESGCM]:
    keys: dict[str, AESGCM] = {}
    for entry in entries:
        key_id, _, encoded = entry.strip().partition(":")
        try:
            key = _decoded(encoded + "=" * (-len(encoded) % 4))
        except (binascii.Error, ValueError):
            raise ImproperlyConfigured(f"FIELD_ENCRYPTION_KEYS: the key {key_id!r} is not base64url.") from None
        if not key_id or len(key) != 32 or key_id in keys:
            raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS must be `id:base64url(32 bytes)`, each id once.")
        keys[key_id] = AESGCM(key)
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS holds no key.")
    return keys


def _decoded(encoded: str) -> bytes:
    """Read base64url; unlike urlsafe_b64decode, refuse what does not belong there instead of skipping it."""
    return base64.b64decode(encoded.encode("ascii"), altchars=b"-_", validate=True)


def seal(secret: str, *, organization_id: UUID, table: str, column: str) -> str:
    """Encrypt `secret` with the first key for one column of one organization's row."""
    key_id, key = next(iter(_keys(tuple(settings.FIELD_ENCRYPTION_KEYS)).items()))
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + key.encrypt(nonce, secret.encode(), _bound_to(organization_id, table, column))
    return f"{key_id}:{base64.urlsafe_b64encode(sealed).decode()}"


def unseal(sealed: str, *, organization_id: UUID, table: str, column: str) -> str:
    """Decrypt what `seal` made for the same place, with whichever key made it. Raises: SealBroken."""
    key_id, _, encoded = sealed.partition(":")
    key = _keys(tuple(settings.FIELD_ENCRYPTION_KEYS)).get(key_id)
    if key is None:
        raise SealBroken(f"No key {key_id!r} among FIELD_ENCRYPTION_KEYS.")
    try:
        raw = _decoded(encoded)
        bound = _bound_to(organization_id, table, column)
        return key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound).decode()
    except (InvalidTag, binascii.Error, ValueError):
        # Neither the value nor the reason: both say something about the secret.
        raise SealBroken("This value was not sealed for this row.") from None


def _bound_to(organization_id: UUID, table: str, column: str) -> bytes:
    return f"{organization_id}/{table}/{column}".encode()
