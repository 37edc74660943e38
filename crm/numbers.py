"""Telephone numbers: read what people type, keep E.164, show what people read. Never regexes."""

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from crm.errors import InvalidNumber


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
