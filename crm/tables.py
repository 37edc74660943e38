"""The CSV files that people have, and those that we give them: their signs, separators, headings and cells."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator

from django.utils.translation import gettext_lazy as _

from crm.errors import AppError

DELIMITERS = ",;\t"
HEADED_WITHIN = 5  # rows: a title may come before
# What a spreadsheet takes for a formula (owasp.org/www-community/attacks/CSV_Injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows UTF-8

# Of a heading, its words; "Phone Number" and "telefone_celular" are two each.
PHONES = frozenset(
    {
        *("phone", "phones", "telephone", "tel", "mobile", "cell", "cellphone", "fone"),
        *("telefone", "telefones", "celular", "móvel", "whatsapp"),
    }
)
NUMBERS = frozenset({"number", "numbers", "numero", "número", "números"})
# What may stand beside a phone, and it is still one; "customer number" and "number of employees" may be anything.
WHOSE = frozenset(
    {
        *("home", "work", "business", "office", "main", "primary", "other", "contact", "customer", "value", "e164"),
        *("de", "do", "residencial", "comercial", "fixo", "principal", "outro", "contato", "cliente"),
    }
)


class NotATable(AppError):
    """No text, or nothing in it."""

    code = "not_a_csv"
    message = _("This is not a CSV file. Save your sheet as CSV and try again.")


def text_of(content: bytes) -> str:
    """Return what a file says, be it UTF-8, Excel's UTF-16 or what Excel saves in the west. Raises: NotATable."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    first = next(_first_lines(text), "")
    if first.lower().startswith("sep="):  # Excel's own
        text = text[len(first) :]
    if "\x00" in text or not text.strip():  # a spreadsheet's own format, an image, nothing
        raise NotATable(field="file")
    return text


def rows_of(text: str) -> Iterator[list[str]]:
    """Each row's cells as they stand; a quoted one may have line breaks. Raises: NotATable."""
    first = next((line for line in _first_lines(text) if any(sign in line for sign in DELIMITERS)), "")
    delimiter = max(DELIMITERS, key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise NotATable(field="file") from error


def _first_lines(text: str) -> Iterator[str]:
    """As the reader of tables has them: an old Mac's lines end with a carriage return alone."""
    return itertools.islice(io.StringIO(text, newline=""), HEADED_WITHIN)


def words_of(heading: str) -> set[str]:
    """A heading's words without case, signs and numerals: of "Phone 2 (work)", phone and work."""
    spaced = "".join(letter if letter.isalnum() else " " for letter in heading.lower())
    return {word.rstrip("0123456789") or word for word in spaced.split() if not word.isdecimal()}


def says_number(words: set[str]) -> bool:
    """Whether a heading says that there are telephone numbers below, and nothing else."""
    return bool(words) and (words <= NUMBERS or (bool(words & PHONES) and words <= PHONES | NUMBERS | WHOSE))


def names_number(words: set[str]) -> bool:
    """Whether numbers are among what a heading says: it counts where no other says more."""
    return bool(words & (PHONES | NUMBERS))


def plain(cell: str) -> str:
    """A cell without what keeps it a text in sheets: the formula ="+5511…", or an apostrophe before a number."""
    cell = cell.strip()
    if cell.startswith('="') and cell.endswith('"'):
        return cell[2:-1].strip()
    return cell[1:] if cell[:1] == "'" and (cell[1:2].isdecimal() or cell[1:].startswith((*FORMULA, "'"))) else cell


def lines_of(rows: Iterable[Iterable[object]]) -> str:
    """Write rows in which no text is a formula to a spreadsheet, and from which `plain` takes the same texts.

    None is an empty cell; an E.164 number begins with an apostrophe, too: a spreadsheet would compute it.
    """
    out = io.StringIO()
    csv.writer(out).writerows([_defused(cell) for cell in row] for row in rows)
    return out.getvalue()


def line_of(cells: Iterable[object]) -> str:
    """Write one row, as above."""
    return lines_of([cells])


def _defused(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    return f"'{cell}" if cell.startswith(FORMULA) or plain(cell) != cell.strip() else cell
