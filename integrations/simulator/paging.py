"""Lists as Twilio pages them: newest first, an envelope with relative addresses, and page tokens."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from .errors import error
from .state import World

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
PAGE_NAMES = ("Page", "PageToken", "PageSize")


def moment_of(text: str, name: str) -> tuple[datetime, bool]:
    """A date filter's value in UTC, and whether it names a whole day. Raises TwilioError 20001."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as problem:
        raise error(20001, f"Invalid value for {name}: {text}") from problem
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC), len(text) == 10


def date_filter(query: Any, name: str, moment: datetime | None) -> bool:
    """Whether `moment` satisfies `name` (that day, in UTC), `name<` and `name>` (each inclusive), as documented."""
    for suffix in ("", "<", ">"):
        text = query.get(name + suffix)
        if not text:
            continue
        limit, day = moment_of(text, name)
        if moment is None:
            return False
        value = moment.replace(microsecond=0)
        if suffix == "":
            fits = value.date() == limit.date()
        elif suffix == "<":
            fits = value.date() <= limit.date() if day else value <= limit
        else:
            fits = value >= limit
        if not fits:
            return False
    return True


def _number(query: Any, name: str, default: int, lowest: int, highest: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise error(20001, f"Invalid {name}: {text}")
    return min(highest, max(lowest, int(text)))


def page(
    request: web.Request,
    world: World,
    key: str,
    items: Iterable[Any],
    prefix: str,
    show: Callable[[Any], dict[str, Any]],
) -> web.Response:
    """Answer one page of `items` (oldest first, as created) under `key`.

    A token is `PA` or `PB` and the SID at the end or start of the page it comes from, so that calls made meanwhile
    neither repeat nor hide rows. `prefix` is what SIDs begin with; "" for items without SID, paged by number only.
    """
    query = request.query
    size = _number(query, "PageSize", DEFAULT_PAGE, 1, LARGEST_PAGE)
    number = _number(query, "Page", 0, 0, 1_000_000)
    rows = list(items)
    if prefix:
        rows.sort(key=lambda item: world.order[item.sid], reverse=True)
    token = query.get("PageToken", "")
    if token and prefix:
        at = world.order.get(token[2:])
        if token[:2] not in ("PA", "PB") or at is None:
            raise error(20001, f"Invalid PageToken: {token}")
        if token[:2] == "PA":
            start = next((i for i, item in enumerate(rows) if world.order[item.sid] < at), len(rows))
        else:
            newer = sum(1 for item in rows if world.order[item.sid] > at)
            start = max(0, newer - size)
    else:
        start = number * size
    shown = rows[start : start + size]
    kept = [(name, value) for name, value in query.items() if name not in PAGE_NAMES] + [("PageSize", str(size))]

    def address(page_number: int, page_token: str = "") -> str:
        extra = [("Page", str(page_number))] + ([("PageToken", page_token)] if page_token else [])
        return f"{request.path}?{urlencode(kept + extra)}"

    following = previous = None
    if start + size < len(rows):
        following = address(number + 1, f"PA{shown[-1].sid}" if prefix else "")
    if number > 0:
        previous = address(number - 1, f"PB{shown[0].sid}" if prefix and shown else "")
    return web.json_response(
        {
            key: [show(item) for item in shown],
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + max(0, len(shown) - 1),
            "uri": address(number, token),
            "first_page_uri": address(0),
            "next_page_uri": following,
            "previous_page_uri": previous,
        }
    )
