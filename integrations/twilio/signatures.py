"""Is this request from that organization's Twilio account? (twilio.com/docs/usage/security)"""

from django.http import QueryDict
from twilio.request_validator import RequestValidator


def signature_is_valid(*, auth_token: str, url: str, params: QueryDict, signature: str) -> bool:
    """Return whether Twilio signed a form POST of `params` to `url` (as Twilio knows it, fragment left out).

    The validator raises TypeError on a missing signature: a request without one is simply not valid.
    """
    return bool(signature) and bool(RequestValidator(auth_token).validate(url, params, signature))
