"""Telephone numbers: read what people type, keep E.164, show what people read. Never regexes."""

from collections.abc import Iterable
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType
from phonenumbers.timezone import time_zones_for_number

from crm.errors import InvalidNumber

# What the caller pays more for than for a call to that country.
COSTLY = (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.PERSONAL_NUMBER)
# The region of numbers that no country has: satellites and international networks (+870, +881 to +883, +979, +800).
NOWHERE = "001"
NO_ZONE = "Etc/Unknown"


@dataclass(frozen=True, slots=True)
class Described:
    """What a number says of itself: its country (ISO 3166; a satellite has none), whether it costs more, its zones."""

    country: str
    is_costly: bool
    zones: tuple[str, ...]


def described(number: str, *, among: Iterable[str] = ()) -> Described:
    """Describe an E.164 number; a number of several zones has them all, one of none has no zone.

    A number that several countries share, such as +1 800, is one of `among` if that has it. Raises: InvalidNumber.
    """
    try:
        parsed = phonenumbers.parse(number, None)
    except NumberParseException as error:
        raise InvalidNumber from error
    zones = tuple(zone for zone in time_zones_for_number(parsed) if zone != NO_ZONE)
    shared = (region for region in sorted(among) if phonenumbers.is_valid_number_for_region(parsed, region))
    country = next(shared, None) or phonenumbers.region_code_for_number(parsed) or NOWHERE
    return Described(
        country="" if country == NOWHERE else country,
        is_costly=country == NOWHERE or phonenumbers.number_type(parsed) in COSTLY,
        zones=zones,
    )


def to_e164(typed: str, *, region: str) -> str:
    """Return `typed` as E.164, such as `+551132345678`; `region` (ISO 3166) is used when no country code was typed.

    Raises: InvalidNumber.
    """
    try:
        number = phonenumbers.parse(typed, region)
    except NumberParseException as error:
        raise InvalidNumber from error
    if not phonenumbers.is_valid_number(number):
        raise InvalidNumber
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def for_display(number: str) -> str:
    """Return an E.164 `number` in international format, `+55 11 3234-5678`; anything else unchanged."""
    try:
        parsed = phonenumbers.parse(number, None)
    except NumberParseException:
        return number
    return phonenumbers.format_number(parsed, PhoneNumberFormat.INTERNATIONAL)


def digits_in(typed: str) -> str:
    """Return the digits of what was typed, to look a fragment of a number up; empty for a name."""
    return phonenumbers.normalize_digits_only(typed)
