"""The web page of the phones: static HTML, CSS and JavaScript, served without anything from elsewhere."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

HERE = Path(__file__).parent
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


def add_page_routes(app: web.Application) -> None:
    """`/` shows all phones, `/phone/{number}` one of them."""
    app.router.add_get("/", _file("index.html"))
    app.router.add_get("/phone/{number}", _file("index.html"))
    for name in ("phones.css", "phones.js", "icon.svg"):
        app.router.add_get(f"/page/{name}", _file(name))


def _file(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    path = HERE / name

    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=path.read_text(encoding="utf-8"), content_type=TYPES[path.suffix], headers=HEADERS)

    return serve
