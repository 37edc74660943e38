"""One Valkey, the broker of this checkout's own."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from signal import SIGTERM
from urllib.parse import quote

from crm.local.binaries import server_environment
from crm.local.child import Child
from crm.local.folder import HOST, Memory, write_private
from crm.local.watchdog import Plan

PLAN: Plan = ((SIGTERM, 1.2),)


class Valkey:
    """One broker in `data_dir/valkey`; it keeps its queues over a clean stop, and nothing depends on that."""

    def __init__(self, data_dir: Path, memory: Memory, program: Path, owner: tuple[int, int] | None) -> None:
        self._data_dir, self._memory, self._program, self._owner = data_dir, memory, program, owner
        self._port = 0
        self.child: Child | None = None

    def launch(self) -> Child:
        """Start the server; it may not answer yet."""
        folder, config = self._data_dir / "valkey", self._data_dir / "valkey" / "valkey.conf"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._port = self._memory.port("valkey")
        lines = [
            f"bind {HOST}",
            f"port {self._port}",
            f'dir "{folder}"',
            f"requirepass {self._memory.secret('valkey')}",
            "save 900 1",
            "stop-writes-on-bgsave-error no",
            "appendonly no",
            "maxmemory-policy noeviction",
        ]
        write_private(config, "\n".join(lines) + "\n")
        if self._owner is not None:
            for path in (folder, config):
                os.chown(path, *self._owner)
        environment = server_environment(self._data_dir)
        self.child = Child(
            "valkey",
            [self._program, config],
            folder=self._data_dir,
            env=environment,
            owner=self._owner,
            plan=PLAN,
        )
        return self.child

    def ready(self) -> bool:
        """Say whether the server takes our password and answers."""
        try:
            with socket.create_connection((HOST, self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._memory.secret('valkey')}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (received := connection.recv(64)):
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def lost_the_port(self) -> bool:
        """Say whether the server ended because somebody took its port between our look and its start."""
        return (
            self.child is not None
            and self.child.poll() is not None
            and "Failed listening" in self.child.log.read_text()
        )

    def prepare(self) -> None:
        """Nothing to prepare."""

    @property
    def url(self) -> str:
        return f"redis://:{quote(self._memory.secret('valkey'), safe='')}@{HOST}:{self._port}/0"
