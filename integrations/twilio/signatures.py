"""Is this request from that organization's Twilio account? (twilio.com/docs/usage/security)"""

import hmac
from collections.abc import Mapping

from twilio.request_validator import RequestValidator


class _Form(dict[str, str | list[str]]):
    """A form as the validator likes it best: it asks for a name's values with `getall`."""

    def getall(self, name: str) -> list[str]:
        value = self[name]
        return value if isinstance(value, list) else [value]


def signature_is_valid(*, auth_token: str, url: str, params: Mapping[str, str | list[str]], signature: str) -> bool:
    """Return whether Twilio signed a form POST of `params` to `url` (as Twilio knows it, fragment left out).

    `params`: a parameter that was sent several times has a list. Nearly every request was signed for just this
    address, so that one is tried alone before the validator tries it with and without a port, which is twice the work.
    The validator raises TypeError on a missing signature: a request without one is simply not valid.
    """
    if not signature or not auth_token:  # an empty key is one that everybody has
        return False
    validator, form = RequestValidator(auth_token), _Form(params)
    if hmac.compare_digest(validator.compute_signature(url, form).encode(), signature.encode(errors="replace")):
        return True
    return bool(validator.validate(url, form, signature))
