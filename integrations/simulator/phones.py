"""How the simulated phones behave: what they do when they ring, press and hear."""

import re
from dataclasses import asdict, dataclass
from typing import Any

E164 = re.compile(r"\+[1-9]\d{6,14}")
DOES = ("answer", "no-answer", "busy", "reject", "fail", "voicemail", "manual")
VOICEMAIL_SECONDS = 30.0


@dataclass(frozen=True)
class Behaviour:
    """What a phone does. All times are simulated seconds.

    `after`: until it answers, refuses or fails. `press`: keys at each `<Gather>` (None: "1" if it answers by itself),
    `press_after` that verb's start. `talk`: from the bridge (voicemail: from its answer) until it hangs up, None for
    never by itself. `hang_up_after`: from its answer until it hangs up, whatever happens. `error`: the Twilio code that
    calling it raises. `sip`: the SIP code it refuses with.
    """

    does: str = "answer"
    after: float = 1.0
    press: str | None = None
    press_after: float = 0.5
    talk: float | None = None
    hang_up_after: float | None = None
    error: int | None = None
    sip: int | None = None

    @property
    def keys(self) -> str:
        """The keys that it presses by itself when asked."""
        if self.press is not None:
            return self.press
        return "1" if self.does == "answer" else ""

    @property
    def by_itself(self) -> bool:
        """Whether it acts without a person."""
        return self.does != "manual"

    def as_json(self) -> dict[str, Any]:
        """The form in which the configuration and the control API write it."""
        return asdict(self)


def read_behaviour(given: Any) -> Behaviour:
    """The behaviour that a JSON object describes. Raises ValueError with a sentence that names the wrong key."""
    if not isinstance(given, dict):
        raise ValueError('A phone\'s behaviour is an object such as {"does": "answer"}.')
    unknown = set(given) - set(Behaviour.__dataclass_fields__)
    if unknown:
        raise ValueError(f"Unknown key in a phone's behaviour: {', '.join(sorted(unknown))}.")
    if given.get("does", "answer") not in DOES:
        raise ValueError(f'"does" must be one of {", ".join(DOES)}.')
    for key in ("after", "press_after", "talk", "hang_up_after"):
        value = given.get(key, 0)
        optional = key in ("talk", "hang_up_after")
        if not ((optional and value is None) or (_number(value) and value >= 0)):
            raise ValueError(f'"{key}" must be a number of seconds, 0 or more{" or null" if optional else ""}.')
    press = given.get("press")
    if press is not None and not (isinstance(press, str) and re.fullmatch(r"[0-9*#]*", press)):
        raise ValueError('"press" must be a text of the keys 0-9, * and #.')
    for key in ("error", "sip"):
        if given.get(key) is not None and not (isinstance(given[key], int) and not isinstance(given[key], bool)):
            raise ValueError(f'"{key}" must be a whole number or null.')
    return Behaviour(**given)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
