"""Who is called when and what comes of it, thrown with dice that always fall the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from unicodedata import normalize
from uuid import UUID
from zoneinfo import ZoneInfo

from calls.sample.plays import SHARES, TALKS, Line, Play
from calls.sample.words import Words

SEED = 2026
DAYS = 90
CONTACTS, DEALS = 300, 80
# Monday to Sunday, and from eight o'clock on: how busy a day and an hour are.
DAYS_SHARES = (0.9, 1.1, 1.15, 1.1, 0.85, 0.12, 0.0)
HOURS = range(8, 19)
HOURS_SHARES = (3, 8, 12, 11, 4, 5, 10, 11, 10, 6, 1)
# A call's facts are all in after so long: one that is younger would still owe its price.
SETTLED = timedelta(minutes=15)
PLAYABLE, TOMBSTONE_EVERY, KEPT_DAYS = 8, 5, 60
DISPOSITIONS = {"interested": 24, "not_interested": 20, "call_back": 22, "meeting": 10, "wrong_number": 2, "": 22}


@dataclass(frozen=True, slots=True)
class Caller:
    """A member who calls about `a_day` times on an ordinary day."""

    user_id: UUID
    phone: str
    a_day: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the past is set. `now` is its end."""

    slug: str
    account_sid: str
    caller_id: str
    zone: ZoneInfo
    words: Words
    callers: Sequence[Caller]
    now: datetime


@dataclass(slots=True)
class Person:
    """A contact."""

    id: UUID
    name: str
    company: str
    email: str
    numbers: list[str]
    owner: UUID | None
    created_at: datetime
    do_not_call_since: datetime | None = None
    deals: list["Deal"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Deal:
    """An opportunity of a contact's."""

    id: UUID
    title: str
    stage: str
    amount: Decimal
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """A call that was made. `keeps`: its recording can still be played; one that was recorded else is deleted."""

    id: UUID
    play: Play
    caller: Caller
    person: Person | None
    deal: Deal | None
    disposition: str
    notes: str
    keeps: bool = False


def dice_of(*what: object) -> Random:
    """Dice that fall the same for the same words, on every machine."""
    return Random(":".join(map(str, (SEED, *what))))  # noqa: S311 - chance for a show, no secret


def id_at(moment: datetime, dice: Random) -> UUID:
    """A UUID of version 7 (RFC 9562 §5.7): ordered by time, as those of real rows."""
    stamp = int(moment.timestamp() * 1000)
    return UUID(int=stamp << 80 | 7 << 76 | dice.getrandbits(12) << 64 | 2 << 62 | dice.getrandbits(62))


def people(setting: Setting) -> list[Person]:
    """Return the contacts with their opportunities, all older than the first call."""
    words, dice = setting.words, dice_of(setting.slug, "people")
    names = [(first, last) for first in words.first_names for last in words.last_names]
    numbers = [(area, count) for area in words.areas for count in words.counts]
    dice.shuffle(names)
    dice.shuffle(numbers)
    owners = [caller.user_id for caller in setting.callers]
    shares = [caller.a_day for caller in setting.callers]
    found = []
    for first, last in names[:CONTACTS]:
        company = dice.choice(words.companies).format(dice.choice(words.last_names)) if dice.random() < 0.8 else ""
        created_at = setting.now - timedelta(days=DAYS + dice.randint(1, 300), minutes=dice.randint(0, 1440))
        host = f"{_plain(company)}.example" if company else "mail.example"
        own = [words.number.format(*numbers.pop())]
        own += [words.second_number.format(*numbers.pop())] if dice.random() < 0.2 else []
        found.append(
            Person(
                id=id_at(created_at, dice),
                name=f"{first} {last}",
                company=company,
                email=f"{_plain(first)}.{_plain(last)}@{host}" if dice.random() < 0.7 else "",
                numbers=own,
                owner=dice.choices(owners, shares)[0] if dice.random() < 0.9 else None,
                created_at=created_at,
            )
        )
    for person in dice.sample(found, DEALS):
        created_at = setting.now - timedelta(days=dice.randint(3, DAYS), minutes=dice.randint(0, 1440))
        amount = Decimal(round(dice.lognormvariate(9, 0.9) / 50) * 50)
        title, stage = dice.choice(words.deals), dice.choice(words.stages)
        person.deals.append(Deal(id_at(created_at, dice), title, stage, amount, created_at))
    return found


def calls(setting: Setting, contacts: Sequence[Person]) -> list[Planned]:
    """Return the calls of the last days in order of time, none of them unfinished or yet to come.

    Whoever asks not to be called any more is marked so, and that was the last call to them.
    """
    made = sorted(
        (
            planned
            for number, caller in enumerate(setting.callers)
            for ago in range(DAYS, -1, -1)
            for planned in _day(setting, caller, contacts, dice_of(setting.slug, number, ago), ago)
        ),
        key=lambda planned: planned.play.begins_at,
    )
    return _asked_not_to(setting, _recorded(setting, made))


def _day(setting: Setting, caller: Caller, contacts: Sequence[Person], dice: Random, ago: int) -> Iterator[Planned]:
    """One member's calls of one day, one after the other."""
    today: date = setting.now.astimezone(setting.zone).date() - timedelta(days=ago)
    growth = 1.15 - 0.3 * ago / DAYS
    count = round(caller.a_day * DAYS_SHARES[today.weekday()] * growth * dice.uniform(0.7, 1.3))
    starts = sorted(
        datetime.combine(today, time(hour, dice.randrange(60), dice.randrange(60)), setting.zone)
        for hour in dice.choices(HOURS, HOURS_SHARES, k=count)
    )
    theirs = [one for one in contacts if one.owner == caller.user_id] or list(contacts)
    free_at = starts[0] if starts else setting.now
    for start in starts:
        begins_at = max(start, free_at).astimezone(setting.now.tzinfo)
        planned = _call(setting, caller, theirs if dice.random() < 0.85 else contacts, begins_at, dice)
        # Ringing on both sides, a prompt and the wrap-up come to less than two minutes.
        free_at = begins_at + timedelta(seconds=120 + planned.play.talk_seconds)
        if free_at + SETTLED <= setting.now:
            yield planned


def _call(setting: Setting, caller: Caller, contacts: Sequence[Person], begins_at: datetime, dice: Random) -> Planned:
    words = setting.words
    # Some are called often, and some never.
    person = contacts[int(len(contacts) * dice.random() ** 1.7)] if dice.random() < 0.98 else None
    if person is None:  # typed by hand: a number that is no contact's
        number = words.number.format(dice.choice(words.areas), words.counts[-1] + 1 + dice.randrange(9))
    else:
        number = person.numbers[-1 if dice.random() < 0.2 else 0]
    ends = dice.choices(list(SHARES), list(SHARES.values()))[0]
    disposition, talk = "", 0
    if ends == "voicemail":
        talk = dice.randint(6, 40)
        disposition = "voicemail" if dice.random() < 0.7 else ""
    elif ends in TALKS:
        talk = min(3000, 8 + round(dice.lognormvariate(4.8, 1.0)))
        disposition = dice.choices(list(DISPOSITIONS), list(DISPOSITIONS.values()))[0]
        talk = min(talk, 25) if disposition == "wrong_number" else talk
    elif ends == "contact does not answer":
        disposition = "no_answer" if dice.random() < 0.5 else ""
    deal = next((one for one in person.deals if one.created_at < begins_at), None) if person else None
    return Planned(
        id=id_at(begins_at - timedelta(milliseconds=dice.randint(200, 900)), dice),
        play=Play(
            Line(
                account_sid=setting.account_sid,
                caller_id=setting.caller_id,
                agent_number=caller.phone,
                to_number=number,
                user_id=str(caller.user_id),
                minute_price=Decimal(words.minute_price),
            ),
            begins_at,
            ends,
            talk,
        ),
        caller=caller,
        person=person,
        deal=deal if dice.random() < 0.6 else None,
        disposition=disposition,
        notes=_note(words, disposition, dice) if dice.random() < 0.5 else "",
    )


def _recorded(setting: Setting, made: list[Planned]) -> list[Planned]:
    """Say which conversations were recorded: some short ones of the last days, and some of which only a tombstone is
    left, so that not every call needs a file.
    """
    talks = [place for place, planned in enumerate(made) if planned.play.ends in TALKS]
    long_ago = setting.now - timedelta(days=KEPT_DAYS)
    for place in talks[-2 * PLAYABLE :: 2]:
        dice = dice_of(setting.slug, "sound", place)
        play = replace(made[place].play, is_recorded=True, talk_seconds=dice.randint(10, 24))
        made[place] = replace(made[place], play=play, keeps=True)
    for place in talks[::TOMBSTONE_EVERY]:
        if made[place].play.begins_at < long_ago:
            made[place] = replace(made[place], play=replace(made[place].play, is_recorded=True))
    return made


def _asked_not_to(setting: Setting, made: list[Planned]) -> list[Planned]:
    last = {planned.person.id: place for place, planned in enumerate(made) if planned.person}
    for place in sorted(last.values())[::20]:
        planned = made[place]
        if planned.person and planned.play.ends == "contact hangs up":
            notes = _note(setting.words, "do_not_call", dice_of(setting.slug, "asked", place))
            made[place] = replace(planned, disposition="do_not_call", notes=notes)
            planned.person.do_not_call_since = planned.play.begins_at + timedelta(minutes=1)
    return made


def _note(words: Words, disposition: str, dice: Random) -> str:
    return dice.choice(words.notes[disposition]) if disposition else ""


def _plain(text: str) -> str:
    """Text as part of an address: letters without accents, words joined by hyphens."""
    letters = normalize("NFD", text.lower()).encode("ascii", "ignore").decode()
    return "-".join("".join(one if one.isalnum() else " " for one in letters).split())
