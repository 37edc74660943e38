"""A WSGI application that does nothing: what is left is the web server and the load."""

from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer 204, having read what was sent; `/healthz` answers 200 because its starter waits for that."""
    environ["wsgi.input"].read()
    start_response("200 OK" if environ["PATH_INFO"] == "/healthz" else "204 No Content", [])
    return []
