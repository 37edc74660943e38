"""One PostgreSQL cluster of this checkout's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from signal import SIGINT, SIGQUIT
from urllib.parse import quote

import psycopg
from psycopg import sql

from crm.local.binaries import server_environment
from crm.local.child import Child, LocalError, stop_process
from crm.local.folder import HOST, Memory, write_private
from crm.local.watchdog import Plan, fingerprint

#: PostgreSQL's words: INT is the fast shutdown, QUIT the immediate one (recovers from its log at the next start).
PLAN: Plan = ((SIGINT, 1.2), (SIGQUIT, 0.3))
START_SECONDS = 60.0  # far more than a start needs: a crash on a slow disk means a recovery first


class Postgres:
    """One cluster in `data_dir/postgres`: database `crm`, its owner `crm_owner`, and `crm_app`, which owns nothing."""

    def __init__(
        self, data_dir: Path, memory: Memory, programs: Path, owner: tuple[int, int] | None, *, durable: bool
    ) -> None:
        self.folder = data_dir / "postgres"
        self._data_dir, self._memory, self._programs = data_dir, memory, programs
        self._owner, self._durable = owner, durable
        self._port = 0
        self.child: Child | None = None

    def launch(self) -> Child:
        """Start the server, over a new cluster if there is none; it may not answer yet."""
        if not (self.folder / "PG_VERSION").exists():
            self._make_cluster()
        self._end_orphan()
        self._port = self._memory.port("postgres")
        settings = {
            "port": str(self._port),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "jit": "off",
        }
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        command: list[str | Path] = [self._programs / "postgres", "-D", self.folder]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.child = Child(
            "postgres",
            command,
            folder=self._data_dir,
            env=server_environment(self._data_dir),
            owner=self._owner,
            plan=PLAN,
        )
        return self.child

    def _make_cluster(self) -> None:
        """Run initdb beside the final place and move the result there, so that a half-made cluster never counts."""
        new, password = self._data_dir / "postgres.new", self._data_dir / "postgres.password"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        write_private(password, self._memory.secret("postgres"))
        if self._owner is not None:
            for path in (new, password):
                os.chown(path, *self._owner)
        command: list[str | Path] = [self._programs / "initdb", "-D", new, "-U", "postgres", f"--pwfile={password}"]
        # The builtin locale is the same on every machine, and knows that Ã is the capital of ã whatever LC_ALL says.
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--auth=scram-sha-256", "--no-instructions", "--no-sync"]
        try:
            initdb = Child(
                "initdb", command, folder=self._data_dir, env=server_environment(self._data_dir), owner=self._owner
            )
            initdb.wait_end(seconds=START_SECONDS)
        finally:
            password.unlink(missing_ok=True)
        if self._durable:
            os.sync()
        if self.folder.exists():
            raise LocalError(f"{self.folder} exists but holds no PostgreSQL cluster: remove it, or run `make clean`.")
        new.replace(self.folder)

    def _end_orphan(self) -> None:
        """End a server that an earlier run left on this folder, and clear away a pid file that names somebody else.

        PostgreSQL itself refuses to start when the number in `postmaster.pid` belongs to *any* live process of its
        user, which after a restart of a container is likely.
        """
        pid_file = self.folder / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int((pid_file.read_text().split() or ["0"])[0])
        if pid and fingerprint(pid) and f"-D\0{self.folder}\0" in _command_line(pid):
            stop_process(pid, PLAN)
        pid_file.unlink(missing_ok=True)

    def ready(self) -> bool:
        """Say whether the server accepts connections; PostgreSQL writes it into the last line of `postmaster.pid`."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def lost_the_port(self) -> bool:
        """Say whether the server ended because somebody took its port between our look and its start."""
        return (
            self.child is not None and self.child.poll() is not None and "could not bind" in self.child.log.read_text()
        )

    def prepare(self) -> None:
        """Bring the two roles and the database into their state; repeating it changes nothing."""
        with self._connect("postgres") as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role, rights in (("crm_owner", "CREATEDB"), ("crm_app", "NOCREATEDB")):
                verb = "ALTER" if role in roles else "CREATE"
                statement = sql.SQL(
                    "{} ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION {} PASSWORD {}"
                )
                password = sql.Literal(self._memory.secret(role))
                connection.execute(statement.format(sql.SQL(verb), sql.Identifier(role), sql.SQL(rights), password))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'crm'").fetchone():
                connection.execute("CREATE DATABASE crm OWNER crm_owner")
        with self._connect("crm") as connection:
            connection.execute("ALTER SCHEMA public OWNER TO crm_owner")
            connection.execute("GRANT USAGE ON SCHEMA public TO crm_app")

    def _connect(self, database: str) -> psycopg.Connection:
        password = self._memory.secret("postgres")
        return psycopg.connect(
            host=HOST,
            port=self._port,
            user="postgres",
            password=password,
            dbname=database,
            autocommit=True,
            connect_timeout=10,
        )

    def url(self, role: str) -> str:
        return f"postgresql://{role}:{quote(self._memory.secret(role), safe='')}@{HOST}:{self._port}/crm"


def _command_line(pid: int) -> str:
    """Return a process's arguments, each followed by a NUL; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return told.stdout.strip().replace(" ", "\0") + "\0"
