"""Twilio's documented error codes: the REST error body, and the texts of codes that the simulator can raise."""

from dataclasses import dataclass
from typing import Any

MORE_INFO = "https://www.twilio.com/docs/errors/{code}"
GEO = "https://www.twilio.com/console/voice/calls/geo-permissions/low-risk"

# Code -> (HTTP status, text). `{0}` is the number or value concerned. https://www.twilio.com/docs/api/errors
REST_ERRORS: dict[int, tuple[int, str]] = {
    10001: (403, "Account is not active."),
    10004: (429, "Call concurrency limit exceeded."),
    20001: (400, "{0}"),
    20003: (401, "Authenticate"),
    20004: (405, "Method not allowed"),
    20005: (403, "Account not active."),
    20404: (404, "The requested resource {0} was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "An internal server error has occurred"),
    20503: (503, "Service is unavailable. Please try again."),
    21201: (400, "No 'To' number is specified"),
    21202: (400, "The phone number you are attempting to call, {0}, is a premium number."),
    21203: (
        400,
        "Account not authorized to call {0}. Perhaps you need to enable some international permissions: " + GEO,
    ),
    21205: (400, "{0}"),
    21206: (400, "SendDigits is not valid: {0}"),
    21208: (400, "Timeout is not valid: {0}"),
    21209: (400, "Invalid HTTP method: {0}"),
    21210: (
        400,
        "The source phone number provided, {0}, is not yet verified for your account. You may only make calls from "
        "phone numbers that you've verified or purchased from Twilio.",
    ),
    21211: (400, "The 'To' number {0} is not a valid phone number."),
    21212: (400, "The 'From' number {0} is not a valid phone number, shortcode, or alphanumeric sender ID."),
    21213: (400, "A 'From' phone number is required."),
    21214: (400, "The 'To' phone number provided, {0}, cannot be reached."),
    21215: (
        400,
        "Account not authorized to call {0}. Perhaps you need to enable some international permissions: " + GEO,
    ),
    21216: (400, "The number {0} is on the block list. Account not allowed to call {0}."),
    21217: (400, "Phone number {0} does not appear to be valid."),
    21218: (400, "ApplicationSid is not valid: {0}"),
    21219: (400, "The number {0} is unverified. Trial accounts may only make calls to verified numbers."),
    21220: (400, "{0}"),
    22005: (400, "The account's queue of outgoing calls is longer than 24 hours."),
    21450: (400, "Phone number {0} is already validated for your account."),
}

# Codes of the Debugger: what goes wrong while a call runs. (log level "0" error, "1" warning; text).
NOTIFICATIONS: dict[int, tuple[str, str]] = {
    11200: ("0", "HTTP retrieval failure"),
    11215: ("0", "HTTP too many redirects"),
    11750: ("0", "TwiML response body too large"),
    12100: ("0", "Document parse failure"),
    12200: ("1", "Schema validation warning"),
    12300: ("0", "Invalid Content-Type"),
    13214: ("0", "Dial: Invalid callerId value"),
    13223: ("0", "Dial: Invalid phone number format"),
    13224: ("0", "Dial: Twilio does not support calling this number or the number is invalid"),
    13225: ("0", "Dial: Forbidden phone number"),
    13226: ("0", "Dial: Invalid country code"),
    13227: ("0", "Dial: No International Authorization"),
    13247: ("0", "Dial: Caller ID is not verified for your account"),
    13805: ("1", "Trial account: call exceeded the time limit"),
    15003: ("1", "Call Progress: Warning Response to Callback URL"),
    21219: ("0", "The number is unverified. Trial accounts may only make calls to verified numbers."),
    21609: ("1", "Invalid 'StatusCallback' URL"),
    21626: ("1", "Invalid statusCallbackEvents"),
}


@dataclass
class TwilioError(Exception):
    """A REST answer that is an error, in the shape that the SDKs read: code, message, more_info, status."""

    code: int
    message: str
    status: int
    detail: str | None = None
    retry_after: int | None = None  # seconds, the header of that name

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        body: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "more_info": MORE_INFO.format(code=self.code),
            "status": self.status,
        }
        if self.detail:
            body["detail"] = self.detail
        return body


def error(code: int, about: str = "", *, detail: str | None = None) -> TwilioError:
    """The documented error `code`, its text about `about`; an unlisted code is a plain 400."""
    status, text = REST_ERRORS.get(code, (400, "Twilio error {code}: {0}".replace("{code}", str(code))))
    return TwilioError(code, text.format(about), status, detail)


def not_found(path: str) -> TwilioError:
    """404 with code 20404, as Twilio words it."""
    return error(20404, path)
