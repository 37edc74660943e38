"""Lines of a CSV file that a spreadsheet opens, and takes no cell of for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

# By which Excel knows UTF-8.
MARK = "\ufeff"
# What a spreadsheet takes for the beginning of a formula (owasp.org/www-community/attacks/CSV_Injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def lines(rows: Iterable[Sequence[object]]) -> str:
    """Return the rows as lines; None is an empty cell, and text that would be a formula begins with an apostrophe.

    So does an E.164 number: a spreadsheet would compute it. Numbers that are no text stay what they are.
    """
    out = io.StringIO()
    csv.writer(out).writerows([defused(cell) for cell in row] for row in rows)
    return out.getvalue()


def defused(cell: object) -> object:
    """Return the cell with an apostrophe before what would make it a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
