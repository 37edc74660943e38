"""Twilio's request signature, from its public description (https://www.twilio.com/docs/usage/security)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit


def signed_url(url: str) -> str:
    """The part of `url` that is signed: no `#fragment`, no `user:pass@`; no port over https, over http it stays."""
    bare = url.split("#", 1)[0]
    parts = urlsplit(bare)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https" and parts.port is not None:
        host = host.rpartition(":")[0]
    return bare.replace(parts.netloc, host, 1)


def sign(auth_token: str, url: str, params: Mapping[str, str]) -> str:
    """`X-Twilio-Signature`: base64 of HMAC-SHA1 over the URL and the POST parameters' names and values by name."""
    text = signed_url(url) + "".join(name + params[name] for name in sorted(params))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()
