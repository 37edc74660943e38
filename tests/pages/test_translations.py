"""The Brazilian Portuguese catalogue is complete, current and compiled, found out without gettext's programs."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "locale" / "pt_BR" / "LC_MESSAGES"
MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop"}
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def read_po(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Each message of a .po file without plurals or contexts: msgid, msgstr, flags."""
    for block in path.read_text().strip().split("\n\n"):
        flags, parts, current = [], {"msgid": "", "msgstr": ""}, ""
        for line in block.splitlines():
            if line.startswith("#,"):
                flags += [flag.strip() for flag in line[2:].split(",")]
            elif not line.startswith("#"):
                word, _, rest = line.partition(" ")
                if not line.startswith('"'):
                    assert word in parts, f"This reader does not know {line!r}"
                    current = word
                parts[current] += ast.literal_eval(line if line.startswith('"') else rest)
        yield parts["msgid"], parts["msgstr"], flags


def marked(source: str) -> Iterator[str]:
    """The strings that Python source marks for translation."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS and node.args:
            text = node.args[0]
            assert isinstance(text, ast.Constant), f"Only literals can be extracted: {ast.unparse(node)}"
            yield text.value


def marked_in_template(source: str) -> Iterator[str]:
    """The strings that a template marks: Django rewrites them to `gettext(…)` calls for gettext's own extractor."""
    for found in re.finditer(r"""\b(?:gettext|_)\(u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\)""", templatize(source)):
        yield ast.literal_eval(found.group(1))


def sources() -> set[str]:
    """Every marked string of the project."""
    found: set[str] = set()
    for app in ("crm", "calls", "integrations"):
        for path in (ROOT / app).rglob("*.py"):
            if "simulator" not in path.parts and "migrations" not in path.parts:
                found.update(marked(path.read_text()))
    for path in (*(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")):
        found.update(marked_in_template(path.read_text()))
    return found


@pytest.fixture(scope="module")
def messages() -> list[tuple[str, str, list[str]]]:
    """The .po file, without its header."""
    return [message for message in read_po(CATALOGUE / "django.po") if message[0]]


def test_the_catalogue_has_exactly_the_strings_that_the_sources_mark(messages):
    """Else: makemessages, as the head of django.po says, translate, compilemessages."""
    known = {msgid for msgid, _, _ in messages}
    assert sources() - known == set()
    assert known - sources() == set()


def test_every_string_is_translated_and_none_is_a_guess(messages):
    """With the same placeholders."""
    for msgid, msgstr, flags in messages:
        assert msgstr, msgid
        assert "fuzzy" not in flags, msgid
        assert sorted(PLACEHOLDER.findall(msgid)) == sorted(PLACEHOLDER.findall(msgstr)), msgid
        assert msgid.endswith(".") == msgstr.endswith("."), msgid
    assert len({msgid for msgid, _, _ in messages}) == len(messages)


def test_the_compiled_catalogue_is_current(messages):
    """The .mo says what the .po says, and nothing else."""
    with (CATALOGUE / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog
    assert {msgid: text for msgid, text in compiled.items() if msgid} == {
        msgid: msgstr for msgid, msgstr, _ in messages
    }


def test_the_readers_of_this_test_see_what_they_should():
    """A test that finds nothing would pass."""
    assert set(marked('x = _("a" "b"); gettext_lazy("c"); other("d")')) == {"ab", "c"}
    template = (
        "{% load i18n %}{% translate 'It\\'s' as x %}{% blocktranslate with n=m %}Call {{ n }}{% endblocktranslate %}"
    )
    assert "Call %(n)s" in set(marked_in_template(template))
    assert len(sources()) > 200
