"""The local PostgreSQL and Valkey: whatever ends their parent ends them, and their data is there afterwards."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from crm.local import services, watchdog
from crm.local.child import Child, LocalError
from crm.local.folder import FolderInUse, Reservation, free_port, take, temporary_folder, unprivileged
from crm.local.services import Services

from .conftest import GONE_SECONDS, Parent, User, runs, started, still_there


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names no database and no broker."""
    forget_services(monkeypatch)


def forget_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove from the environment what names a database or a broker."""
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


@pytest.fixture(scope="module")
def running() -> Services:
    """One pair of servers for the tests that only look."""
    with pytest.MonkeyPatch.context() as patch:
        forget_services(patch)
        with services.temporary() as found:
            yield found


def broker_says(url: str, *commands: str) -> list[str]:
    """Send commands to Valkey, after the password; return its answers, one line each."""
    parts = urlsplit(url)
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=5) as connection,
        connection.makefile("rw") as file,
    ):
        answers = []
        for command in (f"AUTH {parts.password}", *commands):
            file.write(f"{command}\r\n")
            file.flush()
            answer = file.readline().strip()
            answers.append(file.readline().strip() if answer.startswith("$") and answer != "$-1" else answer)
    return answers[1:]


def test_servers_end_with_their_parent_and_start_again_on_the_same_data(user: User, data_dir: Path) -> None:
    """Ctrl-C, SIGTERM and `kill -9`, one after the other, over one folder; what was committed stays."""
    written = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with started(user, data_dir) as parent:
            assert words(parent) == written
            written.append(number.name)
            with psycopg.connect(parent.said["DATABASE_OWNER_URL"]) as connection:
                connection.execute("INSERT INTO kept VALUES (%s)", [number.name])
            assert broker_says(parent.said["CELERY_BROKER_URL"], f"SET kept {number.name}") == ["+OK"]
            servers = parent.servers()
            assert len(servers) > len(parent.said["pids"]) == 2

            parent.process.send_signal(number)
            assert not still_there(servers), f"within {GONE_SECONDS} s of {number.name}"
            assert parent.process.wait() != 0
    with started(user, data_dir) as parent:
        assert words(parent) == written
        assert broker_says(parent.said["CELERY_BROKER_URL"], "GET kept") == ["SIGKILL"]


def words(parent: Parent) -> list[str]:
    """What was written into the database of these services."""
    with psycopg.connect(parent.said["DATABASE_OWNER_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text, number int GENERATED ALWAYS AS IDENTITY)")
        return [word for (word,) in connection.execute("SELECT word FROM kept ORDER BY number")]


def test_servers_whose_watchdogs_were_killed_too_are_ended_by_the_next_start(user: User, data_dir: Path) -> None:
    with started(user, data_dir) as parent:
        servers = parent.servers()
        for process in (*parent.watchdogs(), psutil.Process(parent.process.pid)):
            process.kill()
        parent.process.wait()
        assert all(map(runs, servers)), "nobody is left who could end them"

        with started(user, data_dir) as again:
            assert not list(filter(runs, servers))
            assert broker_says(again.said["CELERY_BROKER_URL"], "PING") == ["+PONG"]


def test_a_process_that_only_bears_the_number_of_a_server_is_left_alone(ourselves: User) -> None:
    with Folder() as data_dir, stranger() as innocent:
        with started(ourselves, data_dir):
            pass
        (data_dir / "run/valkey.pid").write_text(f"{innocent.pid} another-boot:1\n")
        (data_dir / "postgres/postmaster.pid").write_text(f"{innocent.pid}\n{data_dir / 'postgres'}\n")
        with started(ourselves, data_dir):
            assert innocent.poll() is None


def test_a_second_process_on_the_same_folder_is_refused_and_may_join() -> None:
    with Folder() as data_dir, services.running(data_dir) as first:
        with pytest.raises(FolderInUse, match=str(os.getpid())):
            services.start(data_dir)
        assert services.joined(data_dir).environment() == first.environment()


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is() -> None:
    with Folder() as folder:
        (folder / "letters.txt").write_text("mine")
        mode = folder.stat().st_mode
        with pytest.raises(LocalError, match="not empty"):
            services.start(folder)
        assert folder.stat().st_mode == mode
        assert [path.name for path in folder.iterdir()] == ["letters.txt"]


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with Folder() as data_dir:
        with services.running(data_dir) as before:
            ports = [urlsplit(url).port for url in (before.database_url, before.broker_url)]
        with listener(ports[0]), listener(ports[1]), services.running(data_dir) as after:
            assert urlsplit(after.database_url).port not in ports
            assert urlsplit(after.broker_url).port not in ports


def test_servers_that_the_environment_names_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app@db.example/crm")
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://mq.example/")
    with Folder() as data_dir:
        started_here = services.start(data_dir)
        assert started_here.services == Services(
            "postgresql://app@db.example/crm", None, "amqp://mq.example/", data_dir
        )
        assert started_here.children == []
        started_here.stop()
    monkeypatch.delenv("CELERY_BROKER_URL")
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner@db.example/crm")
    with Folder() as data_dir, services.running(data_dir) as found:
        assert found.owner_url == "postgresql://owner@db.example/crm"
        assert broker_says(found.broker_url, "PING") == ["+PONG"]


def test_the_application_role_owns_nothing_and_may_enter_databases_that_the_owner_makes(running: Services) -> None:
    with psycopg.connect(running.owner_url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE test_crm")
    app_url = running.database_url.removesuffix("/crm") + "/test_crm"
    with psycopg.connect(app_url) as app:
        flags = "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        assert app.execute(flags).fetchone() == (False, False, False, False)
        assert app.execute("SELECT has_schema_privilege('public', 'USAGE')").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE mine (id int)")


def test_the_owner_may_create_the_extensions_that_search_needs(running: Services) -> None:
    with psycopg.connect(running.owner_url) as owner:
        owner.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        owner.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")


def test_letters_with_accents_have_capitals(running: Services) -> None:
    with psycopg.connect(running.database_url) as app:
        assert app.execute("SELECT upper('joão'), 'JOÃO' ILIKE 'joão'").fetchone() == ("JOÃO", True)


def test_nobody_gets_in_without_the_password(running: Services) -> None:
    parts = urlsplit(running.database_url)
    for name in ("crm_app", "crm_owner", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=parts.hostname, port=parts.port, user=name, password="guess", dbname="crm")
    broker = urlsplit(running.broker_url)
    with socket.create_connection((broker.hostname, broker.port), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(64).startswith(b"-NOAUTH")


def test_passwords_are_in_no_command_line_no_repr_and_no_file_that_others_may_read(running: Services) -> None:
    passwords = {urlsplit(url).password for url in running.environment().values()}
    assert len(passwords) == 3
    assert not any(password in repr(running) for password in passwords)
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        assert not any(password in line for password in passwords)
    for name in ("secrets.json", "services.json", "lock"):
        assert (running.data_dir / name).stat().st_mode & 0o077 == 0
    for name in ("postgres", "valkey", "logs", "run"):
        assert (running.data_dir / name).stat().st_mode & 0o077 == 0


def test_temporary_data_is_removed() -> None:
    with services.temporary() as found:
        assert take(found.data_dir)
    assert not found.data_dir.exists()


def test_a_program_that_ignores_signals_is_killed_with_its_children(tmp_path: Path) -> None:
    stubborn = "trap '' TERM INT; (trap '' TERM INT; sleep 600) & echo $! > child; sleep 600; sleep 600"
    child = Child("stubborn", ["sh", "-c", stubborn], folder=tmp_path, cwd=tmp_path, plan=((signal.SIGTERM, 0.2),))
    child.wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "", seconds=10)
    inside = psutil.Process(int((tmp_path / "child").read_text()))
    main = psutil.Process(child.pid)
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < GONE_SECONDS
    assert not still_there([inside, main], seconds=1)
    assert child.pid is None


def test_the_status_of_a_program_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    child = Child("short", ["sh", "-c", "echo gone wrong; exit 7"], folder=tmp_path)
    with pytest.raises(LocalError, match=r"(?s)short ended with status 7.*gone wrong"):
        child.wait_until(lambda: False, seconds=10)
    child.stop()


def test_a_plan_survives_the_command_line() -> None:
    for plan in services.PLANS.values():
        assert list(watchdog.read_plan(watchdog.write_plan(plan))) == list(plan)


def test_two_reservations_never_get_the_same_port() -> None:
    with Reservation() as first, Reservation(first.port) as second:
        assert first.port != second.port
        assert free_port(first.port) not in (first.port, second.port)


def test_run_gives_a_command_the_services_and_returns_its_status(ourselves: User) -> None:
    told = "import json, os; print(json.dumps(dict(os.environ))); raise SystemExit(5)"
    command = [sys.executable, "-m", "crm.local.run", "--fresh", "--", sys.executable, "-c", told]
    done = subprocess.run(command, capture_output=True, text=True, env=ourselves.environment, check=False)
    assert done.returncode == 5, done.stderr
    seen = json.loads(done.stdout)
    names = {"DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS"}
    assert names <= set(seen)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(seen["DATABASE_URL"])


class Folder(contextlib.AbstractContextManager):
    """An empty folder that the servers' user can reach; pytest's own are closed to others."""

    def __enter__(self) -> Path:
        self._path = temporary_folder()
        return self._path

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._path)


def listener(port: int) -> socket.socket:
    """Somebody else's server on this port."""
    return socket.create_server(("127.0.0.1", port))


@contextlib.contextmanager
def stranger():
    """A process that has nothing to do with us, of the user that the servers run as."""
    owner = unprivileged()
    identity = {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}
    with subprocess.Popen(["sleep", "600"], **identity) as process:
        yield process
        process.kill()
