"""Starts legs and runs them to their end: calls made by REST, children of a Dial, calls from a phone."""

import asyncio
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .clock import whole_seconds
from .dial import DIAL_CODES, Dial
from .errors import error
from .interpreter import END, Interpreter, Script
from .legs import Leg, Source
from .recorder import Recorder
from .state import Account, Call, Callback, World, new_sid
from .twiml import Verb
from .webhooks import Courier

log = logging.getLogger(__name__)

CREATED_TO_DIAL_SECONDS = 0.1  # the least time that a call spends queued
LONGEST_CALL_SECONDS = 14_400
TRIAL_CALL_SECONDS = 600  # https://www.twilio.com/docs/usage/trials
LONGEST_QUEUE = timedelta(hours=24)
PRICE_AFTER_SECONDS = 5.0  # the price of a call arrives after its end
PRICE_PER_MINUTE = 0.014
CALLBACK_LEAD_SECONDS = 0.075  # how much earlier `in-progress` was once seen than the TwiML request


@dataclass
class Order:
    """What POST Calls asks for, already validated."""

    to: str
    from_: str
    source: Source
    fallback: Source = field(default_factory=Source)
    callback: Callback = field(default_factory=Callback)
    timeout: int = 60
    time_limit: int = LONGEST_CALL_SECONDS
    record: Callback | None = None  # record the whole call and tell this callback
    record_channels: int = 1
    record_track: str = "both"
    detect_machine: str = ""
    detection_callback: Source | None = None  # asynchronous answering machine detection


class Engine:
    """All live legs and their tasks."""

    def __init__(self, world: World, courier: Courier, recorder: Recorder) -> None:
        self.world = world
        self.courier = courier
        self.recorder = recorder
        self.live: dict[str, Leg] = {}
        self._closing = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Stop everything at once; no callbacks are sent any more."""
        self._closing = True
        tasks = list(self._tasks)
        for leg in list(self.live.values()):
            tasks.extend(leg.cancel())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, leg: Leg, work: Coroutine[Any, Any, None]) -> None:
        self.live[leg.call.sid] = leg
        self._spawn(self._guarded(leg, work))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("The simulator itself failed", exc_info=task.exception())

    async def _guarded(self, leg: Leg, work: Coroutine[Any, Any, None]) -> None:
        """Run a leg; whatever happens to its task, the leg does not stay live."""
        try:
            await work
        finally:
            if not self._closing:
                leg.end("completed" if leg.answered else "failed")

    # A call made by REST

    def call(self, account: Account, order: Order) -> Call:
        """Create the call and let it go; returns at once, `queued`. Raises TwilioError 22005 if the queue is full."""
        now = self.world.clock.now()
        starts_at = now
        if account.cps > 0:
            starts_at = max(now, account.next_start_at or now)
            if starts_at - now > LONGEST_QUEUE:
                raise error(22005)
            account.next_start_at = starts_at + timedelta(seconds=1 / account.cps)
        call = Call(new_sid("CA"), account, order.to, order.from_, "outbound-api", now, callback=order.callback)
        call.updated_at = now
        self.world.keep(self.world.calls, call)
        leg = Leg(self, call, self.world.phone(order.to))
        leg.fallback = order.fallback
        self._run(leg, self._outbound(leg, order, (starts_at - now).total_seconds()))
        return call

    async def _outbound(self, leg: Leg, order: Order, wait: float) -> None:
        call = leg.call
        call.queue_ms = round(wait * 1000)
        if await leg.clock.wait(leg.over, max(wait, CREATED_TO_DIAL_SECONDS)):
            return
        if not await leg.ring(order.timeout):
            return
        leg.spawn(self._time_limit(leg, order.time_limit))
        if order.record is not None:
            self.recorder.start(
                call,
                channels=order.record_channels,
                source="OutboundAPI",
                track=order.record_track,
                callback=order.record,
            )
        await self._detect_machine(leg, order)
        await self._instructions(leg, order.source)
        leg.end("completed")

    async def _instructions(self, leg: Leg, source: Source) -> None:
        """Ask for TwiML and play it; the `answered` callback goes before or after, as the switch says."""
        interpreter = Interpreter(self, leg)
        early = self.world.switches["in_progress_callback"] == "before_twiml"
        if early:
            leg.tell_answer()
            await leg.clock.sleep(CALLBACK_LEAD_SECONDS)
        script: Script | None = None
        if not leg.over.is_set():
            script = await interpreter.fetch(source)
        leg.tell_answer()
        await interpreter.play(script)

    async def _detect_machine(self, leg: Leg, order: Order) -> None:
        """Answering machine detection: `AnsweredBy` before the TwiML request, or in a callback of its own."""
        if not order.detect_machine:
            return
        if order.detection_callback is not None:
            leg.spawn(self._detect_later(leg, order, order.detection_callback))
            return
        seconds, answered_by = detection(leg, order.detect_machine)
        if not await leg.idle(seconds):
            leg.call.answered_by = answered_by

    async def _detect_later(self, leg: Leg, order: Order, target: Source) -> None:
        seconds, answered_by = detection(leg, order.detect_machine)
        await leg.clock.sleep(seconds)
        leg.call.answered_by = answered_by
        params = {
            "CallSid": leg.call.sid,
            "AccountSid": leg.call.account.sid,
            "AnsweredBy": answered_by,
            "MachineDetectionDuration": str(round(seconds * 1000)),
        }
        self.courier.post_soon(leg.call, "amd", target.url, target.method, params)

    async def _time_limit(self, leg: Leg, seconds: int) -> None:
        trial = leg.call.account.type == "Trial"
        await leg.clock.sleep(min(seconds, TRIAL_CALL_SECONDS) if trial else seconds)
        if trial and seconds > TRIAL_CALL_SECONDS:
            self.world.notify(leg.call, 13805)
        leg.end("completed")

    # A call from a phone

    def inbound(self, from_: str, to: str) -> Call | None:
        """A person calls the bought number `to`; None if no account owns it."""
        account = next((a for a in self.world.accounts.values() if to in a.numbers), None)
        if account is None:
            return None
        number = account.numbers[to]
        now = self.world.clock.now()
        call = Call(new_sid("CA"), account, to, from_, "inbound", now, status="ringing", updated_at=now, dialled_at=now)
        call.callback = Callback(number.status_callback, number.status_callback_method)
        self.world.keep(self.world.calls, call)
        leg = Leg(self, call, self.world.phone(from_))
        leg.fallback = Source(number.voice_fallback_url, number.voice_fallback_method)
        self._run(leg, self._inbound(leg, Source(number.voice_url, number.voice_method)))
        return call

    async def _inbound(self, leg: Leg, source: Source) -> None:
        interpreter = Interpreter(self, leg)
        script = await interpreter.fetch(source)
        if script is not None and script.document.verbs and script.document.verbs[0].name == "Reject":
            busy = script.document.verbs[0].get("reason") == "busy"
            leg.end("busy" if busy else "no-answer", 486 if busy else 603)
            return
        if script is not None and leg.pick_up():
            leg.spawn(self._time_limit(leg, LONGEST_CALL_SECONDS))
            await interpreter.play(script)

    # A child of a Dial

    async def dial(self, interpreter: Interpreter, verb: Verb, script: Script) -> Script | None:
        """Play `<Dial>`; see `dial.Dial`."""
        return await Dial(self, interpreter, verb, script).run()

    def child(self, parent: Leg, number: Verb, caller_id: str, timeout: int) -> Leg:
        """Create and ring a child leg for `<Number>`; children are never queued."""
        now = self.world.clock.now()
        account = parent.call.account
        to = number.text
        call = Call(new_sid("CA"), account, to, caller_id, "outbound-dial", now, parent_sid=parent.call.sid)
        call.updated_at = now
        if number.get("statusCallback"):
            events = frozenset(number.get("statusCallbackEvent", "completed").split()) or frozenset({"completed"})
            method = number.get("statusCallbackMethod", "POST").upper()
            call.callback = Callback(number.get("statusCallback"), method, events)
        self.world.keep(self.world.calls, call)
        leg = Leg(self, call, self.world.phone(to))
        whisper = Source(number.get("url"), number.get("method", "POST").upper()) if number.get("url") else None
        self._run(leg, self._child(leg, parent, timeout, whisper))
        return leg

    async def _child(self, leg: Leg, parent: Leg, timeout: int, whisper: Source | None) -> None:
        call = leg.call
        await leg.clock.wait(leg.over, CREATED_TO_DIAL_SECONDS)
        code = leg.behaviour.error
        if call.account.type == "Trial" and call.to not in call.account.verified:
            code = 21219
        if code is not None:
            self.world.notify(parent.call, DIAL_CODES.get(code, code), detail=call.to)
            leg.refuse("failed", 403)
            return
        if not await leg.ring(timeout):
            return
        leg.tell_answer()
        if whisper is not None:
            interpreter = Interpreter(self, leg, whisper=True)
            await interpreter.play(await interpreter.fetch(whisper))
        if not leg.interrupt.is_set():
            leg.joined.set()
            leg.stir()
            await leg.interrupt.wait()
        if leg.source is not None:
            await Interpreter(self, leg).play(END)
        leg.end("completed")

    def talked(self, child: Leg) -> int:
        """Seconds since the child's answer, up to its end or, if REST sent it elsewhere, to now."""
        return whole_seconds(child.call.answered_at, child.call.ended_at or self.world.clock.now())

    # Any leg

    def leg_ended(self, leg: Leg) -> None:
        """Stop its recordings, forget it as live, and price it later."""
        call = leg.call
        self.live.pop(call.sid, None)
        for recording in self.recorder.running(call):
            if recording.source != "DialVerb":
                self.recorder.stop(recording)
        if leg.answered:
            self._spawn(self._price(call))

    async def _price(self, call: Call) -> None:
        await self.world.clock.sleep(PRICE_AFTER_SECONDS)
        call.price = f"-{max(1, math.ceil(call.duration / 60)) * PRICE_PER_MINUTE:.5f}"
        call.updated_at = self.world.clock.now()


def detection(leg: Leg, mode: str) -> tuple[float, str]:
    """How long machine detection takes for this phone (simulated seconds) and what it says."""
    if leg.behaviour.does != "voicemail":
        return 2.0, "human"
    return (8.0, "machine_end_silence") if mode == "DetectMessageEnd" else (4.0, "machine_start")
