"""Asks Twilio: one function per question, with bounded time-outs, answers in our words, never inside a transaction."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from twilio.rest import Client

from integrations.access import Credentials
from integrations.twilio import errors, words
from integrations.twilio.line import ask

# Asks Twilio for more than one retry of each callback, within its 15 seconds; not part of what it signs.
# twilio.com/docs/usage/webhooks/webhooks-connection-overrides
CONNECTION_OVERRIDES = "#ct=2000&rt=3000&rc=4&rp=ct,rt,5xx"
# A whole call makes some 15 requests; a page of Twilio's holds 1000.
MOST_EVENTS = 500
MOST_NUMBERS, NUMBERS_PAGE = 10_000, 500
LEG_EVENTS = ("initiated", "ringing", "answered", "completed")


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

    return ask(credentials, create)


def fetch_call(credentials: Credentials, call_sid: str) -> dict[str, Any]:
    """Return the Call resource of one leg. Raises: TwilioRejected, TwilioUnreachable, TwilioUnconfirmed."""
    return ask(credentials, lambda twilio: _resource("CA", twilio.calls(call_sid).fetch()))


def fetch_children(credentials: Credentials, parent_call_sid: str) -> list[dict[str, Any]]:
    """Return the Call resources of the legs that a leg's `<Dial>` made. Raises: as `fetch_call`."""
    return ask(
        credentials, lambda twilio: _resources("CA", twilio.calls.list(parent_call_sid=parent_call_sid, limit=20))
    )


def find_calls(credentials: Credentials, *, to: str, from_number: str) -> list[dict[str, Any]]:
    """Return the newest calls from `from_number` to `to`, newest first, at most 20.

    `StartTime` is null while a call is queued, so the list is not filtered by it. Raises: as `fetch_call`.
    """
    return ask(credentials, lambda twilio: _resources("CA", twilio.calls.list(to=to, from_=from_number, limit=20)))


def fetch_recordings(credentials: Credentials, call_sid: str) -> list[dict[str, Any]]:
    """Return the Recording resources of a leg. Raises: as `fetch_call`."""
    return ask(credentials, lambda twilio: _resources("RE", twilio.calls(call_sid).recordings.list(limit=20)))


def delete_recording(credentials: Credentials, recording_sid: str) -> None:
    """Delete a recording at Twilio, media and all; one that is gone already is fine. Raises: as `fetch_call`."""
    try:
        ask(credentials, lambda twilio: twilio.recordings(recording_sid).delete())
    except errors.TwilioRejected as refusal:
        if refusal.http_status != 404:
            raise


def fetch_notifications(credentials: Credentials, call_sid: str) -> list[dict[str, Any]]:
    """Return the Notification resources of a leg. Raises: as `fetch_call`."""
    return ask(credentials, lambda twilio: _resources("NO", twilio.calls(call_sid).notifications.list(limit=20)))


def fetch_events(credentials: Credentials, call_sid: str) -> list[dict[str, dict[str, Any]]]:
    """Return every request that Twilio made for a leg, or was sent about it, and what it was answered.

    Each is `{"request": {method, url, parameters}, "response": {response_code, date_created, …}}`, with parameters'
    names in snake case (twilio.com/docs/voice/api/call-event-resource). Raises: as `fetch_call`.
    """

    def read(twilio: Client) -> list[dict[str, dict[str, Any]]]:
        found = twilio.calls(call_sid).events.list(limit=MOST_EVENTS)
        return [{"request": one.request or {}, "response": one.response or {}} for one in found]

    return ask(credentials, read)


def fetch_account(credentials: Credentials) -> dict[str, str]:
    """Return the account's `name`, `status` (active, suspended, closed) and `type` (Trial, Full).

    Not the resource as it is: that holds the auth token. Standard API keys may not read it. Raises: as `fetch_call`.
    """

    def read(twilio: Client) -> dict[str, str]:
        found = twilio.api.accounts(credentials.account_sid).fetch()
        return {
            "name": words.storable(found.friendly_name or ""),
            "status": words.storable(found.status or ""),
            "type": words.storable(found.type or ""),
        }

    return ask(credentials, read)


def fetch_numbers(credentials: Credentials) -> list[dict[str, Any]]:
    """Return the numbers that calls of this account may come from, at most MOST_NUMBERS of each kind.

    Each is `{"number", "kind": incoming or verified, "sid", "name", "has_voice"}`: Twilio's own first. One that Twilio
    lists twice is one; a verified number is a person's telephone, so it has a voice. Raises: as `fetch_call`.
    """

    def read(twilio: Client) -> list[dict[str, Any]]:
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

    return ask(credentials, read)


def end_call(credentials: Credentials, call_sid: str) -> dict[str, Any] | None:
    """End a leg in whatever state it is; return its Call resource, or None when it was over already.

    `canceled` has no effect once a call is in progress, `completed` ends it then: a leg that was answered between
    our look and our request is ended by the second. Raises: as `fetch_call`.
    """

    def update(status: str) -> dict[str, Any]:
        return ask(credentials, lambda twilio: _resource("CA", twilio.calls(call_sid).update(status=status)))

    try:
        call = update("canceled")
        if call["status"] not in words.FINAL:
            call = update("completed")
    except errors.TwilioRejected as refusal:
        if refusal.twilio_code == errors.CALL_ALREADY_OVER:
            return None
        raise
    return call


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
