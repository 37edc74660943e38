"""Asks Twilio: one function per question, with bounded time-outs, answers in our words, never inside a transaction."""

import json
import logging
import re
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
# Asks Twilio for more than one retry of each callback, within its 15 seconds; not part of what it signs.
# twilio.com/docs/usage/webhooks/webhooks-connection-overrides
CONNECTION_OVERRIDES = "#ct=2000&rt=3000&rc=4&rp=ct,rt,5xx"
# A whole call makes some 15 requests; a page of Twilio's holds 1000.
MOST_EVENTS = 500
MOST_NUMBERS, NUMBERS_PAGE = 10_000, 500
# What the library raises over an answer that is not what Twilio documents.
UNREADABLE = (ValueError, AttributeError, TypeError, LookupError, ArithmeticError, RecursionError)
LEG_EVENTS = ("initiated", "ringing", "answered", "completed")
# Of media, at most so much is read at a time.
PIECE_BYTES = 64 * 1024
CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+|\*)")
VERSION_LENGTH = 200
NOT_MEDIA = ("text/", "application/json", "application/xml", "application/xhtml")


@dataclass(frozen=True, slots=True)
class Media:
    """A recording's media on its way: which bytes come, and what tells this media from another under the same name."""

    start: int  # how many bytes of the whole come before the first one of `body`
    total: int | None  # bytes of the whole, if Twilio says it
    version: str  # its strong ETag, or when it was last modified; empty if Twilio says neither
    ends_by_itself: bool  # the end of the body can be told from a line that was cut
    body: Iterator[bytes]


def place_call(
    credentials: Credentials, *, to: str, from_number: str, answer_url: str, fallback_url: str, status_url: str
) -> dict[str, Any]:
    """`POST /Calls`: ring `to`; return the Call resource.

    Raises: TwilioRejected and TwilioUnreachable (there is no call), TwilioUnconfirmed (there may be one: never again).
    """

    def create(twilio: Client) -> dict[str, Any]:
        call = twilio.calls.create(
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
        return _resource("CA", call)

    return _ask(credentials, create)


def fetch_call(credentials: Credentials, call_sid: str) -> dict[str, Any]:
    """Return the Call resource of one leg. Raises: TwilioRejected, TwilioUnreachable, TwilioUnconfirmed."""
    return _ask(credentials, lambda twilio: _resource("CA", twilio.calls(call_sid).fetch()))


def fetch_children(credentials: Credentials, parent_call_sid: str) -> list[dict[str, Any]]:
    """Return the Call resources of the legs that a leg's `<Dial>` made. Raises: as `fetch_call`."""
    return _ask(
        credentials, lambda twilio: _resources("CA", twilio.calls.list(parent_call_sid=parent_call_sid, limit=20))
    )


def find_calls(credentials: Credentials, *, to: str, from_number: str) -> list[dict[str, Any]]:
    """Return the newest calls from `from_number` to `to`, newest first, at most 20.

    `StartTime` is null while a call is queued, so the list is not filtered by it. Raises: as `fetch_call`.
    """
    return _ask(credentials, lambda twilio: _resources("CA", twilio.calls.list(to=to, from_=from_number, limit=20)))


def fetch_recordings(credentials: Credentials, call_sid: str) -> list[dict[str, Any]]:
    """Return the Recording resources of a leg. Raises: as `fetch_call`."""
    return _ask(credentials, lambda twilio: _resources("RE", twilio.calls(call_sid).recordings.list(limit=20)))


def delete_recording(credentials: Credentials, recording_sid: str) -> None:
    """Delete a recording at Twilio, media and all; one that is gone already is fine. Raises: as `fetch_call`."""
    try:
        _ask(credentials, lambda twilio: twilio.recordings(recording_sid).delete())
    except errors.TwilioRejected as refusal:
        if refusal.http_status != 404:
            raise


def fetch_notifications(credentials: Credentials, call_sid: str) -> list[dict[str, Any]]:
    """Return the Notification resources of a leg. Raises: as `fetch_call`."""
    return _ask(credentials, lambda twilio: _resources("NO", twilio.calls(call_sid).notifications.list(limit=20)))


def fetch_events(credentials: Credentials, call_sid: str) -> list[dict[str, dict[str, Any]]]:
    """Return every request that Twilio made for a leg, or was sent about it, and what it was answered.

    Each is `{"request": {method, url, parameters}, "response": {response_code, date_created, …}}`, with parameters'
    names in snake case (twilio.com/docs/voice/api/call-event-resource). Raises: as `fetch_call`.
    """

    def ask(twilio: Client) -> list[dict[str, dict[str, Any]]]:
        found = twilio.calls(call_sid).events.list(limit=MOST_EVENTS)
        return [{"request": one.request or {}, "response": one.response or {}} for one in found]

    return _ask(credentials, ask)


def fetch_account(credentials: Credentials) -> dict[str, str]:
    """Return the account's `name`, `status` (active, suspended, closed) and `type` (Trial, Full).

    Not the resource as it is: that holds the auth token. Standard API keys may not read it. Raises: as `fetch_call`.
    """

    def ask(twilio: Client) -> dict[str, str]:
        found = twilio.api.accounts(credentials.account_sid).fetch()
        return {
            "name": words.storable(found.friendly_name or ""),
            "status": words.storable(found.status or ""),
            "type": words.storable(found.type or ""),
        }

    return _ask(credentials, ask)


def fetch_numbers(credentials: Credentials) -> list[dict[str, Any]]:
    """Return the numbers that calls of this account may come from, at most MOST_NUMBERS of each kind.

    Each is `{"number", "kind": incoming or verified, "sid", "name", "has_voice"}`: Twilio's own first. One that Twilio
    lists twice is one; a verified number is a person's telephone, so it has a voice. Raises: as `fetch_call`.
    """

    def ask(twilio: Client) -> list[dict[str, Any]]:
        def listed(kind: str, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
            for row in rows:
                sid = words.sid_of("PN", row.sid)
                if sid is None or not isinstance(row.phone_number, str):
                    raise ValueError("A number without a SID.")
                if not words.is_e164(row.phone_number):
                    continue  # a short code
                capabilities = getattr(row, "capabilities", None)
                has_voice = bool(capabilities.get("voice")) if isinstance(capabilities, dict) else kind == "verified"
                name = words.storable(str(row.friendly_name or ""))[:200]
                yield {"number": row.phone_number, "kind": kind, "sid": sid, "name": name, "has_voice": has_voice}

        incoming = twilio.incoming_phone_numbers.stream(limit=MOST_NUMBERS, page_size=NUMBERS_PAGE)
        verified = twilio.outgoing_caller_ids.stream(limit=MOST_NUMBERS, page_size=NUMBERS_PAGE)
        found: dict[str, dict[str, Any]] = {}
        for one in (*listed("incoming", incoming), *listed("verified", verified)):
            found.setdefault(one["number"], one)
        return list(found.values())

    return _ask(credentials, ask)


def end_call(credentials: Credentials, call_sid: str) -> dict[str, Any] | None:
    """End a leg in whatever state it is; return its Call resource, or None when it was over already.

    `canceled` has no effect once a call is in progress, `completed` ends it then: a leg that was answered between
    our look and our request is ended by the second. Raises: as `fetch_call`.
    """

    def update(status: str) -> dict[str, Any]:
        return _ask(credentials, lambda twilio: _resource("CA", twilio.calls(call_sid).update(status=status)))

    try:
        call = update("canceled")
        if call["status"] not in words.FINAL:
            call = update("completed")
    except errors.TwilioRejected as refusal:
        if refusal.twilio_code == errors.CALL_ALREADY_OVER:
            return None
        raise
    return call


@contextmanager
def recording_media(
    credentials: Credentials, recording_sid: str, *, after: int = 0, version: str = "", total: int | None = None
) -> Iterator[Media | None]:
    """Open a recording's WAV, both channels where Twilio has them; None while there is no media yet (404).

    With `after`, only what follows that many bytes is asked for, and only of the same media: the one with this
    `version` and `total`, where they are known. Whoever has another one, or knows no ranges, sends the whole, so what
    comes begins at `after` or at 0. The address is made of our own base URL and the SID, never taken from a payload;
    a redirect to a media host is followed without our credentials (requests drops them across hosts). Raises, also
    while the body is read: as `fetch_call`.
    """
    _refuse_in_transaction()
    address = f"{_host(credentials)}/2010-04-01/Accounts/{credentials.account_sid}/Recordings/{recording_sid}.wav"
    channels = "2"
    with requests.Session() as session:
        session.trust_env = False  # or a .netrc would add credentials after a redirect
        while True:
            headers = {"Accept-Encoding": "identity"}  # so that lengths and places count what we store
            if after:
                headers["Range"] = f"bytes={after}-"
                if version:
                    headers["If-Range"] = version
            try:
                answer = session.get(
                    address,
                    params={"RequestedChannels": channels},
                    headers=headers,
                    auth=credentials.login,
                    stream=True,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                )
            except UnicodeEncodeError as error:
                raise errors.TwilioNotAsked(errors.CREDENTIALS) from error
            except requests.RequestException as error:
                raise _lost(error) from error
            with answer:
                if answer.status_code == 404:
                    yield None
                    return
                if answer.status_code == 400 and channels == "2":
                    channels = "1"  # a mono recording
                    continue
                if answer.status_code not in (200, 206, 416) or (answer.status_code != 200 and not after):
                    wait = words.whole(answer.headers.get("Retry-After")) if answer.status_code == 429 else None
                    raise errors.TwilioRejected(None, answer.status_code, retry_after_seconds=wait)
                if answer.status_code == 200 and answer.headers.get("Content-Type", "").lower().startswith(NOT_MEDIA):
                    raise errors.TwilioUnconfirmed()  # a page of somebody on the way
                media = _media(answer)
                if answer.status_code != 200 and not _continues(media, after, version, total):
                    after = 0
                    continue
                yield media
                return


def _media(answer: requests.Response) -> Media:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise errors.TwilioUnconfirmed()  # then no length or place would be of what we store
    length = _bytes(answer.headers.get("Content-Length", ""))
    start, total = 0, length
    if answer.status_code != 200:
        place = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        start, total = (int(place[1]), _bytes(place[2])) if place else (-1, None)
    coding = answer.headers.get("Transfer-Encoding", "")
    # Only a strong ETag says that the bytes are the same (RFC 9110, 13.1.5).
    tag = answer.headers.get("ETag", "")
    version = tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")
    return Media(
        start=start,
        total=total,
        version=version if len(version) <= VERSION_LENGTH and version.isascii() and version.isprintable() else "",
        ends_by_itself=total is not None or (answer.status_code == 200 and coding.lower() == "chunked"),
        body=_body(answer),
    )


def _bytes(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _continues(media: Media, after: int, version: str, total: int | None) -> bool:
    """Whether a partial answer is the rest of the media that we have the beginning of."""
    same_version = not (version and media.version) or media.version == version
    return media.start == after and same_version and total in (None, media.total)


def _body(answer: requests.Response) -> Iterator[bytes]:
    """What comes, as it comes: a slow line never makes us wait for a whole chunk."""
    try:
        while piece := answer.raw.read1(PIECE_BYTES, decode_content=False):
            yield piece
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise errors.TwilioUnconfirmed() from error


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


def _host(credentials: Credentials) -> str:
    """The origin that an account is asked at: tokens, keys and calls are of one region.

    Without a region it is the United States'; with one it takes an edge, too.
    twilio.com/docs/global-infrastructure/api-domain-migration-guide
    """
    if settings.TWILIO_API_BASE_URL:
        return str(settings.TWILIO_API_BASE_URL)
    where = [credentials.edge, credentials.region] if credentials.region else []
    return f"https://{'.'.join(['api', *where, 'twilio.com'])}"


def _ask(credentials: Credentials, question: Callable[[Client], T]) -> T:
    """Ask `question`, again only when Twilio has provably not processed it; translate whatever goes wrong."""
    _refuse_in_transaction()
    for wait in (*RETRY_WAITS_SECONDS, None):
        line = _Line()
        try:
            client = Client(*credentials.login, credentials.account_sid, http_client=line)
            client.api.base_url = _host(credentials)
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
        return _lost(error)
    if line.status is not None and 400 <= line.status < 500 and line.status != 408:  # a time-out proves nothing
        wait = line.retry_after if line.status == 429 else None
        return errors.TwilioRejected(_code_in(line.body), line.status, retry_after_seconds=wait)
    if line.status is not None and line.status < 400:
        logger.error("Twilio's answer with status %s cannot be read", line.status, exc_info=error)
    return errors.TwilioUnconfirmed()


def _lost(error: requests.RequestException) -> AppError:
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


def _resource(kind: str, instance: Any) -> dict[str, Any]:
    """The resource as JSON that our journal can keep: dates as RFC 2822 text, as Twilio sends them.

    Raises: ValueError when it has no SID of its kind, or names a parent that is no call.
    """
    public = {name: _plain(value) for name, value in vars(instance).items() if not name.startswith("_")}
    if words.sid_of(kind, public.get("sid")) is None:
        raise ValueError(f"No SID of the kind {kind}.")
    if public.get("parent_call_sid") and words.sid_of("CA", public["parent_call_sid"]) is None:
        raise ValueError("A parent that is no call.")
    return public


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    if value is None or isinstance(value, bool | int):
        return value
    return words.storable(str(value))  # also a number that is none, which JSON has not


def _resources(kind: str, instances: Iterable[Any]) -> list[dict[str, Any]]:
    return [_resource(kind, instance) for instance in instances]


def _refuse_in_transaction() -> None:
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("Twilio must not be asked inside a transaction: commit first.")
