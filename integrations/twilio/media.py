"""A recording's media, as it comes from Twilio."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
import urllib3

from integrations.access import Credentials
from integrations.twilio import errors, words
from integrations.twilio.line import CONNECT_SECONDS, READ_SECONDS, host_of, lost, refuse_in_transaction

# At most so much is read at a time.
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
    refuse_in_transaction()
    address = f"{host_of(credentials)}/2010-04-01/Accounts/{credentials.account_sid}/Recordings/{recording_sid}.wav"
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
                raise lost(error) from error
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
