"""What Twilio's answers come to that nobody documents, asked of a small server in its place, through the real library.

The simulated Twilio answers as the real one does; a proxy on the way, or Twilio on a bad day, does not.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from calls.models import CallLog, JournalEntry
from crm import tenancy
from crm.models import Membership
from integrations.access import Credentials, credentials
from integrations.models import TwilioAccount
from integrations.services.connect import BadCredentials
from integrations.twilio import client, errors
from integrations.twilio.media import recording_media
from tests.conftest import Api, Company
from tests.crm.rows import make_call

ApiOf = Callable[[Membership], Api]
SID = "CA" + "5" * 32
RFC_9457 = {"type": "https://www.twilio.com/docs/errors/21211", "title": "Invalid 'To' Phone Number"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: list[tuple[int, bytes]]
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.command)
        place = min(len(self.server.asked), len(self.server.answers)) - 1
        status, body = self.server.answers[place]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: Any) -> None:
        pass


class InTwiliosPlace:
    """Says what it is told to, whatever it is asked; the last answer again and again."""

    def __init__(self, server: _Server) -> None:
        self.server = server

    def says(self, *answers: tuple[int, Any]) -> None:
        """`(status, body)` of each answer; what is not bytes is sent as JSON."""
        self.server.answers = [
            (status, body if isinstance(body, bytes) else json.dumps(body).encode()) for status, body in answers
        ]
        self.server.asked = []

    @property
    def asked(self) -> list[str]:
        """The methods of the requests that came."""
        return self.server.asked


@pytest.fixture
def twilio(settings: Any) -> Iterator[InTwiliosPlace]:
    """This process takes a small server for Twilio."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        settings.TWILIO_API_BASE_URL = f"http://127.0.0.1:{server.server_port}"
        try:
            yield InTwiliosPlace(server)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def account(ours: Company) -> Credentials:
    """Our organization's."""
    found = credentials(ours.id)
    assert found is not None
    return found


def place(account: Credentials) -> Any:
    """Ask for a call."""
    return client.place_call(
        account,
        to="+5511987654321",
        from_number="+551132345678",
        answer_url="http://127.0.0.1/answer",
        fallback_url="http://127.0.0.1/fallback",
        status_url="http://127.0.0.1/status",
    )


ONE = {
    "place_call": place,
    "fetch_call": lambda account: client.fetch_call(account, SID),
    "end_call": lambda account: client.end_call(account, SID),
}
LISTS = {
    "find_calls": lambda account: client.find_calls(account, to="+5511987654321", from_number="+551132345678"),
    "fetch_children": lambda account: client.fetch_children(account, SID),
    "fetch_recordings": lambda account: client.fetch_recordings(account, SID),
    "fetch_notifications": lambda account: client.fetch_notifications(account, SID),
}
every_question = pytest.mark.parametrize("question", [*ONE, *LISTS])


def ask(question: str, account: Credentials) -> Any:
    """Put one of the questions."""
    return (ONE | LISTS)[question](account)


# An error in the shape of RFC 9457, which the library raises as another exception than Twilio's own


@every_question
def test_a_refusal_in_the_shape_of_rfc_9457_is_a_refusal(
    twilio: InTwiliosPlace, account: Credentials, question: str
) -> None:
    twilio.says((400, RFC_9457 | {"status": 400, "code": 21211}))
    with pytest.raises(errors.TwilioRejected) as refused:
        ask(question, account)
    assert (refused.value.code, refused.value.twilio_code, refused.value.http_status) == ("invalid_number", 21211, 400)
    assert len(twilio.asked) == 1


@every_question
def test_too_many_requests_in_that_shape_are_asked_again(
    twilio: InTwiliosPlace, account: Credentials, question: str
) -> None:
    twilio.says((429, RFC_9457 | {"status": 429, "code": 20429}))
    with pytest.raises(errors.TwilioRejected) as refused:
        ask(question, account)
    assert (refused.value.code, refused.value.status) == ("twilio_busy", 503)
    assert len(twilio.asked) == 3


def test_the_status_of_the_answer_counts_and_not_the_one_in_its_body(
    twilio: InTwiliosPlace, account: Credentials
) -> None:
    """RFC 9457 §3.1.2: it is advisory. After a 500 nobody knows whether there is a call."""
    twilio.says((500, RFC_9457 | {"status": 400, "code": 21211}))
    with pytest.raises(errors.TwilioUnconfirmed):
        place(account)
    twilio.says((400, RFC_9457 | {"status": "x", "code": [1]}))
    with pytest.raises(errors.TwilioRejected) as refused:
        place(account)
    assert refused.value.twilio_code is None


def test_a_leg_that_is_over_is_over_in_that_shape_too(twilio: InTwiliosPlace, account: Credentials) -> None:
    twilio.says((400, RFC_9457 | {"status": 400, "code": errors.CALL_ALREADY_OVER}))
    assert client.end_call(account, SID) is None


# An answer that says it is well, and cannot be read

UNREADABLE: dict[str, bytes] = {
    "HTML": b"<html>Welcome to the hotel's network</html>",
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"5",
    "no UTF-8": b"\xff\xfe\x00",
    "too deep": b"[" * 100_000,
    "too long a number": b'{"sid": ' + b"9" * 5000 + b"}",
    "an empty object": b"{}",
    "no SID": b'{"status": "queued"}',
    "a SID that is none": b'{"sid": "CA1", "status": "queued"}',
    "a SID of something else": json.dumps({"sid": "RE" + "5" * 32, "status": "queued"}).encode(),
    "a parent that is none": json.dumps({"sid": SID, "parent_call_sid": "../x"}).encode(),
    "a date that is none": json.dumps({"sid": SID, "date_created": "Tue, 31 Feb 2026 10:00:00 +0000"}).encode(),
    "a date that is no text": json.dumps({"sid": SID, "date_created": 5}).encode(),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize(("question", "status"), [("place_call", 201), ("fetch_call", 200), ("end_call", 200)])
def test_an_answer_that_cannot_be_read_is_none(
    twilio: InTwiliosPlace, account: Credentials, question: str, status: int, body: bytes
) -> None:
    twilio.says((status, body))
    with pytest.raises(errors.TwilioUnconfirmed):
        ask(question, account)
    assert len(twilio.asked) == 1


@pytest.mark.parametrize(
    "body",
    [*UNREADABLE.values(), b'{"calls": 5}', b'{"calls": [null]}', b'{"calls": [{}]}', b'{"calls": [{"sid": "CA1"}]}'],
)
@pytest.mark.parametrize("question", LISTS)
def test_a_list_that_cannot_be_read_is_none(
    twilio: InTwiliosPlace, account: Credentials, question: str, body: bytes
) -> None:
    twilio.says((200, body))
    with pytest.raises(errors.TwilioUnconfirmed):
        ask(question, account)


@pytest.mark.parametrize("status", [204, 302, 408])
@every_question
def test_another_status_than_well_or_refused_says_nothing(
    twilio: InTwiliosPlace, account: Credentials, question: str, status: int
) -> None:
    twilio.says((status, b""))
    with pytest.raises(errors.TwilioUnconfirmed):
        ask(question, account)


@pytest.mark.parametrize("what", [what for what in UNREADABLE if not what.startswith("a date")])
def test_a_click_whose_answer_cannot_be_read_is_unconfirmed_and_journalled(
    twilio: InTwiliosPlace, ours: Company, api_of: ApiOf, what: str
) -> None:
    twilio.says((201, UNREADABLE[what]))
    answer = api_of(ours.rep).post("calls/", {"contact": str(ours.contact.pk)})
    assert answer.status_code == 201, answer.content
    assert (answer.json()["status"], answer.json()["confirmed"]) == ("queued", False)
    assert journalled(ours) == ["unconfirmed"]
    assert twilio.asked == ["POST"]


def test_what_postgresql_cannot_hold_is_kept_all_the_same(twilio: InTwiliosPlace, ours: Company, api_of: ApiOf) -> None:
    said = {"sid": SID, "status": "queued", "to_formatted": "a\x00b\ud800", "price": float("nan")}
    twilio.says((201, said))
    answer = api_of(ours.rep).post("calls/", {"contact": str(ours.contact.pk)})
    assert (answer.status_code, answer.json()["call_sid"]) == (201, SID)
    assert journalled(ours) == ["accepted"]


def test_a_hang_up_whose_answer_cannot_be_read_says_that_it_is_unconfirmed(
    twilio: InTwiliosPlace, ours: Company, api_of: ApiOf
) -> None:
    call = make_call(ours, status="ringing")
    twilio.says((200, b"<html>"))
    answer = api_of(ours.rep).post(f"calls/{call.pk}/hangup/")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "twilio_unconfirmed")


def journalled(company: Company) -> list[str]:
    """The kinds of all facts of the company's calls."""
    with tenancy.inside(company.id):
        return [entry.kind for entry in JournalEntry.objects.order_by("received_at")]


# A request that cannot even be written


def seal_past_validation(company: Company, token: str) -> None:
    """As an earlier version stored it."""
    with tenancy.inside(company.id):
        row = TwilioAccount.objects.get()
        row.seal("auth_token", token)
        row.save()


def test_a_token_that_no_header_carries_is_a_refusal_and_nothing_is_sent(
    twilio: InTwiliosPlace, ours: Company, api_of: ApiOf, caplog: pytest.LogCaptureFixture
) -> None:
    token = "seña-日本-" + "0" * 20
    seal_past_validation(ours, token)
    twilio.says((201, {"sid": SID, "status": "queued"}))
    answer = api_of(ours.rep).post("calls/", {"contact": str(ours.contact.pk)})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "twilio_credentials_rejected")
    with tenancy.inside(ours.id):
        assert [call.status for call in CallLog.objects.all()] == ["failed"], "The rep is free."
    assert (journalled(ours), twilio.asked) == (["refused"], [])
    assert token not in caplog.text
    account = credentials(ours.id)
    assert account is not None
    with pytest.raises(errors.TwilioRejected), recording_media(account, "RE" + "0" * 32):
        pass


@pytest.mark.parametrize("base", ["nowhere", "ftp://127.0.0.1", "http://", "http://["])
def test_an_address_that_is_none_is_our_mistake_and_nothing_is_sent(
    ours: Company, api_of: ApiOf, settings: Any, base: str
) -> None:
    settings.TWILIO_API_BASE_URL = base
    answer = api_of(ours.rep).post("calls/", {"contact": str(ours.contact.pk)})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "twilio_request_rejected")
    assert journalled(ours) == ["refused"]


@pytest.mark.parametrize("token", ["seña", "日本", "two words", "a\x00b", "line\nbreak", "x" * 129])
def test_a_token_that_no_header_carries_is_not_stored(ours: Company, token: str) -> None:
    with pytest.raises(BadCredentials) as refused:
        ours.connect(auth_token=token)
    assert refused.value.field == "auth_token"
    assert token not in str(refused.value)
    now = credentials(ours.id)
    assert now is not None
    assert now.auth_token == ours.auth_token
