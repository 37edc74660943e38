"""Asks Twilio: one function per question, with bounded time-outs, answers in our words, never inside a transaction."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests
import urllib3
from django.conf import settings
from django.db import transaction
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from crm.errors import AppError
from integrations.access import Credentials
from integrations.twilio import errors, words

logger = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
# Only what Twilio has provably not processed is sent again: a refused connection, and 429.
RETRY_WAITS_SECONDS = (0.2, 0.6)
# Asks Twilio for more than one retry of each callback, within its 15 seconds; not part of what it signs.
# twilio.com/docs/usage/webhooks/webhooks-connection-overrides
CONNECTION_OVERRIDES = "#ct=2000&rt=3000&rc=4&rp=ct,rt,5xx"
LEG_EVENTS = ("initiated", "ringing", "answered", "completed")


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call that Twilio's list knows: its SID, when it was created (UTC), and the news of it."""

    call_sid: str
    created_at: datetime | None
    news: list[words.News]


def place_call(
    credentials: Credentials, *, to: str, from_number: str, answer_url: str, fallback_url: str, status_url: str
) -> dict[str, Any]:
    """`POST /Calls`: ring `to`; return the Call resource.

    Raises: TwilioRejected and TwilioUnreachable (there is no call), TwilioUnconfirmed (there may be one: never again).
    """

    def create() -> dict[str, Any]:
        call = _client(credentials).calls.create(
            to=to,
            from_=from_number,
            url=answer_url + CONNECTION_OVERRIDES,
            method="POST",
            fallback_url=fallback_url + CONNECTION_OVERRIDES,
            fallback_method="POST",
            status_callback=status_url + CONNECTION_OVERRIDES,
            status_callback_method="POST",
            status_callback_event=list(LEG_EVENTS),
            timeout=credentials.ring_seconds,
        )
        return _resource(call)

    return _ask(create)


def fetch_call(credentials: Credentials, call_sid: str) -> dict[str, Any]:
    """Return the Call resource of one leg. Raises: TwilioRejected, TwilioUnreachable, TwilioUnconfirmed."""
    return _ask(lambda: _resource(_client(credentials).calls(call_sid).fetch()))


def fetch_children(credentials: Credentials, parent_call_sid: str) -> list[dict[str, Any]]:
    """Return the Call resources of the legs that a leg's `<Dial>` made. Raises: as `fetch_call`."""
    calls = _client(credentials).calls
    return _ask(lambda: _resources(calls.list(parent_call_sid=parent_call_sid, limit=20)))


def find_calls(credentials: Credentials, *, to: str, from_number: str) -> list[dict[str, Any]]:
    """Return the newest calls from `from_number` to `to`, newest first, at most 20.

    `StartTime` is null while a call is queued, so the list is not filtered by it. Raises: as `fetch_call`.
    """
    calls = _client(credentials).calls
    return _ask(lambda: _resources(calls.list(to=to, from_=from_number, limit=20)))


def fetch_recordings(credentials: Credentials, call_sid: str) -> list[dict[str, Any]]:
    """Return the Recording resources of a leg. Raises: as `fetch_call`."""
    recordings = _client(credentials).calls(call_sid).recordings
    return _ask(lambda: _resources(recordings.list(limit=20)))


def fetch_notifications(credentials: Credentials, call_sid: str) -> list[dict[str, Any]]:
    """Return the Notification resources of a leg. Raises: as `fetch_call`."""
    notifications = _client(credentials).calls(call_sid).notifications
    return _ask(lambda: _resources(notifications.list(limit=20)))


def end_call(credentials: Credentials, call_sid: str) -> dict[str, Any] | None:
    """End a leg in whatever state it is; return its Call resource, or None when it was over already.

    `canceled` has no effect once a call is in progress, `completed` ends it then: a leg that was answered between
    our look and our request is ended by the second. Raises: as `fetch_call`.
    """
    try:
        call = _ask(lambda: _resource(_client(credentials).calls(call_sid).update(status="canceled")))
        if call["status"] not in words.FINAL:
            call = _ask(lambda: _resource(_client(credentials).calls(call_sid).update(status="completed")))
    except errors.TwilioRejected as refusal:
        if refusal.twilio_code == errors.CALL_ALREADY_OVER:
            return None
        raise
    return call


@contextmanager
def recording_media(credentials: Credentials, recording_sid: str) -> Iterator[requests.Response | None]:
    """Open a recording's WAV, both channels where Twilio has them; None while there is no media yet (404).

    The address is made of our own base URL and the SID, never taken from a payload; a redirect to a media host is
    followed without our credentials (requests drops them across hosts). Raises: TwilioUnreachable, TwilioUnconfirmed.
    """
    _refuse_in_transaction()
    base = settings.TWILIO_API_BASE_URL or "https://api.twilio.com"
    address = f"{base}/2010-04-01/Accounts/{credentials.account_sid}/Recordings/{recording_sid}.wav"
    login = (credentials.account_sid, credentials.auth_token)
    with requests.Session() as session:
        session.trust_env = False  # or a .netrc would add credentials after a redirect
        for channels in ("2", "1"):
            try:
                answer = session.get(
                    address,
                    params={"RequestedChannels": channels},
                    headers={"Accept-Encoding": "identity"},  # so that Content-Length counts what we store
                    auth=login,
                    stream=True,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                )
            except requests.RequestException as error:
                raise _trouble(error) from error
            with answer:
                if answer.status_code == 404:
                    yield None
                    return
                if answer.status_code == 400 and channels == "2":
                    continue  # a mono recording
                if answer.status_code != 200:
                    raise errors.TwilioRejected(None, answer.status_code)
                try:
                    yield answer
                except requests.RequestException as error:  # the body broke off while it was read
                    raise _trouble(error) from error
                return


def _client(credentials: Credentials) -> Client:
    # No pool: a kept connection that Twilio has closed would make an unsent request look like a lost answer.
    http = TwilioHttpClient(pool_connections=False)
    http.timeout = (CONNECT_SECONDS, READ_SECONDS)  # the constructor refuses a pair
    client = Client(credentials.account_sid, credentials.auth_token, http_client=http)
    if settings.TWILIO_API_BASE_URL:
        client.api.base_url = settings.TWILIO_API_BASE_URL
    return client


def _ask(question: Callable[[], T]) -> T:
    """Run `question`, again only when Twilio has provably not processed it; translate what went wrong."""
    _refuse_in_transaction()
    for wait in (*RETRY_WAITS_SECONDS, None):
        try:
            return question()
        except (TwilioException, requests.RequestException) as error:
            trouble = _trouble(error)
            again = _refused(error) or (isinstance(trouble, errors.TwilioRejected) and trouble.http_status == 429)
            if wait is None or not again:
                raise trouble from error
            time.sleep(wait)
    raise AssertionError("unreachable: the last wait is None")


def _trouble(error: Exception) -> AppError:
    if isinstance(error, TwilioRestException):
        status, code = error.status, error.code
    elif isinstance(error, TwilioException):
        # A list's error carries Twilio's response instead of a code.
        response = error.args[1] if len(error.args) > 1 else None
        status, code = getattr(response, "status_code", None), _code_in(getattr(response, "text", ""))
    elif isinstance(error, requests.RequestException) and _never_connected(error):
        return errors.TwilioUnreachable()
    else:
        return errors.TwilioUnconfirmed()
    if status is None or status >= 500:
        return errors.TwilioUnconfirmed()
    return errors.TwilioRejected(code, status)


def _never_connected(error: requests.RequestException) -> bool:
    """Twilio cannot have seen the request: refused, or no connection within the time-out."""
    return isinstance(error, requests.ConnectTimeout) or _refused(error)


def _refused(error: Exception) -> bool:
    """A refused connection and one cut after the request are the same class; only the cause tells them apart."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _code_in(body: str) -> int | None:
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return words.whole(parsed.get("code")) if isinstance(parsed, dict) else None


def _resource(instance: Any) -> dict[str, Any]:
    """The resource as JSON that our journal can keep: dates as RFC 2822 text, as Twilio sends them."""
    public = {name: value for name, value in vars(instance).items() if not name.startswith("_")}
    return {name: _plain(value) for name, value in public.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _resources(instances: Iterable[Any]) -> list[dict[str, Any]]:
    return [_resource(instance) for instance in instances]


def _refuse_in_transaction() -> None:
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("Twilio must not be asked inside a transaction: commit first.")
