"""One live leg: its ringing, answer, keys and end, and the phone at its far end."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .params import status_params
from .phones import VOICEMAIL_SECONDS, Behaviour
from .state import Call

if TYPE_CHECKING:
    from .engine import Engine

ROUTING_SECONDS = 0.3  # from the dial to the first ring
RING_BUFFER_SECONDS = 5.0  # Twilio adds it to each Timeout, https://www.twilio.com/docs/voice/twiml/dial#timeout
AUTOMATIC_TALK_SECONDS = 10.0  # when neither phone of a bridge would ever hang up by itself, the called one does
EVENT_STATUS = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}


@dataclass(frozen=True)
class Source:
    """Where instructions come from: a URL to ask, or TwiML given outright."""

    url: str = ""
    method: str = "POST"
    twiml: str = ""


class Leg:
    """A call that is not over. Phones, REST and the interpreter act on it; whoever waits is woken by `stir`."""

    def __init__(self, engine: "Engine", call: Call, behaviour: Behaviour) -> None:
        self.engine = engine
        self.world = engine.world
        self.clock = engine.world.clock
        self.call = call
        self.behaviour = behaviour
        self.settled = asyncio.Event()  # answered, refused or over
        self.over = asyncio.Event()
        self.interrupt = asyncio.Event()  # over, or redirected by REST
        self.joined = asyncio.Event()  # a child leg is ready to be bridged
        self.key_pressed = asyncio.Event()
        self.keys = ""
        self.source: Source | None = None  # what a redirect by REST asks for
        self.redirected = False  # REST has sent it elsewhere at least once
        self.answer_told = False
        self.fallback = Source()
        self.watchers: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    # What REST, phones and people do to it

    @property
    def answered(self) -> bool:
        """Whether it was ever answered."""
        return self.call.answered_at is not None

    def pick_up(self) -> bool:
        """The phone answers; False if it is not ringing."""
        if self.settled.is_set() or self.call.status != "ringing":
            return False
        self.call.answered_at = self.clock.now()
        self._set_status("in-progress")
        self.settled.set()
        self._phone_answered()
        self.stir()
        return True

    def refuse(self, status: str, sip_code: int) -> bool:
        """The phone or the network refuses: `status` busy or failed; False if it is too late for that."""
        if self.settled.is_set():
            return False
        self.end(status, self.behaviour.sip or sip_code)
        return True

    def hang_up(self) -> bool:
        """The person at this phone hangs up; False if it was not answered or is over."""
        if not self.answered or self.call.over:
            return False
        self.end("completed")
        return True

    def press(self, keys: str) -> bool:
        """Keys of this phone; False if nobody can hear them."""
        if not self.answered or self.call.over:
            return False
        self.keys += keys
        self.key_pressed.set()
        self.stir()
        return True

    def redirect(self, source: Source) -> None:
        """REST sends the live call elsewhere: the present instructions end, `source` is next."""
        self.source = source
        self.redirected = True
        self.interrupt.set()
        self.stir()

    def end(self, status: str, sip_code: int | None = None) -> None:
        """The leg is over with a final `status`; once only."""
        call = self.call
        if call.over:
            return
        if self.answered:
            self.tell_answer()
        call.ended_at = self.clock.now()
        call.gathering, call.bridged_with = False, None
        call.sip_code = sip_code if sip_code is not None else (200 if self.answered else 487)
        self._set_status(status)
        for event in (self.settled, self.over, self.interrupt):
            event.set()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self.progress("completed")
        self.engine.leg_ended(self)
        self.stir()

    # What the engine does with it

    def stir(self) -> None:
        """Wake those who watch this leg, and the page."""
        for event in self.watchers:
            event.set()
        self.world.touch()

    def say(self, text: str) -> None:
        """Let the phone hear `text`."""
        self.call.heard.append(text)
        self.world.touch()

    async def idle(self, seconds: float | None) -> bool:
        """Wait `seconds`; True if the leg was interrupted meanwhile."""
        return await self.clock.wait(self.interrupt, seconds)

    async def ring(self, timeout: float) -> bool:
        """Dial and ring for `timeout` seconds and Twilio's buffer; return whether it was answered."""
        phone = self.behaviour
        self.call.dialled_at = self.clock.now()
        self.progress("initiated")
        if phone.does in ("busy", "fail"):  # the network refuses before anything rings
            refusal = ("busy", 486) if phone.does == "busy" else ("failed", 404)
            await self.clock.wait(self.settled, phone.after)
            self.refuse(*refusal)
            return False
        if not await self.clock.wait(self.settled, ROUTING_SECONDS):
            self._set_status("ringing")
            self.progress("ringing")
            self.stir()
            if phone.does in ("answer", "voicemail", "reject"):
                self.spawn(self._react(phone))
            if not await self.clock.wait(self.settled, timeout + RING_BUFFER_SECONDS):
                self.end("no-answer", phone.sip or 487)
        return self.answered and not self.call.over

    def progress(self, event: str) -> None:
        """Send the status callback for `event` (initiated, ringing, answered or completed) if it is subscribed."""
        callback = self.call.callback
        if not callback.url or event not in callback.events:
            return
        params = status_params(self.world, self.call, EVENT_STATUS.get(event, self.call.status))
        callback.sent += 1
        self.engine.courier.post_soon(self.call, "status", callback.url, callback.method, params)

    def tell_answer(self) -> None:
        """Send the `answered` callback, once."""
        if not self.answer_told:
            self.answer_told = True
            self.progress("answered")

    def asked_for_keys(self) -> None:
        """A `<Gather>` begins: what was pressed before does not count, and the phone presses its own keys."""
        self.keys = ""
        self.key_pressed.clear()
        self.call.gathering = True
        self.world.touch()
        if self.behaviour.keys:
            self.spawn(self._press_later())

    def bridged(self, partner: "Leg") -> None:
        """The two legs hear each other from now on."""
        self.call.bridged_with = partner.call.sid
        talk = self.behaviour.talk
        if self.behaviour.does == "voicemail":
            talk = None  # its time runs since its answer
        elif talk is None and self.call.parent_sid and self.behaviour.by_itself:
            other = partner.behaviour
            if other.by_itself and other.talk is None and other.hang_up_after is None:
                talk = AUTOMATIC_TALK_SECONDS
        if talk is not None:
            self.spawn(self._hang_up_later(talk))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the leg."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> list[asyncio.Task[Any]]:
        """Stop what runs for this leg without ending the call; return the tasks to wait for."""
        for task in self._tasks:
            task.cancel()
        return list(self._tasks)

    # The phone's own doings

    def _phone_answered(self) -> None:
        phone = self.behaviour
        seconds = phone.hang_up_after
        if seconds is None and phone.does == "voicemail":
            seconds = VOICEMAIL_SECONDS if phone.talk is None else phone.talk
        if seconds is not None:
            self.spawn(self._hang_up_later(seconds))

    async def _react(self, phone: Behaviour) -> None:
        await self.clock.sleep(phone.after)
        if phone.does == "reject":
            self.refuse("busy", 486)
        else:
            self.pick_up()

    async def _press_later(self) -> None:
        await self.clock.sleep(self.behaviour.press_after)
        if self.call.gathering:
            self.press(self.behaviour.keys)

    async def _hang_up_later(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self.hang_up()

    def _set_status(self, status: str) -> None:
        self.call.status = status
        self.call.updated_at = self.clock.now()
        self.world.touch()
