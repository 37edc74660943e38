"""What Twilio asks and tells us: check the signature, store, commit, wake, answer. Storing is all that may fail."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from calls import instructions, journal
from calls.addresses import CALLBACK, WEBHOOKS
from calls.reconcile.apply import APPLY
from crm import wake
from crm.vault import SealBroken
from integrations.access import Credentials, callback_credentials
from integrations.services.findings import note_rejected
from integrations.services.rotate import note_signed
from integrations.twilio.signatures import signature_is_valid
from integrations.twilio.words import sid_of, storable

logger = logging.getLogger(__name__)

PATH = re.compile(f"/{WEBHOOKS}{CALLBACK}")
SIGNATURE = re.compile(r"[A-Za-z0-9+/]{27}=")  # base64 of a SHA-1
MOST_BYTES = 64 * 1024
MOST_FIELDS = 200
FORM = "application/x-www-form-urlencoded"
STORE = "SELECT calls_store_callback(%s, %s, %s, %s, %s, %s)"
NUL = r"\u0000"  # as JSON writes it


class Refused(Exception):
    """The request is not one that the organization's Twilio account could have sent for this call."""

    def __init__(self, reason: str, *, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """What is answered: an HTTP status, and a body of one content type."""

    status: HTTPStatus
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


class Callbacks:
    """A WSGI application around Django's: answers Twilio's callbacks, and leaves everything else to Django.

    A callback is judged by its signature alone. What Django does around a view (request, middleware, signals, response)
    is as much work as storing one, and none of it is for them; `make bench` tells.
    """

    def __init__(self, pages: WSGIApplication) -> None:
        self.pages = pages

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        named = PATH.fullmatch(environ["PATH_INFO"])
        if named is None or environ["REQUEST_METHOD"] != "POST":
            return self.pages(environ, start_response)
        try:
            reply = take(environ, *named.groups())
        except Exception:  # as Django's handler would
            logger.exception("A callback failed")
            reply = Reply(HTTPStatus.INTERNAL_SERVER_ERROR, "It failed.\n")
        body = reply.body.encode()
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(body)))] if body else []
        start_response(f"{reply.status.value} {reply.status.phrase}", headers)
        return [body] if body else []


@csrf_exempt
@login_not_required
@require_POST
def callback(request: HttpRequest, organization_id: str, call_id: str, kind: str) -> HttpResponse:
    """Take one callback for servers and clients that start at Django's handler, past `Callbacks`."""
    reply = take(request.META, organization_id, call_id, kind)
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)


def take(environ: Mapping[str, Any], organization_id: str, call_id: str, kind: str) -> Reply:
    """Take one callback: 204, or TwiML where Twilio asks for it, only after it was committed; 503 if it could not be.

    403 and nothing stored for whatever the organization's account did not sign, or that names another account or SID.
    `environ` is the request as WSGI has it; its body was not read yet.
    """
    organization, call = UUID(organization_id), UUID(call_id)
    _is_alive(False)  # a new request: what was known of the connection was before
    try:
        _refuse_strangers(environ, organization)
        params = _form(environ)
        account, token = _signer(environ, organization, params)
        _check_account(account, params)
        sid = params.get("ParentCallSid", "") if kind == "contact" else params.get("CallSid", "")
        stored = _store(organization, call, sid, kind, params)
    except Refused as refusal:
        logger.warning("Refused a %s callback for %s: %s", kind, organization_id, refusal)
        _tell_admin(partial(note_rejected, organization, str(refusal)))
        return Reply(refusal.status, f"{refusal}\n")
    except (DatabaseError, SealBroken, ImproperlyConfigured):
        logger.exception("A %s callback could not be stored", kind)
        return _try_again()
    if not (account.is_signed if token == account.auth_token else account.next_is_signed):
        _tell_admin(partial(note_signed, organization, token))
    if stored:
        wake.after_commit(APPLY)
    if kind not in instructions.ANSWERS:
        return Reply(HTTPStatus.NO_CONTENT)
    try:
        twiml = instructions.answer(organization, call, kind, params)
    except DatabaseError:
        logger.exception("No TwiML could be made for a %s callback", kind)
        return _try_again()
    return Reply(HTTPStatus.OK, twiml, "text/xml; charset=utf-8")


def _is_alive(known: bool) -> None:
    """Tell Django whether to ask the kept connection if it is alive, before the next use."""
    connection.health_check_done = known  # type: ignore[attr-defined]  # Django's own flag; the stubs miss it


def _try_again() -> Reply:
    """Our callback addresses ask Twilio to retry on 5xx; the connection may be what failed, so let it go."""
    connection.close()
    return Reply(HTTPStatus.SERVICE_UNAVAILABLE, "Not stored, try again.\n")


def _refuse_strangers(environ: Mapping[str, Any], organization_id: UUID) -> None:
    """Refuse before a byte of the body is waited for: one that is sent by halves would hold a thread up."""
    if SIGNATURE.fullmatch(environ.get("HTTP_X_TWILIO_SIGNATURE", "")) is None:
        raise Refused("The signature is missing or wrong.")
    if callback_credentials.get(organization_id) is None:
        raise Refused("The signature is missing or wrong.")


def _tell_admin(note: Callable[[], None]) -> None:
    """Write down what the set-up's page shows; the answer to Twilio does not depend on it."""
    try:
        note()
    except DatabaseError:
        logger.exception("What the set-up shows of callbacks could not be written down")
        connection.close()


def _form(environ: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Read a form body of bounded size; every parameter is kept, whether we know it or not."""
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != FORM:
        raise Refused("Only forms are accepted.")
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise Refused("Not a length.")
    if len(length) > 9 or int(length) > MOST_BYTES:
        raise Refused("Too large.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    body = environ["wsgi.input"].read(int(length))  # no more, or a server may wait for what never comes
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, strict_parsing=bool(body))
    except ValueError:
        raise Refused("Not a form.") from None
    params: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if name in params:
            params[name] = [*([params[name]] if isinstance(params[name], str) else params[name]), value]
        else:
            params[name] = value
    return params


def _signer(
    environ: Mapping[str, Any], organization_id: UUID, params: dict[str, str | list[str]]
) -> tuple[Credentials, str]:
    """Return the organization's account and the token with which it signed this request, over our public address."""
    signature, query = environ.get("HTTP_X_TWILIO_SIGNATURE", ""), environ.get("QUERY_STRING", "")
    url = settings.PUBLIC_BASE_URL + environ["PATH_INFO"] + ("?" + query if query else "")
    check = partial(signature_is_valid, url=url, params=params, signature=signature)
    # With what this process remembers first; a token that was replaced a moment ago is read anew.
    for fresh in (False, True) if signature else ():
        account = callback_credentials.get(organization_id, fresh=fresh)
        for token in account.signing_tokens if account is not None else ():
            if account is not None and check(auth_token=token):
                return account, token
    raise Refused("The signature is missing or wrong.")


def _check_account(account: Credentials, params: dict[str, str | list[str]]) -> None:
    if params.get("AccountSid") != account.account_sid:
        raise Refused("Another account.")


def _store(organization_id: UUID, call_id: UUID, sid: object, kind: str, params: dict[str, str | list[str]]) -> bool:
    """Commit the callback; False when it is a repeat. Raises: Refused, DatabaseError."""
    if sid_of("CA", sid) is None:
        raise Refused("No call SID.")
    if kind == "contact" and (sid_of("CA", params.get("CallSid")) is None or params["CallSid"] == sid):
        raise Refused("No SID of a contact's leg.")
    if kind == "recording" and sid_of("RE", params.get("RecordingSid")) is None:
        raise Refused("No recording SID.")
    said = journal.written(params)
    if NUL in said:
        said = journal.written(_without_nul(params))
    answer = _ask_twice([organization_id, call_id, sid, journal.digest(kind, said), kind, said])
    if answer == "unknown call":
        raise Refused("No such call.")
    if answer == "foreign sid":
        raise Refused("Another call's SID.")
    return bool(answer == "stored")


def _ask_twice(arguments: list[Any]) -> str:
    """Return the SQL function's answer; on a connection that died since its last use, ask again on a new one.

    Asking a second time does no harm, so the round trip that would ask first whether the connection is alive is saved.
    """

    def ask() -> str:
        connection.ensure_connection()
        with connection.wrap_database_errors:
            # The driver's own cursor: Django's checks before it whether the connection is alive, and wraps each call.
            answer: str = connection.connection.execute(STORE, arguments).fetchone()[0]
        _is_alive(True)
        return answer

    used_before = connection.connection is not None
    try:
        return ask()
    except DatabaseError:
        if not used_before or connection.is_usable():
            raise
        connection.close()
        return ask()


def _without_nul(params: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {
        storable(name): storable(value) if isinstance(value, str) else [storable(one) for one in value]
        for name, value in params.items()
    }
