"""The simulator's clock: starts at the real time and may run several times faster."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime


class Clock:
    """Tell the simulated time and wait for simulated seconds; one real second is `speed` simulated ones."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._started_at = datetime.now(UTC)
        self._started_tick = time.monotonic()

    def now(self) -> datetime:
        """The simulated time, aware, in UTC."""
        return self._started_at + timedelta(seconds=(time.monotonic() - self._started_tick) * self.speed)

    def real(self, seconds: float) -> float:
        """How many real seconds `seconds` simulated ones take."""
        return max(0.0, seconds) / self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` simulated seconds."""
        await asyncio.sleep(self.real(seconds))

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for `event`, at most `seconds` simulated seconds (None = for ever); return whether it is set."""
        try:
            async with asyncio.timeout(None if seconds is None else self.real(seconds)):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        return True


def rfc2822(moment: datetime | None) -> str | None:
    """`moment` as Twilio writes dates, for example `Tue, 18 Aug 2015 08:46:56 +0000`."""
    return None if moment is None else format_datetime(moment.astimezone(UTC))


def whole_seconds(start: datetime | None, end: datetime | None) -> int:
    """Seconds between two moments, each cut to the second first, as in Twilio's `duration` (0 if one is missing)."""
    if start is None or end is None:
        return 0
    return max(0, int(end.replace(microsecond=0).timestamp()) - int(start.replace(microsecond=0).timestamp()))
