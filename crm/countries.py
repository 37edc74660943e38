"""What countries are called: names of ISO 3166 codes in the reader's language."""

import importlib.util
import unicodedata
from functools import cache
from pathlib import Path

import phonenumbers
from django.utils.translation import get_language

CODES = tuple(sorted(phonenumbers.SUPPORTED_REGIONS))


def country_name(code: str) -> str:
    """Return a country's name in the language of the request; the code where nobody has named it."""
    names = _names().get(code, {})
    return names.get((get_language() or "en")[:2]) or names.get("en") or code


def countries() -> list[tuple[str, str]]:
    """Return every country that has telephone numbers, as code and name, by name."""
    return sorted(((code, country_name(code)) for code in CODES), key=lambda one: _plain(one[1]))


def _plain(name: str) -> str:
    """A name without accents, as people look for it in a list."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(sign))


@cache
def _names() -> dict[str, dict[str, str]]:
    """Read the table that phonenumbers brings along, by itself and for our languages only.

    Its package would load the name of every town with it: a hundred megabytes in each process, instead of three.
    """
    path = Path(str(phonenumbers.__file__)).parent / "geodata" / "locale.py"
    spec = importlib.util.spec_from_file_location("phonenumbers.geodata.locale", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018, S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def name(names: dict[str, str], language: str) -> str:
        found = names.get(language, "")
        return names[found[1:]] if found.startswith("*") else found  # "*aa": as in that language

    return {code: {one: name(module.LOCALE_DATA.get(code, {}), one) for one in ("en", "pt")} for code in CODES}
