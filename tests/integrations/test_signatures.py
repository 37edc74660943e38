"""Signatures: Twilio's own examples, and every way in which a request can differ from what was signed."""

import base64
import hashlib
import hmac

import pytest

from integrations.twilio.signatures import signature_is_valid

# twilio.com/docs/usage/security and the test suites of Twilio's own libraries, which changed the caller over the years.
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
EXAMPLES = [
    ("+12349013030", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
    ("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    ("+14158675310", "GvWf1cFY/Q7PnoempGyD5oXAezc="),
]
TOKEN = "12345"


def example(caller: str = "+12349013030", **changes: str) -> dict[str, str]:
    """The parameters of Twilio's example."""
    known = {"CallSid": "CA1234567890ABCDE", "Caller": caller, "Digits": "1234", "From": caller, "To": "+18005551212"}
    return known | changes


def form(pairs: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    """A form as the webhook reads it."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: each if len(each) > 1 else each[0] for name, each in values.items()}


def sign(token: str, url: str, pairs: list[tuple[str, str]]) -> str:
    """Sign as Twilio's page describes it: the address, then each name and value, sorted."""
    said = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(token.encode(), said.encode(), hashlib.sha1).digest()).decode()


def valid(signature: str, *, url: str = URL, token: str = TOKEN, pairs: list[tuple[str, str]] | None = None) -> bool:
    """Ask for the example, with what a test changes."""
    params = form(list(example().items()) if pairs is None else pairs)
    return signature_is_valid(auth_token=token, url=url, params=params, signature=signature)


@pytest.mark.parametrize(("caller", "signature"), EXAMPLES)
def test_twilios_documented_examples_are_valid(caller: str, signature: str) -> None:
    pairs = list(example(caller).items())
    assert sign(TOKEN, URL, pairs) == signature  # so that what the other tests sign by hand is right, too
    assert valid(signature, pairs=pairs)
    assert valid(signature, pairs=pairs[::-1])


GOOD = EXAMPLES[0][1]


@pytest.mark.parametrize(
    "signature",
    ["", " ", GOOD[:-1], GOOD + "=", " " + GOOD, GOOD.lower(), GOOD[::-1], "é", "\x00", EXAMPLES[1][1], "A" * 100_000],
)
def test_another_signature_is_not_valid(signature: str) -> None:
    assert not valid(signature)


@pytest.mark.parametrize("token", ["", "12346", "12345 ", "1234"])
def test_another_token_makes_it_invalid(token: str) -> None:
    assert not valid(GOOD, token=token)


@pytest.mark.parametrize(
    "url",
    [
        "http://mycompany.com/myapp.php?foo=1&bar=2",
        "https://mycompany.com/myapp.php?bar=2&foo=1",
        "https://mycompany.com/myapp.php?foo=1",
        "https://mycompany.com/myapp.php",
        "https://mycompany.com/myapp.php/?foo=1&bar=2",
        "https://mycompany.org/myapp.php?foo=1&bar=2",
    ],
)
def test_another_address_makes_it_invalid(url: str) -> None:
    assert not valid(GOOD, url=url)


@pytest.mark.parametrize(
    "change", [{"Digits": "1235"}, {"Digits": "1234 "}, {"Digits": ""}, {"Extra": ""}, {"extra": "1"}]
)
def test_a_changed_or_added_parameter_makes_it_invalid(change: dict[str, str]) -> None:
    assert not valid(GOOD, pairs=list(example(**change).items()))


@pytest.mark.parametrize("name", example())
def test_a_missing_parameter_makes_it_invalid(name: str) -> None:
    assert not valid(GOOD, pairs=[pair for pair in example().items() if pair[0] != name])


# Twilio's security page: over HTTPS the port is dropped from what is signed, over HTTP it is kept; its library tries
# both, so that a port alone never tells two addresses apart where one of them has none.
@pytest.mark.parametrize(
    ("signed", "known"),
    [
        ("https://crm.example.com/hook", "https://crm.example.com:443/hook"),
        ("https://crm.example.com:443/hook", "https://crm.example.com/hook"),
        ("https://crm.example.com/hook", "https://crm.example.com:8443/hook"),
        ("http://127.0.0.1:8001/hook", "http://127.0.0.1:8001/hook"),
        ("http://crm.example.com:80/hook", "http://crm.example.com/hook"),
    ],
)
def test_the_port_may_be_signed_or_not(signed: str, known: str) -> None:
    pairs = list(example().items())
    assert valid(sign(TOKEN, signed, pairs), url=known, pairs=pairs)


def test_another_port_than_the_one_signed_is_not_valid() -> None:
    pairs = list(example().items())
    assert not valid(sign(TOKEN, "http://127.0.0.1:8001/hook", pairs), url="http://127.0.0.1:8002/hook", pairs=pairs)


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("Empty", "")],
        [("CallSid", "CA1"), ("ErrorCode", "")],
        [("MediaUrl", "https://b.example/2"), ("MediaUrl", "https://a.example/1")],
        [("Twice", "same"), ("Twice", "same")],
        [("FromCity", "SÃO PAULO"), ("Name", "日本 ☎ 🙂")],
        [("a", "1"), ("B", "2"), ("A", "3"), ("_", "4"), ("é", "5")],
        [("Plus", "+ %2B & = # ;"), ("Line", "one\r\ntwo")],
        [(f"Parameter{number}", str(number)) for number in range(200)],
    ],
    ids=["none", "empty", "empty among others", "repeated", "repeated alike", "unicode", "order", "signs", "many"],
)
def test_every_kind_of_parameter_is_signed_as_it_is(pairs: list[tuple[str, str]]) -> None:
    good = sign(TOKEN, URL, pairs)
    assert valid(good, pairs=pairs)
    assert not valid(good, pairs=[*pairs, ("One", "more")])
    if pairs:
        assert not valid(good, pairs=[*pairs[:-1], (pairs[-1][0], pairs[-1][1] + "x")])
