"""The days that figures are about, in the reader's own zone."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

LONGEST = 366  # days


@dataclass(frozen=True, slots=True)
class Stretch:
    """From a moment to another, which is not in it."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days of `zone`, from `first` to `last`; the last may be today, which is not over."""

    first: date
    last: date
    now: datetime
    zone: tzinfo

    @classmethod
    def of_days(cls, days: int, *, now: datetime, zone: tzinfo) -> "Period":
        """The last so many days, with today."""
        today = now.astimezone(zone).date()
        return cls(today - timedelta(days=days - 1), today, now, zone)

    @property
    def length(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1

    @property
    def days(self) -> list[date]:
        """Each of them."""
        return [self.first + timedelta(days=number) for number in range(self.length)]

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen in it."""
        return self.last < self.now.astimezone(self.zone).date()

    @property
    def stretch(self) -> Stretch:
        """From midnight to midnight, however long the days between are."""
        return Stretch(self._midnight(self.first), self._midnight(self.last + timedelta(days=1)))

    @property
    def before(self) -> "Period":
        """As many days just before."""
        back = timedelta(days=self.length)
        return Period(self.first - back, self.last - back, self.now, self.zone)

    @property
    def comparable(self) -> Stretch:
        """The period before; while this one lasts, only as much of it as there is of this one by the clock."""
        whole = self.before.stretch
        if self.is_over:
            return whole
        wall_clock = self.now.astimezone(self.zone).replace(tzinfo=None) - timedelta(days=self.length)
        return Stretch(whole.starts_at, min(wall_clock.replace(tzinfo=self.zone), whole.ends_at))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time.min, self.zone)
