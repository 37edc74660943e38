"""Plays a TwiML document on one leg: fetch, parse, and every verb but `<Dial>`."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from .clock import rfc2822
from .legs import Leg, Source
from .params import call_params
from .twiml import LARGEST, WHISPER_VERBS, XML_TYPES, Document, ParseError, Verb, parse
from .webhooks import Answer

if TYPE_CHECKING:
    from .engine import Engine

log = logging.getLogger(__name__)

CHARACTERS_PER_SECOND = 15.0  # how fast `<Say>` speaks
PLAY_SECONDS = 2.0  # how long each `<Play>` lasts, whatever it plays
SORRY = "We're sorry, an application error has occurred. Goodbye."


@dataclass
class Script:
    """A document and the address that relative URLs in it start from."""

    document: Document
    source: Source


END = Script(Document([], []), Source())


class Interpreter:
    """Plays documents on `leg` until they or the leg end. `whisper`: only the verbs allowed in `<Number url>`."""

    def __init__(self, engine: "Engine", leg: Leg, *, whisper: bool = False) -> None:
        self.engine = engine
        self.leg = leg
        self.call = leg.call
        self.world = engine.world
        self.whisper = whisper

    async def play(self, script: Script | None) -> None:
        """Play `script` and all that follows from it; a redirect by REST replaces whatever is playing.

        In a whisper, the end of the document is the end of the whisper, and only `<Hangup>` ends the leg.
        """
        while script is not None and not self.leg.over.is_set():
            if self.leg.source is not None:
                if self.whisper:
                    return
                source, self.leg.source = self.leg.source, None
                self.leg.interrupt.clear()
                script = await self.fetch(source)
                continue
            script = await self._verbs(script)
            if script is None and self.leg.source is not None and not self.leg.over.is_set() and not self.whisper:
                script = END

    async def _verbs(self, script: Script) -> Script | None:
        """Play one document; return the next one, or None when there is nothing left to do."""
        for verb in script.document.verbs:
            if self.whisper and verb.name not in WHISPER_VERBS:
                self.world.notify(self.call, 12200, detail=f"<{verb.name}> is not allowed in a whisper; it is skipped.")
                continue
            following = await self._verb(verb, script)
            if self.leg.interrupt.is_set():
                return None
            if following is not None:
                return following if following is not END else None
        return None

    async def _verb(self, verb: Verb, script: Script) -> Script | None:
        if verb.name in ("Say", "Play", "Pause"):
            await self.leg.idle(self._speak(verb))
        elif verb.name == "Gather":
            return await self._gather(verb, script)
        elif verb.name == "Dial":
            return await self.engine.dial(self, verb, script)
        elif verb.name == "Redirect":
            return await self.fetch(self.target(verb.text, verb.get("method", "POST"), script)) or END
        else:  # Hangup, and Reject on a call that is answered
            self.leg.end("completed")
        return None

    def _speak(self, verb: Verb) -> float:
        """Let the phone hear the verb; return how many seconds it takes."""
        if verb.name == "Pause":
            return float(verb.get("length", "1"))
        times = min(1000, int(verb.get("loop", "1"))) or 1000
        if verb.name == "Play":
            self.leg.say(f"(plays {verb.text})")
            return PLAY_SECONDS * times
        if verb.text:
            self.leg.say(verb.text)
        return len(verb.text) / CHARACTERS_PER_SECOND * times

    async def _gather(self, verb: Verb, script: Script) -> Script | None:
        """Collect keys; ask `action` with them, or fall through without any (unless `actionOnEmptyResult`)."""
        leg = self.leg
        finish_on = verb.get("finishOnKey", "#")
        most = int(verb.get("numDigits", "0"))
        timeout = float(verb.get("timeout", "5").replace("auto", "5"))
        digits, finished_on = "", ""
        leg.asked_for_keys()
        watch = leg.key_pressed
        leg.watchers.add(watch)  # so that the end of the leg wakes the waits below
        try:
            for child in verb.children:
                await leg.clock.wait(watch, self._speak(child))
                if leg.keys or leg.interrupt.is_set():
                    break
            while not leg.interrupt.is_set() and not finished_on and not (most and len(digits) >= most):
                if leg.keys:
                    key, leg.keys = leg.keys[0], leg.keys[1:]
                    if finish_on and key == finish_on:
                        finished_on = key
                    else:
                        digits += key
                    continue
                watch.clear()
                if not await leg.clock.wait(watch, timeout):
                    break
        finally:
            leg.watchers.discard(watch)
            self.call.gathering = False
            self.world.touch()
        if leg.interrupt.is_set() or not (digits or verb.flag("actionOnEmptyResult")):
            return None
        extra = {"Digits": digits, "msg": "Gather End", "FinishedOnKey": finished_on}
        target = self.target(verb.get("action"), verb.get("method", "POST"), script)
        return await self.fetch(target, kind="gather", extra=extra) or END

    def target(self, url: str, method: str, script: Script) -> Source:
        """The address that an attribute names, relative to the document; empty means the document's own."""
        return Source(urljoin(script.source.url, url) if url else script.source.url, method.upper())

    async def fetch(self, source: Source, *, kind: str = "twiml", extra: dict[str, str] | None = None) -> Script | None:
        """Get instructions from `source`, or else from the call's fallback; if both fail the call ends: None."""
        script, code = await self._try(source, kind, extra or {})
        if script is not None or not code:
            return script
        fallback = self.leg.fallback
        if fallback.url and not self.leg.over.is_set():
            trouble = {"ErrorCode": str(code), "ErrorUrl": source.url}
            script, code = await self._try(fallback, "fallback", (extra or {}) | trouble)
            if script is not None:
                return script
        if not self.leg.over.is_set():
            self.leg.say(SORRY)
            self.leg.end("completed")
        return None

    async def _try(self, source: Source, kind: str, extra: dict[str, str]) -> tuple[Script | None, int]:
        """One attempt: the script, or the code of the error that was written into the Debugger."""
        if source.twiml:
            return self._parse(source.twiml, source, None)
        if not source.url:
            self.world.notify(self.call, 11200, detail="There is no URL to ask.")
            return None, 11200
        params = call_params(self.world, self.call) | extra
        answer = await self.engine.courier.send(self.call, kind, source.url, source.method, params)
        if answer.redirects > 10:
            return None, 11215
        if not answer.ok:
            self.engine.courier.warn(self.call, 11200, answer)
            return None, 11200
        base = Source(answer.url, source.method)
        content_type = answer.content_type.partition(";")[0].strip().lower()
        if answer.status == 204:
            return Script(Document([], []), base), 0
        if len(answer.body.encode()) > LARGEST:
            self.engine.courier.warn(self.call, 11750, answer)
            return None, 11750
        if content_type == "text/plain":
            return Script(Document([Verb("Say", {}, answer.body.strip())], []), base), 0
        if content_type.startswith("audio/"):
            return Script(Document([Verb("Play", {}, answer.url)], []), base), 0
        if content_type not in XML_TYPES:
            self.engine.courier.warn(self.call, 12300, answer)
            return None, 12300
        return self._parse(answer.body, base, answer)

    def _parse(self, text: str, base: Source, answer: Answer | None) -> tuple[Script | None, int]:
        try:
            document = parse(text)
        except ParseError as problem:
            self.world.notify(
                self.call,
                12100,
                detail=str(problem),
                request_url=base.url,
                **({"request_method": base.method} if answer else {}),
                response_body=text,
            )
            return None, 12100
        for warning in document.warnings:
            self.world.notify(self.call, 12200, detail=warning, request_url=base.url, response_body=text)
        log.debug("%s plays %s at %s", self.call.sid, [v.name for v in document.verbs], rfc2822(self.world.clock.now()))
        return Script(document, base), 0
