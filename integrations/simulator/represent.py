"""The JSON shapes of the 2010-04-01 REST API, field by field as in Twilio's OpenAPI document."""

from typing import Any

from .clock import rfc2822
from .errors import MORE_INFO
from .params import recording_url
from .state import API_VERSION, Account, Call, Notification, OwnNumber, Recording, World

ACCOUNT_PARTS = (
    "available_phone_numbers AvailablePhoneNumbers,calls Calls,conferences Conferences,"
    "incoming_phone_numbers IncomingPhoneNumbers,notifications Notifications,"
    "outgoing_caller_ids OutgoingCallerIds,recordings Recordings,transcriptions Transcriptions,addresses Addresses,"
    "signing_keys SigningKeys,connect_apps ConnectApps,sip SIP,authorized_connect_apps AuthorizedConnectApps,"
    "usage Usage,keys Keys,applications Applications,short_codes SMS/ShortCodes,queues Queues,messages Messages,"
    "balance Balance"
)
CALL_PARTS = (
    "notifications Notifications,recordings Recordings,payments Payments,events Events,siprec Siprec,streams Streams,"
    "transcriptions Transcriptions,user_defined_message_subscriptions UserDefinedMessageSubscriptions,"
    "user_defined_messages UserDefinedMessages"
)


def account_uri(account: Account) -> str:
    """The path of the account without `.json`."""
    return f"/{API_VERSION}/Accounts/{account.sid}"


def _parts(base: str, names: str) -> dict[str, str]:
    return {key: f"{base}/{name}.json" for key, name in (pair.split(" ") for pair in names.split(","))}


def formatted(number: str) -> str:
    """`(555) 123-4567` for a North American number, any other as it is."""
    if number.startswith("+1") and len(number) == 12:
        return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    return number


def account_json(account: Account) -> dict[str, Any]:
    """An Account. Contains its auth token, as Twilio's does."""
    uri = account_uri(account)
    return {
        "auth_token": account.auth_token,
        "date_created": rfc2822(account.created_at),
        "date_updated": rfc2822(account.created_at),
        "friendly_name": account.friendly_name,
        "owner_account_sid": account.sid,
        "sid": account.sid,
        "status": account.status,
        "subresource_uris": _parts(uri, ACCOUNT_PARTS),
        "type": account.type,
        "uri": f"{uri}.json",
    }


def call_json(call: Call) -> dict[str, Any]:
    """A Call: every value a string or null; `duration` null unless it was answered and is over, and `price` longer."""
    uri = f"{account_uri(call.account)}/Calls/{call.sid}"
    own = call.account.numbers.get(call.to if call.direction == "inbound" else call.from_)
    return {
        "sid": call.sid,
        "date_created": rfc2822(call.created_at),
        "date_updated": rfc2822(call.updated_at or call.created_at),
        "parent_call_sid": call.parent_sid,
        "account_sid": call.account.sid,
        "to": call.to,
        "to_formatted": formatted(call.to),
        "from": call.from_,
        "from_formatted": formatted(call.from_),
        "phone_number_sid": own.sid if own else None,
        "status": call.status,
        "start_time": rfc2822(call.start_time),
        "end_time": rfc2822(call.ended_at),
        "duration": str(call.duration) if call.over and call.answered_at else None,
        "price": call.price if call.account.prices else None,
        "price_unit": "USD",
        "direction": call.direction,
        "answered_by": call.answered_by,
        "api_version": API_VERSION,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": str(call.queue_ms),
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": _parts(uri, CALL_PARTS),
    }


def recording_json(world: World, recording: Recording, *, of_call: bool) -> dict[str, Any]:
    """A Recording; under a call it has `track` and a numeric price, under the account `media_url` and a text."""
    base = account_uri(recording.account)
    uri = f"{base}/Recordings/{recording.sid}"
    shared = {
        "account_sid": recording.account.sid,
        "api_version": API_VERSION,
        "call_sid": recording.call_sid,
        "conference_sid": None,
        "date_created": rfc2822(recording.created_at),
        "date_updated": rfc2822(recording.updated_at),
        "start_time": rfc2822(recording.started_at),
        "duration": None if recording.duration is None else str(recording.duration),
        "sid": recording.sid,
        "price_unit": "USD",
        "status": "deleted" if recording.deleted and not of_call else recording.status,
        "channels": recording.channels,
        "source": recording.source,
        "error_code": None,
        "encryption_details": None,
    }
    if of_call:
        price = None if recording.price is None else float(recording.price)
        uri = f"{base}/Calls/{recording.call_sid}/Recordings/{recording.sid}"
        return shared | {"price": price, "track": recording.track, "uri": f"{uri}.json"}
    return shared | {
        "price": recording.price,
        "uri": f"{uri}.json",
        "subresource_uris": _parts(uri, "add_on_results AddOnResults,transcriptions Transcriptions"),
        "media_url": recording_url(world, recording),
    }


def incoming_number_json(account: Account, number: OwnNumber) -> dict[str, Any]:
    """An IncomingPhoneNumber with SMS and MMS, and voice unless it was given without."""
    return {
        "account_sid": account.sid,
        "address_sid": None,
        "address_requirements": "none",
        "api_version": API_VERSION,
        "beta": False,
        "capabilities": {"mms": True, "sms": True, "voice": number.has_voice, "fax": False},
        "date_created": rfc2822(number.created_at),
        "date_updated": rfc2822(number.created_at),
        "friendly_name": number.friendly_name or formatted(number.number),
        "identity_sid": None,
        "phone_number": number.number,
        "origin": "twilio",
        "sid": number.sid,
        "sms_application_sid": None,
        "sms_fallback_method": "POST",
        "sms_fallback_url": "",
        "sms_method": "POST",
        "sms_url": "",
        "status_callback": number.status_callback,
        "status_callback_method": number.status_callback_method,
        "trunk_sid": None,
        "uri": f"{account_uri(account)}/IncomingPhoneNumbers/{number.sid}.json",
        "voice_receive_mode": "voice",
        "voice_application_sid": None,
        "voice_caller_id_lookup": False,
        "voice_fallback_method": number.voice_fallback_method,
        "voice_fallback_url": number.voice_fallback_url,
        "voice_method": number.voice_method,
        "voice_url": number.voice_url,
        "emergency_status": "Active",
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "bundle_sid": None,
        "status": "in-use",
        "type": None,
    }


def caller_id_json(account: Account, number: OwnNumber) -> dict[str, Any]:
    """An OutgoingCallerId: a verified number."""
    return {
        "sid": number.sid,
        "date_created": rfc2822(number.created_at),
        "date_updated": rfc2822(number.created_at),
        "friendly_name": number.friendly_name or formatted(number.number),
        "account_sid": account.sid,
        "phone_number": number.number,
        "uri": f"{account_uri(account)}/OutgoingCallerIds/{number.sid}.json",
    }


def notification_json(note: Notification, *, of_call: bool, whole: bool = False) -> dict[str, Any]:
    """A Notification; `whole` adds the request and response, which only a single fetch shows."""
    base = account_uri(note.account)
    uri = f"{base}/Calls/{note.call_sid}/Notifications/{note.sid}" if of_call else f"{base}/Notifications/{note.sid}"
    shown: dict[str, Any] = {
        "account_sid": note.account.sid,
        "api_version": API_VERSION,
        "call_sid": note.call_sid,
        "date_created": rfc2822(note.at),
        "date_updated": rfc2822(note.at),
        "error_code": str(note.code),
        "log": note.log,
        "message_date": rfc2822(note.at),
        "message_text": note.text,
        "more_info": MORE_INFO.format(code=note.code),
        "request_method": note.request_method,
        "request_url": note.request_url,
        "sid": note.sid,
        "uri": f"{uri}.json",
    }
    if whole:
        shown |= {
            "request_variables": note.request_variables,
            "response_body": note.response_body,
            "response_headers": note.response_headers,
        }
    return shown
