"""Hears PostgreSQL's notifications over a connection of its own, and hands them to the hub."""

import asyncio
import logging
import random
from typing import Any

import psycopg
from django.conf import settings

from calls.live.hub import Hub

logger = logging.getLogger(__name__)

CHANNEL = "calls"
# After so many seconds without a notification the connection is tried.
TRIED_AFTER, ANSWERS_WITHIN = 5.0, 5.0
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
# Options that Django's backend takes, and libpq does not know.
DJANGOS = {"assume_role", "isolation_level", "pool", "server_side_binding"}


async def listen(hub: Hub) -> None:
    """Hand on what the database notifies, until cancelled; a connection that breaks is made again."""
    wait = FIRST_WAIT
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**address(), autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                logger.info("Listening to the database")
                hub.resume()
                wait = FIRST_WAIT
                while True:
                    async for notification in connection.notifies(timeout=TRIED_AFTER):
                        hub.publish(notification.payload)
                    async with asyncio.timeout(ANSWERS_WITHIN):
                        await connection.execute("SELECT 1")
        except (psycopg.Error, OSError) as error:  # a time-out is an OSError
            logger.warning("The database is not heard, pages ask by themselves: %s", type(error).__name__)
        finally:
            hub.pause()
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - so that several processes do not come at once
        wait = min(wait * 2, LONGEST_WAIT)


def address() -> dict[str, Any]:
    """Return where the database is, past a pooler if there is one: a notification needs the same connection."""
    said = settings.LIVE_DATABASE
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
    known = {ours: said[name] for name, ours in names.items() if said.get(name)}
    options = {name: value for name, value in said.get("OPTIONS", {}).items() if name not in DJANGOS}
    return options | known | {"connect_timeout": 5, "application_name": "live"}
