"""Sessions in the database, by Django's own rules."""

from typing import Any

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """A cookie that is no key, such as one with a NUL, which PostgreSQL has no text for, is no session."""

    def _validate_session_key(self, key: Any) -> bool:
        return bool(super()._validate_session_key(key)) and key.isalnum()  # type: ignore[misc]  # Django's stubs lack it
