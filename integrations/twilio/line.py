"""One request to Twilio: bounded time-outs, sent again only when it provably was not processed, errors translated."""

import json
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
import urllib3
from django.conf import settings
from django.db import transaction
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from crm.errors import AppError
from integrations.access import Credentials
from integrations.twilio import errors, words

logger = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
# Only what Twilio has provably not processed is sent again: a refused connection, and 429.
RETRY_WAITS_SECONDS = (0.2, 0.6)
# What the library raises over an answer that is not what Twilio documents.
UNREADABLE = (ValueError, AttributeError, TypeError, LookupError, ArithmeticError, RecursionError)


class _Line(HttpClient):
    """One request of the library's on its way to Twilio, and how far it got."""

    def __init__(self) -> None:
        super().__init__(logger, is_async=False)
        self.was_sent = False
        self.status: int | None = None  # of Twilio's answer
        self.body = ""
        self.retry_after: int | None = None  # seconds; the date that HTTP also allows was never seen from Twilio

    def request(
        self,
        method: str,
        uri: str,
        params: Any = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request over a connection of its own: on a kept one that Twilio has closed, an unsent request
        looks like a lost answer. Redirects are never followed.
        """
        self.was_sent, self.status, self.body, self.retry_after = False, None, "", None
        with requests.Session() as session:
            wanted = session.prepare_request(
                requests.Request(method, uri, params=params, data=data, headers=headers, auth=auth)
            )
            url = wanted.url or ""
            session.get_adapter(url)
            surroundings = session.merge_environment_settings(url, {}, None, None, None)
            self.was_sent = True  # from here on, only what Twilio answers proves anything
            answer = session.send(
                wanted, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, **surroundings
            )
        self.status, self.body = answer.status_code, answer.content.decode(errors="replace")
        self.retry_after = words.whole(answer.headers.get("Retry-After"))
        return Response(answer.status_code, self.body, answer.headers)


def host_of(credentials: Credentials) -> str:
    """The origin that an account is asked at: tokens, keys and calls are of one region.

    Without a region it is the United States'; with one it takes an edge, too.
    twilio.com/docs/global-infrastructure/api-domain-migration-guide
    """
    if settings.TWILIO_API_BASE_URL:
        return str(settings.TWILIO_API_BASE_URL)
    where = [credentials.edge, credentials.region] if credentials.region else []
    return f"https://{'.'.join(['api', *where, 'twilio.com'])}"


def ask(credentials: Credentials, question: Callable[[Client], T]) -> T:
    """Ask `question`, again only when Twilio has provably not processed it; translate whatever goes wrong."""
    refuse_in_transaction()
    for wait in (*RETRY_WAITS_SECONDS, None):
        line = _Line()
        try:
            client = Client(*credentials.login, credentials.account_sid, http_client=line)
            client.api.base_url = host_of(credentials)
            return question(client)
        except (TwilioException, requests.RequestException, *UNREADABLE) as error:
            trouble = _trouble(line, error)
            # Who was told how long to wait does not try sooner; the caller comes back then.
            again = _refused(error) or (line.status == 429 and not line.retry_after)
            if wait is None or not again:
                raise trouble from error
            time.sleep(wait)
    raise AssertionError("unreachable: the last wait is None")


def _trouble(line: _Line, error: Exception) -> AppError:
    """Whether there is a call is decided by how far the request got, not by how the library words its failure.

    Its exceptions come in three shapes, and the status in an RFC 9457 body is only advisory.
    """
    if not line.was_sent:
        logger.error("A request to Twilio could not be written: %s", type(error).__name__)  # its text may hold a token
        return errors.TwilioNotAsked(errors.CREDENTIALS if isinstance(error, UnicodeEncodeError) else errors.OURS)
    if isinstance(error, requests.RequestException):
        return lost(error)
    if line.status is not None and 400 <= line.status < 500 and line.status != 408:  # a time-out proves nothing
        wait = line.retry_after if line.status == 429 else None
        return errors.TwilioRejected(_code_in(line.body), line.status, retry_after_seconds=wait)
    if line.status is not None and line.status < 400:
        logger.error("Twilio's answer with status %s cannot be read", line.status, exc_info=error)
    return errors.TwilioUnconfirmed()


def lost(error: requests.RequestException) -> AppError:
    """No answer came: was Twilio reached at all?"""
    return errors.TwilioUnreachable() if _never_connected(error) else errors.TwilioUnconfirmed()


def _never_connected(error: requests.RequestException) -> bool:
    """Twilio cannot have seen the request: refused, or no connection within the time-out."""
    return isinstance(error, requests.ConnectTimeout) or _refused(error)


def _refused(error: Exception) -> bool:
    """A refused connection and one cut after the request are the same class; only the cause tells them apart."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _code_in(body: str) -> int | None:
    """Twilio's code, which its own errors and those of RFC 9457 hold under the same name."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return words.whole(parsed.get("code")) if isinstance(parsed, dict) else None


def refuse_in_transaction() -> None:
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("Twilio must not be asked inside a transaction: commit first.")
