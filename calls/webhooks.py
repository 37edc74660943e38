"""What Twilio asks and tells us: check the signature, store, commit, wake, answer. Storing is all that may fail."""

import logging
from functools import partial
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from calls import instructions, journal
from calls.reconcile.apply import APPLY
from crm import wake
from integrations.access import Credentials, callback_credentials
from integrations.twilio.signatures import signature_is_valid
from integrations.twilio.words import sid_of, storable
from integrations.vault import SealBroken

logger = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024
MOST_FIELDS = 200
FORM = "application/x-www-form-urlencoded"
NUL = r"\u0000"  # as JSON writes it


class Refused(Exception):
    """The request is not one that the organization's Twilio account could have sent for this call."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@csrf_exempt
@login_not_required
@require_POST
def callback(request: HttpRequest, organization_id: str, call_id: str, kind: str) -> HttpResponse:
    """Take one callback: 204, or TwiML where Twilio asks for it, only after it was committed; 503 if it could not be.

    403 and nothing stored for whatever the organization's account did not sign, or that names another account or SID.
    """
    organization, call = UUID(organization_id), UUID(call_id)
    try:
        params = _form(request)
        account = _signer(request, organization, params)
        _check_account(account, params)
        sid = params.get("ParentCallSid", "") if kind == "contact" else params.get("CallSid", "")
        stored = _store(organization, call, sid, kind, params)
    except Refused as refusal:
        logger.warning("Refused a %s callback for %s: %s", kind, organization_id, refusal)
        return HttpResponse(f"{refusal}\n", status=refusal.status, content_type="text/plain")
    except (DatabaseError, SealBroken, ImproperlyConfigured):
        logger.exception("A %s callback could not be stored", kind)
        return _try_again()
    if stored:
        wake.after_commit(APPLY)
    if kind not in instructions.ANSWERS:
        return HttpResponse(status=204)
    try:
        twiml = instructions.answer(organization, call, kind, params)
    except DatabaseError:
        logger.exception("No TwiML could be made for a %s callback", kind)
        return _try_again()
    return HttpResponse(twiml, content_type="text/xml; charset=utf-8")


def _try_again() -> HttpResponse:
    """Our callback addresses ask Twilio to retry on 5xx; the connection may be what failed, so let it go."""
    connection.close()
    return HttpResponse("Not stored, try again.\n", status=503, content_type="text/plain")


def _form(request: HttpRequest) -> dict[str, str | list[str]]:
    """Read a form body of bounded size; every parameter is kept, whether we know it or not."""
    if request.content_type != FORM:
        raise Refused(403, "Only forms are accepted.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise Refused(403, "Not a length.")
    if len(length) > 9 or int(length) > MOST_BYTES:
        raise Refused(413, "Too large.")
    body = request.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise Refused(413, "Too large.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, strict_parsing=bool(body))
    except ValueError:
        raise Refused(403, "Not a form.") from None
    params: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if name in params:
            params[name] = [*([params[name]] if isinstance(params[name], str) else params[name]), value]
        else:
            params[name] = value
    return params


def _signer(request: HttpRequest, organization_id: UUID, params: dict[str, str | list[str]]) -> Credentials:
    """Return the organization's account if it signed this request, over the address that we are known by."""
    signature = request.META.get("HTTP_X_TWILIO_SIGNATURE", "")
    check = partial(
        signature_is_valid, url=settings.PUBLIC_BASE_URL + request.get_full_path(), params=params, signature=signature
    )
    # With what this process remembers first; a token that was replaced a moment ago is read anew.
    for fresh in (False, True) if signature else ():
        account = callback_credentials.get(organization_id, fresh=fresh)
        if account is not None and check(auth_token=account.auth_token):
            return account
    raise Refused(403, "The signature is missing or wrong.")


def _check_account(account: Credentials, params: dict[str, str | list[str]]) -> None:
    if params.get("AccountSid") != account.account_sid:
        raise Refused(403, "Another account.")


def _store(organization_id: UUID, call_id: UUID, sid: object, kind: str, params: dict[str, str | list[str]]) -> bool:
    """Commit the callback; False when it is a repeat. Raises: Refused, DatabaseError."""
    if sid_of("CA", sid) is None:
        raise Refused(403, "No call SID.")
    if kind == "contact" and (sid_of("CA", params.get("CallSid")) is None or params["CallSid"] == sid):
        raise Refused(403, "No SID of a contact's leg.")
    if kind == "recording" and sid_of("RE", params.get("RecordingSid")) is None:
        raise Refused(403, "No recording SID.")
    said = journal.written(params)
    if NUL in said:
        said = journal.written(_without_nul(params))
    answer = _ask_twice([organization_id, call_id, sid, journal.digest(kind, said), kind, said])
    if answer == "unknown call":
        raise Refused(403, "No such call.")
    if answer == "foreign sid":
        raise Refused(403, "Another call's SID.")
    return bool(answer == "stored")


def _ask_twice(arguments: list[Any]) -> str:
    """Return the SQL function's answer; on a connection that died since its last use, ask again on a new one.

    Asking a second time does no harm, so the round trip that would ask first whether the connection is alive is saved.
    """

    def ask() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT calls_store_callback(%s, %s, %s, %s, %s, %s)", arguments)
            answer: str = cursor.fetchone()[0]
            return answer

    used_before = connection.connection is not None
    connection.health_check_done = True  # type: ignore[attr-defined]  # Django's own flag; the stubs miss it
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
