"""The program as one object: builds the parts, listens, and ends everything within a second."""

import json
import logging
import os
import tempfile
from pathlib import Path

from aiohttp import web

from . import config
from .clock import Clock
from .control import Control
from .engine import Engine
from .faults import Faults
from .page import add_page_routes
from .recorder import Recorder
from .rest import Rest
from .state import World
from .webhooks import Courier

log = logging.getLogger(__name__)


class Server:
    """A simulator that listens on `host`:`port` (0 picks a free one) once started."""

    def __init__(self, settings: object, *, host: str = "127.0.0.1", port: int = 0, speed: float = 1.0) -> None:
        self.host, self.port = host, port
        self.world = World(Clock(speed))
        config.load(self.world, settings)
        self.faults = Faults()
        self.courier = Courier(self.world, self.faults)
        self.recorder = Recorder(self.world, self.courier)
        self.engine = Engine(self.world, self.courier, self.recorder)
        self.rest = Rest(self.world, self.engine, self.faults)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address to give to clients."""
        return self.world.base_url

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        app = web.Application(client_max_size=1024**2)
        self.rest.add_routes(app)
        Control(self.world, self.engine, self.faults, self.rest.closing).add_routes(app)
        add_page_routes(app)
        await self.courier.start()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.3)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        port = self._runner.addresses[0][1]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)
        if ":" in shown and not shown.startswith("["):
            shown = f"[{shown}]"
        self.world.base_url = f"http://{shown}:{port}"

    async def stop(self) -> None:
        """End all legs without further callbacks, close the client and the sockets."""
        self.rest.closing.set()
        await self.engine.close()
        await self.recorder.close()
        await self.courier.close()
        if self._runner is not None:
            await self._runner.cleanup()


def write_ready_file(path: Path, url: str) -> None:
    """Write {"url": …} to `path` in one step, so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        json.dump({"url": url}, file)
    Path(name).replace(path)
