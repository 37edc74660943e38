"""The `<Dial>` verb: child legs, the bridge, its recording, and the `action` request that follows."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .interpreter import END, Interpreter, Script
from .legs import Leg, Source
from .params import call_params, recording_url
from .phones import E164
from .state import Callback, Recording
from .twiml import Verb

if TYPE_CHECKING:
    from .engine import Engine

MOST_NUMBERS = 10
# The Debugger's code in a Dial for what REST would have refused.
DIAL_CODES = {
    21211: 13224,
    21217: 13224,
    21214: 13224,
    21202: 13225,
    21216: 13225,
    21203: 13227,
    21215: 13227,
    21210: 13214,
}


@dataclass
class Outcome:
    """How a Dial ended: the child that counts (if any), whether it was ever bridged, and its recording."""

    status: str = "failed"
    child: Leg | None = None
    bridged: bool = False
    recording: Recording | None = None


class Dial:
    """One `<Dial>` on `parent`. Children race; the first to answer wins and the others are canceled."""

    def __init__(self, engine: "Engine", interpreter: Interpreter, verb: Verb, script: Script) -> None:
        self.engine = engine
        self.world = engine.world
        self.clock = engine.world.clock
        self.interpreter = interpreter
        self.parent = interpreter.leg
        self.verb = verb
        self.script = script
        self.news = asyncio.Event()
        self.children: list[Leg] = []
        self.recording: Recording | None = None
        self.bridged = False

    async def run(self) -> Script | None:
        """Dial, bridge and report; return what `action` answered, or None to go on with the document."""
        self.parent.watchers.add(self.news)
        self.parent.keys = ""
        try:
            outcome = await self._dial()
        finally:
            self.parent.watchers.discard(self.news)
        return await self._report(outcome)

    async def _dial(self) -> Outcome:
        numbers = self._numbers()
        if not numbers:
            return Outcome()
        timeout = self.verb.whole("timeout", 30, 5, 600)
        rounds = [[number] for number in numbers] if self.verb.flag("sequential") else [numbers]
        outcome = Outcome()
        for group in rounds:
            self.children = [self.engine.child(self.parent, number, self._caller_id(), timeout) for number in group]
            outcome = await self._race()
            if outcome.status == "completed" or self.parent.interrupt.is_set():
                break
        return outcome

    def _caller_id(self) -> str:
        return self.verb.get("callerId") or self.parent.call.from_

    def _numbers(self) -> list[Verb]:
        """The numbers to dial; none if the caller ID or all numbers are refused, which the Debugger then says."""
        call = self.parent.call
        caller_id = self._caller_id()
        if not call.account.owns(caller_id) and caller_id not in (call.to, call.from_):
            self.world.notify(call, 13214, detail=caller_id)
            return []
        given = self.verb.children[:MOST_NUMBERS]
        if not given and self.verb.text:
            given = [Verb("Number", {}, self.verb.text)]
        numbers = []
        for verb in given:
            number = "".join(c for c in verb.text if c not in " -().")
            if not E164.fullmatch(number):
                self.world.notify(call, 13223, detail=verb.text)
                continue
            attributes = dict(verb.attributes)
            for name in ("url", "statusCallback"):
                if name in attributes:
                    attributes[name] = self.interpreter.target(attributes[name], "POST", self.script).url
            numbers.append(Verb("Number", attributes, number))
        return numbers

    async def _race(self) -> Outcome:
        """Ring the present children until one is bridged and done, all refused, or the parent left."""
        for child in self.children:
            child.watchers.add(self.news)
        if "ringing" in self.verb.get("record"):
            self._record()
        while True:
            self.news.clear()
            answered = next((child for child in self.children if child.answered), None)
            if answered is not None:
                for child in self.children:
                    if child is not answered:
                        child.end("canceled")
            if self.parent.interrupt.is_set():
                self._parent_left()
                break
            if self._star():
                self._end_children("canceled")
                break
            if (
                answered is not None
                and answered.joined.is_set()
                and not answered.over.is_set()
                and not answered.redirected
            ):
                await self._bridge(answered)
                break
            if all(child.over.is_set() or child.redirected for child in self.children):
                break
            await self.news.wait()
        if self.recording is not None:
            self.engine.recorder.stop(self.recording)
        return self._outcome()

    async def _bridge(self, child: Leg) -> None:
        """Connect parent and child until one of them leaves, or `timeLimit`."""
        self.bridged = True
        self.parent.bridged(child)
        child.bridged(self.parent)
        if self.recording is None and self.verb.get("record", "do-not-record") not in ("do-not-record", "false"):
            self._record()
        limit = self.verb.whole("timeLimit", 14400, 1, 86400)
        ends_at = self.clock.now().timestamp() + limit
        while not (self.parent.interrupt.is_set() or child.over.is_set() or child.redirected or self._star()):
            self.news.clear()
            if not await self.clock.wait(self.news, ends_at - self.clock.now().timestamp()):
                break
        self.parent.call.bridged_with = None
        if not child.redirected:  # a child that REST sent elsewhere lives on without this bridge
            child.end("completed")
        child.call.bridged_with = None

    def _star(self) -> bool:
        return self.verb.flag("hangupOnStar") and "*" in self.parent.keys

    def _parent_left(self) -> None:
        """The parent hung up, or REST ended or redirected it, before the bridge."""
        self._end_children(self.world.switches["agent_left_child_status"])

    def _end_children(self, unanswered: str) -> None:
        for child in self.children:
            if not child.redirected:
                child.end("completed" if child.answered else unanswered)

    def _record(self) -> None:
        verb = self.verb
        events = frozenset(verb.get("recordingStatusCallbackEvent", "completed").split()) or frozenset({"completed"})
        url = verb.get("recordingStatusCallback")
        target = self.interpreter.target(url, verb.get("recordingStatusCallbackMethod", "POST"), self.script)
        self.recording = self.engine.recorder.start(
            self.parent.call,
            channels=2 if verb.get("record").endswith("-dual") else 1,
            source="DialVerb",
            track=verb.get("recordingTrack", "both"),
            callback=Callback(target.url if url else "", target.method, events),
        )

    def _outcome(self) -> Outcome:
        child = next((child for child in self.children if child.answered), self.children[-1])
        status = "completed" if child.answered else child.call.status
        return Outcome(status, child, self.bridged, self.recording)

    async def _report(self, outcome: Outcome) -> Script | None:
        """Ask `action`, also when the parent has hung up (then only to tell); without `action`, go on."""
        if self.parent.source is not None and not self.parent.over.is_set():
            return None  # REST sent the parent elsewhere
        if "action" not in self.verb.attributes:
            return None
        target = self.interpreter.target(self.verb.get("action"), self.verb.get("method", "POST"), self.script)
        extra = self._action_params(outcome)
        if self.parent.over.is_set():
            params = call_params(self.world, self.parent.call) | extra
            answer = await self.engine.courier.send(self.parent.call, "action", target.url, target.method, params)
            if not answer.ok:
                self.engine.courier.warn(self.parent.call, 11200, answer)
            return None
        return await self.interpreter.fetch(Source(target.url, target.method), kind="action", extra=extra) or END

    def _action_params(self, outcome: Outcome) -> dict[str, str]:
        params = {"DialCallStatus": outcome.status, "DialBridged": "true" if outcome.bridged else "false"}
        child = outcome.child
        if child is not None:
            params["DialCallSid"] = child.call.sid
            if child.call.sip_code is not None:
                params["DialSipResponseCode"] = str(child.call.sip_code)
        if child is not None and child.answered:
            params["DialCallDuration"] = str(self.engine.talked(child))
        elif self.world.switches["dial_duration_on_no_answer"] == "zero":
            params["DialCallDuration"] = "0"
        recording = outcome.recording
        if recording is not None and recording.duration:
            params["RecordingUrl"] = recording_url(self.world, recording)
            params["RecordingSid"] = recording.sid
            params["RecordingDuration"] = str(recording.duration)
        return params
