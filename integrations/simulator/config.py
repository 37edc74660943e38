"""The configuration: accounts, phones and switches as JSON, checked with sentences that name the mistake."""

import re
from collections.abc import Mapping
from typing import Any

from .phones import E164, Behaviour, read_behaviour
from .state import SWITCHES, Account, OwnNumber, World, fixed_sid

SAMPLE_ACCOUNT = {
    "sid": "AC" + "5" * 32,
    "auth_token": "5" * 32,
    "friendly_name": "Sample account",
    "type": "Full",
    "numbers": ["+15005550006"],
    "verified": ["+15005550010"],
}
KEYS = {"accounts", "phones", "default_phone", "switches"}
ACCOUNT_KEYS = {
    *("sid", "auth_token", "secondary_auth_token", "friendly_name", "type", "status"),
    *("numbers", "without_voice", "verified", "api_keys", "cps", "prices"),
}


def read_account(world: World, given: Any) -> Account:
    """The account that a JSON object describes. Raises ValueError with a sentence."""
    if not isinstance(given, Mapping):
        raise ValueError("An account is an object.")
    unknown = set(given) - ACCOUNT_KEYS
    if unknown:
        raise ValueError(f"Unknown key in an account: {', '.join(sorted(unknown))}.")
    sid, token = given.get("sid"), given.get("auth_token")
    if not (isinstance(sid, str) and re.fullmatch(r"AC[0-9a-f]{32}", sid)):
        raise ValueError('"sid" must be AC and 32 hexadecimal digits.')
    if not (isinstance(token, str) and token):
        raise ValueError('"auth_token" must be a text.')
    secondary = given.get("secondary_auth_token", "")
    if not isinstance(secondary, str):
        raise ValueError('"secondary_auth_token" must be a text.')
    kind, status, cps = given.get("type", "Full"), given.get("status", "active"), given.get("cps", 0)
    if kind not in ("Full", "Trial"):
        raise ValueError('"type" must be Full or Trial.')
    if status not in ("active", "suspended", "closed"):
        raise ValueError('"status" must be active, suspended or closed.')
    if isinstance(cps, bool) or not isinstance(cps, int | float) or cps < 0:
        raise ValueError('"cps" must be calls per second, 0 for no limit.')
    prices = given.get("prices", True)
    if not isinstance(prices, bool):
        raise ValueError('"prices" must be true, or false while calls have no price yet.')
    keys = given.get("api_keys", {})
    if not (isinstance(keys, Mapping) and all(isinstance(x, str) and x for pair in keys.items() for x in pair)):
        raise ValueError('"api_keys" must be an object such as {"SK…": "secret"}.')
    now = world.clock.now()
    account = Account(sid, token, str(given.get("friendly_name", sid)), kind, status, now, cps=cps, api_keys=dict(keys))
    account.secondary_auth_token, account.prices = secondary, prices
    shelves = (("numbers", account.numbers), ("without_voice", account.numbers), ("verified", account.verified))
    for field, shelf in shelves:
        listed = given.get(field, [])
        if not isinstance(listed, list) or not all(isinstance(n, str) and E164.fullmatch(n) for n in listed):
            raise ValueError(f'"{field}" must be a list of numbers such as "+15005550006".')
        for number in listed:
            sid_of_number = fixed_sid("PN", sid, field, number)
            shelf[number] = OwnNumber(sid_of_number, number, now, has_voice=field != "without_voice")
    return account


def read_number(text: str) -> str:
    """A phone number from a path or a key. Raises ValueError."""
    number = text.strip().replace(" ", "")
    if not E164.fullmatch(number):
        raise ValueError(f"{text!r} is not a number such as +15005550006.")
    return number


def read_switches(given: Any) -> dict[str, Any]:
    """Switches to change. Raises ValueError."""
    if not isinstance(given, Mapping):
        raise ValueError("Switches are an object.")
    for name, value in given.items():
        if name not in SWITCHES:
            raise ValueError(f"Unknown switch {name}; there are {', '.join(SWITCHES)}.")
        if value not in SWITCHES[name]:
            raise ValueError(f'"{name}" must be one of {", ".join(map(str, SWITCHES[name]))}.')
    return dict(given)


def add_account(world: World, given: Any) -> Account:
    """Add an account, or replace the one with the same SID; its calls and recordings go with the new one."""
    account = read_account(world, given)
    old = world.accounts.get(account.sid)
    world.accounts[account.sid] = account
    if old is not None:
        for shelf in (world.calls, world.recordings, world.notifications):
            for item in shelf.values():
                if item.account is old:
                    item.account = account
    world.touch()
    return account


def load(world: World, given: Any) -> None:
    """Fill `world` from a configuration; None means the sample account and phones that a person plays."""
    if given is None:
        add_account(world, SAMPLE_ACCOUNT)
        world.default_phone = Behaviour(does="manual")
        return
    if not isinstance(given, Mapping):
        raise ValueError("The configuration is a JSON object.")
    unknown = set(given) - KEYS
    if unknown:
        raise ValueError(f"Unknown key in the configuration: {', '.join(sorted(unknown))}.")
    for account in given.get("accounts", []):
        add_account(world, account)
    for number, behaviour in given.get("phones", {}).items():
        world.phones[read_number(number)] = read_behaviour(behaviour)
    if "default_phone" in given:
        world.default_phone = read_behaviour(given["default_phone"])
    world.switches.update(read_switches(given.get("switches", {})))
