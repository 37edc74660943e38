"""How values look on a page: telephone numbers, seconds, moments, icons."""

from datetime import UTC, datetime
from uuid import uuid4

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from crm.numbers import for_display

register = template.Library()


@register.filter
def phone(number: str | None) -> str:
    """Show an E.164 number as people of any country read it."""
    return for_display(number) if number else ""


@register.filter
def talk(seconds: int | None) -> str:
    """Show seconds as m:ss, or h:mm:ss from an hour on; a dash when nobody knows them."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@register.filter
def clock(seconds: int | None) -> str:
    """Show a running clock: mm:ss, so that its width does not change in the first hour."""
    minutes, rest = divmod(max(int(seconds or 0), 0), 60)
    return f"{minutes:02}:{rest:02}"


@register.simple_tag
def moment(at: datetime | None, style: str = "short") -> SafeString:
    """Show a time in the reader's zone, UTC while that is not known; `static/app.js` rewrites it in their language.

    `style`: `short` (day and minutes), `long` (with seconds).
    """
    if at is None:
        return format_html('<span class="muted">{}</span>', "–")
    text = timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z" if style == "long" else "%Y-%m-%d %H:%M %Z")
    return format_html('<time datetime="{}" data-style="{}">{}</time>', at.astimezone(UTC).isoformat(), style, text)


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw one of `static/icons.svg`; it says nothing to a screen reader, so the words must stand beside it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


@register.simple_tag
def new_key() -> str:
    """Make an Idempotency-Key: one for each button, so that a double click is one call."""
    return str(uuid4())
