"""Look fragments of names and numbers up by their trigrams, which a policy by itself keeps PostgreSQL from using."""

from typing import Literal
from uuid import UUID

from django.db import connection

# With fewer letters an index of three-letter pieces has nothing to look up.
SHORTEST = 3
# What more rows than these match is found as quickly by reading them in order: a page is soon full.
FEW = 2000
WILD = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def few(function: Literal["crm_search_contacts", "calls_search"], *, text: str, digits: str) -> list[UUID] | None:
    """Return the ids that `function` finds for part of a name, or of a number, in the organization that is set.

    None when there are more than a few, or the fragment is too short: then a plain filter does it. The functions are
    the schema owner's and hold themselves to the organization: LIKE is not leakproof, so under a policy PostgreSQL
    looks at every row of the organization instead of the index.
    """
    if len(text or digits) < SHORTEST:
        return None
    said = [f"%{one.translate(WILD)}%" if one else None for one in (text, digits)]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s, %s)", [*said, FEW + 1])
        found = [row[0] for row in cursor.fetchall()]
    return found if len(found) <= FEW else None
