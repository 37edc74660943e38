"""Faults on demand: which REST answer or webhook goes wrong next, and how."""

from dataclasses import dataclass, field
from typing import Any

REST_OPERATIONS = (
    "any",
    "account",
    "create",
    "fetch",
    "list",
    "update",
    "delete",
    "recordings",
    "media",
    "numbers",
    "events",
    "notifications",
)
REST_DOES = ("refuse-429", "error-500", "timeout", "timeout-after", "cut-before", "cut-after", "status")
WEBHOOK_DOES = ("drop", "repeat", "delay")
KEYS = {"on", "do", "account", "status", "code", "message", "times", "match", "seconds", "copies", "retry_after"}


@dataclass
class Fault:
    """One rule. `times`: how often it still strikes (None = until cleared); `struck`: how often it did.

    REST: `refuse-429` and `error-500` answer so without acting; `status` answers `status` (with `code`, `message`);
    `timeout` never answers and does nothing, `timeout-after` acts and never answers; `cut-before` and `cut-after`
    close the socket without acting, or after it. Webhook: `drop` never sends, `repeat` sends `copies` times,
    `delay` waits `seconds` (simulated) first. `retry_after`: the header of that name in a `refuse-429`, if any.
    """

    on: str
    do: str
    account: str | None = None
    status: int = 500
    code: int | None = None
    message: str = ""
    times: int | None = 1
    match: dict[str, str] = field(default_factory=dict)
    seconds: float = 5.0
    copies: int = 2
    retry_after: int | None = None
    struck: int = 0

    def as_json(self) -> dict[str, Any]:
        """The rule as the control API shows it."""
        return dict(vars(self))

    def strike(self) -> bool:
        """Use the rule once; False if it is used up."""
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True


def read_faults(given: Any) -> list[Fault]:
    """The rules in a JSON list. Raises ValueError with a sentence that names what is wrong."""
    if not isinstance(given, list):
        raise ValueError('Faults are a list such as [{"on": "create", "do": "refuse-429"}].')
    return [_read(item) for item in given]


def _read(given: Any) -> Fault:
    if not isinstance(given, dict) or "on" not in given or "do" not in given:
        raise ValueError('Each fault is an object with "on" and "do".')
    unknown = set(given) - KEYS
    if unknown:
        raise ValueError(f"Unknown key in a fault: {', '.join(sorted(unknown))}.")
    if given["on"] not in (*REST_OPERATIONS, "webhook"):
        raise ValueError(f'"on" must be webhook or one of {", ".join(REST_OPERATIONS)}.')
    allowed = WEBHOOK_DOES if given["on"] == "webhook" else REST_DOES
    if given["do"] not in allowed:
        raise ValueError(f'"do" must be one of {", ".join(allowed)} here.')
    times = given.get("times", 1)
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError('"times" must be a whole number from 1, or null for until cleared.')
    match = given.get("match", {})
    if not isinstance(match, dict) or not all(isinstance(value, str) for value in match.values()):
        raise ValueError('"match" must be an object of texts: parameters, "url" (part of it) or "kind".')
    for key, lowest in (("seconds", 0), ("status", 200), ("copies", 2), ("code", 1), ("retry_after", 0)):
        value = given.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < lowest):
            raise ValueError(f'"{key}" must be a number from {lowest}.')
    return Fault(**given)


class Faults:
    """The rules in force, tried in their order."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def rest(self, operation: str, account_sid: str) -> Fault | None:
        """The rule that strikes this REST request, used once by asking."""
        for rule in self.rules:
            fits = rule.on in ("any", operation) and rule.account in (None, account_sid)
            if fits and rule.strike():
                return rule
        return None

    def webhook(self, kind: str, url: str, params: dict[str, str]) -> Fault | None:
        """The rule that strikes this webhook, used once by asking."""
        for rule in self.rules:
            if rule.on != "webhook" or rule.account not in (None, params.get("AccountSid")):
                continue
            fits = all(
                value in url if name == "url" else value == (kind if name == "kind" else params.get(name))
                for name, value in rule.match.items()
            )
            if fits and rule.strike():
                return rule
        return None
