"""Recordings as they happen: start, pause, stop, processing, and the callbacks about them."""

import asyncio
import math
from datetime import datetime
from typing import Any

from .clock import whole_seconds
from .params import recording_params
from .state import Call, Callback, Recording, World, new_sid
from .webhooks import Courier

PROCESSING_SECONDS = 1.0
PRICE_PER_MINUTE = 0.0025  # US dollars, https://www.twilio.com/docs/voice/api/recording


class Recorder:
    """Makes recordings; a recording shorter than a second becomes `absent`, as Twilio names one without audio."""

    def __init__(self, world: World, courier: Courier) -> None:
        self.world = world
        self.courier = courier
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, call: Call, *, channels: int, source: str, track: str, callback: Callback) -> Recording:
        """Begin to record `call` (in a bridge: the parent), now."""
        now = self.world.clock.now()
        recording = Recording(new_sid("RE"), call.account, call.sid, channels, source, track, now, now, now, callback)
        self.world.keep(self.world.recordings, recording)
        self._report(recording)
        return recording

    def running(self, call: Call) -> list[Recording]:
        """The recordings of `call` that have not been stopped."""
        return [
            r
            for r in self.world.recordings.values()
            if r.call_sid == call.sid and r.status in ("in-progress", "paused")
        ]

    def pause(self, recording: Recording, behaviour: str) -> None:
        """Hold the recording: `skip` leaves the pause out of the audio, `silence` keeps its length."""
        if recording.status == "in-progress":
            recording.status, recording.paused_at, recording.pause_behaviour = (
                "paused",
                self.world.clock.now(),
                behaviour,
            )
            self._touch(recording)

    def resume(self, recording: Recording) -> None:
        """Go on after a pause."""
        if recording.status == "paused":
            self._end_pause(recording, self.world.clock.now())
            recording.status = "in-progress"
            self._touch(recording)

    def stop(self, recording: Recording) -> None:
        """End the recording; it is `completed`, and its media there, a second later."""
        if recording.status not in ("in-progress", "paused"):
            return
        now = self.world.clock.now()
        self._end_pause(recording, now)
        recording.duration = max(0, whole_seconds(recording.started_at, now) - round(recording.skipped_seconds))
        recording.status = "processing"
        self._touch(recording)
        task = asyncio.create_task(self._process(recording))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop the processing that is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _process(self, recording: Recording) -> None:
        await self.world.clock.sleep(PROCESSING_SECONDS)
        if recording.duration:
            recording.status = "completed"
            recording.price = f"-{math.ceil(recording.duration / 60) * PRICE_PER_MINUTE:.4f}"
        else:
            recording.status = "absent"
        self._touch(recording)
        self._report(recording)

    def _end_pause(self, recording: Recording, now: datetime) -> None:
        if recording.paused_at is not None and recording.pause_behaviour == "skip":
            recording.skipped_seconds += (now - recording.paused_at).total_seconds()
        recording.paused_at = None

    def _touch(self, recording: Recording) -> None:
        recording.updated_at = self.world.clock.now()
        self.world.touch()

    def _report(self, recording: Recording) -> None:
        callback = recording.callback
        call = self.world.calls.get(recording.call_sid)
        if callback.url and call is not None and recording.status in callback.events:
            params = recording_params(self.world, recording)
            self.courier.post_soon(call, "recording", callback.url, callback.method, params)
