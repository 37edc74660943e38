"""One complete call over HTTP, without a person: the phones are told what to do, then the rep clicks."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
import uuid
import wave
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urljoin

from crm.local.child import LocalError

FINAL = {"completed", "busy", "no-answer", "failed", "canceled"}
DEADLINE_SECONDS = 60.0
STEP_SECONDS = 0.2

REP = {"does": "answer", "after": 0.5, "press": "1", "press_after": 0.5}
CONTACT = {"does": "answer", "after": 0.5, "talk": 3}


class CallFailed(LocalError):
    """The call did not go through all of its parts; the message says which and what was seen."""


class Answer:
    """One HTTP response, read to its end."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise CallFailed(f"HTTP {self.status} with a body that is not JSON: {self.body[:300]!r}") from None


def request(
    method: str, url: str, *, body: Any = None, token: str = "", headers: dict[str, str] | None = None
) -> Answer:
    """Send one request and return the answer, whatever its status. Raises: CallFailed, if nobody answers."""
    sent = {"Accept": "application/json", **(headers or {})}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    data = None
    if body is not None:
        data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        with urllib.request.urlopen(  # noqa: S310  addresses of our own making
            urllib.request.Request(url, data=data, headers=sent, method=method),  # noqa: S310
            timeout=15,
        ) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
    except OSError as error:
        raise CallFailed(f"{method} {url}: {error}") from None


class Once:
    """One call, from the rep's click to the recording."""

    def __init__(self, *, web_url: str, simulator_url: str | None, say: Callable[[str], None]) -> None:
        """`simulator_url` None: somebody else makes the phones answer."""
        self._web, self._simulator, self._say = web_url, simulator_url, say
        self._until = time.monotonic() + DEADLINE_SECONDS
        self._phones: list[str] = []

    def play(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Play the call; return the line of the contract. Raises: CallFailed."""
        began = time.monotonic()
        try:
            token, call = self._click(sample)
            call = self._follow(call, token)
            recording = self._listen(call, token)
            callbacks = self._count_callbacks(call, token)
        finally:
            for number in self._phones:
                request("DELETE", self._phone(number))
        return {
            "call_id": call["id"],
            "status": call["status"],
            "stage": call["stage"],
            "legs": call["legs"],
            "duration_seconds": call["duration_seconds"],
            "recording": recording,
            "callbacks": callbacks,
            "elapsed_seconds": round(time.monotonic() - began, 2),
        }

    def _phone(self, number: str) -> str:
        return f"{self._simulator}/simulator/phones/{quote(number, safe='+')}"

    def _tell(self, number: str, behaviour: dict[str, Any]) -> None:
        """Say how a phone behaves."""
        if self._simulator is None:
            return
        answer = request("PUT", self._phone(number), body=behaviour)
        if answer.status >= 300:
            raise CallFailed(f"The simulator refused {behaviour}: HTTP {answer.status} {answer.body[:300]!r}")
        self._phones.append(number)

    def _click(self, sample: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Start a call as the first rep who is free (one may still be in a call of an earlier run)."""
        members = [member for member in sample["members"] if member.get("phone") and member.get("api_token")]
        answer = None
        for member in sorted(members, key=lambda member: member["role"] != "rep"):
            contact = next(
                (c for c in sample["contacts"] if c["organization"] == member["organization"] and c["numbers"]), None
            )
            if contact is None:
                continue
            self._tell(member["phone"], REP)
            self._tell(contact["numbers"][0], CONTACT)
            self._say(f"{member['email']} calls {contact['name']} at {contact['numbers'][0]} …")
            answer = request(
                "POST",
                f"{self._web}/api/v1/calls/",
                body={"contact": contact["id"]},
                token=member["api_token"],
                headers={"Idempotency-Key": str(uuid.uuid4())},
            )
            if answer.status == 201:
                return member["api_token"], answer.json()
            self._say(f"The call was refused: HTTP {answer.status} {answer.body.decode(errors='replace')[:300]}")
            if answer.status != 409:
                break
        if answer is None:
            raise CallFailed("The sample data has no member with a phone and a contact to call.")
        raise CallFailed(f"No call could be started: HTTP {answer.status} {answer.body.decode(errors='replace')[:600]}")

    def _follow(self, call: dict[str, Any], token: str) -> dict[str, Any]:
        """Wait until the call is over and has its recording's address."""
        seen = ""
        while True:
            words = f"{call['status']} / {call['stage']}"
            if words != seen:
                self._say(f"  {words}")
                seen = words
            if call["status"] in FINAL and call["status"] != "completed":
                raise CallFailed(f"The call ended as {call['status']}, not completed: {json.dumps(call)}")
            if call["status"] == "completed" and call.get("recording_url"):
                return call
            self._pause(f"the call was still {words}, recording_url {call.get('recording_url')!r}: {json.dumps(call)}")
            answer = request("GET", f"{self._web}/api/v1/calls/{call['id']}/", token=token)
            if answer.status != 200:
                raise CallFailed(f"GET of the call: HTTP {answer.status} {answer.body[:600]!r}")
            call = answer.json()

    def _listen(self, call: dict[str, Any], token: str) -> dict[str, Any]:
        """Fetch the recording through our own address, whole and in part."""
        url = urljoin(f"{self._web}/", call["recording_url"])
        seen = 200
        while (answer := request("GET", url, token=token, headers={"Accept": "*/*"})).status != 200:
            if answer.status != seen:
                self._say(f"  the recording: HTTP {answer.status}")
                seen = answer.status
            self._pause(f"the recording was not served: HTTP {answer.status} {answer.body[:600]!r}")
        try:
            with wave.open(io.BytesIO(answer.body)) as sound:
                channels, seconds = sound.getnchannels(), sound.getnframes() / sound.getframerate()
        except (wave.Error, EOFError) as error:
            raise CallFailed(f"The recording is not a WAV file ({error}): {answer.body[:40]!r}") from None
        if channels != 2:
            raise CallFailed(f"The recording has {channels} channel(s), not one for each side.")
        part = request("GET", url, token=token, headers={"Accept": "*/*", "Range": "bytes=4-43"})
        if part.status != 206 or part.body != answer.body[4:44]:
            raise CallFailed(f"Range bytes=4-43 of the recording: HTTP {part.status}, {len(part.body)} bytes.")
        return {
            "url": url,
            "sid": call.get("recording_sid"),
            "content_type": answer.headers.get("Content-Type"),
            "bytes": len(answer.body),
            "channels": channels,
            "duration_seconds": round(seconds, 2),
        }

    def _count_callbacks(self, call: dict[str, Any], token: str) -> int:
        """Count the stored callbacks of this call."""
        count, url = 0, f"{self._web}/api/v1/calls/{call['id']}/callbacks/"
        while url:
            answer = request("GET", url, token=token)
            if answer.status != 200:
                raise CallFailed(f"GET {url}: HTTP {answer.status} {answer.body[:600]!r}")
            page = answer.json()
            count += len(page["results"])
            url = urljoin(url, page["next"]) if page.get("next") else ""
        return count

    def _pause(self, seen: str) -> None:
        """Wait a moment. Raises: CallFailed with what was `seen`, when the time is over."""
        if time.monotonic() > self._until:
            raise CallFailed(f"After {DEADLINE_SECONDS:.0f} s {seen}")
        time.sleep(STEP_SECONDS)
