"""Delivery of webhooks: signatures, retries, redirects, fallbacks, subscriptions, and TwiML that is wrong."""

import socket
import threading
import time
from itertools import pairwise

import pytest
from twilio.request_validator import RequestValidator

from integrations.simulator.signature import sign, signed_url
from integrations.simulator.twiml import ParseError, parse
from integrations.simulator.webhooks import Policy

from .conftest import until


def closed_port() -> str:
    """An address that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def sent(desk, call, kind: str) -> list[dict]:
    """The attempts of one kind for a call."""
    return desk.simulator.control("GET", f"requests?call_sid={call.sid}&kind={kind}")["requests"]


def test_the_signer_gives_twilios_own_example():
    # From the tests of Twilio's Python library, which follow the example in its security page.
    params = {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign("12345", url, params) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("http://127.0.0.1:8000/a?b=c#rc=3", "http://127.0.0.1:8000/a?b=c"),
        ("https://example.com:8443/a", "https://example.com/a"),
        ("http://user:pass@example.com:81/a", "http://example.com:81/a"),
        ("https://user:pass@example.com/a", "https://example.com/a"),
    ],
)
def test_fragment_credentials_and_https_port_are_not_signed(url, signed):
    assert signed_url(url) == signed
    assert RequestValidator("t").validate(signed, {"A": "1"}, sign("t", url, {"A": "1"}))


def test_get_requests_sign_the_query(desk):
    desk.app.says("/twiml", "<Hangup/>")
    call = desk.call(f"{desk.app.url}/twiml?own=1", method="GET", status_callback_method="GET")
    desk.ended(call.sid)
    until(lambda: len(desk.app.received) == 5, "all five requests")
    for entry in desk.app.received:
        assert entry["method"] == "GET"
        assert entry["query"]["CallSid"] == call.sid
    assert desk.check_signatures() == 5


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", (5000, 15000, 15000, 1, {"ct"})),
        ("#ct=2000&rt=3000&rc=4&rp=ct,rt,5xx", (2000, 3000, 15000, 4, {"ct", "rt", "5xx"})),
        ("#rc=9&ct=1&tt=99999", (5000, 15000, 15000, 1, {"ct"})),
        ("#rp=all&rc=0", (5000, 15000, 15000, 0, {"ct", "rt", "4xx", "5xx"})),
    ],
)
def test_the_fragment_overrides_the_connection_within_its_limits(fragment, expected):
    policy = Policy.of("http://example.com/" + fragment)
    assert (policy.ct, policy.rt, policy.tt, policy.rc, set(policy.retry_on)) == expected


@pytest.mark.parametrize(
    ("status", "fragment", "attempts"),
    [
        (500, "", 1),
        (503, "#rc=3&rp=5xx", 4),
        (404, "#rc=3&rp=5xx", 1),
        (404, "#rc=2&rp=4xx", 3),
        (503, "#rc=2&rp=ct", 1),
    ],
)
def test_an_error_answer_is_retried_only_if_the_fragment_asks(desk, status, fragment, attempts):
    desk.app.says("/twiml", "<Hangup/>")
    desk.app.answers["/parent"] = lambda _: (status, "", {})
    call = desk.call(
        f"{desk.app.url}/twiml",
        status_callback=f"{desk.app.url}/parent{fragment}",
        status_callback_event=["completed"],
    )
    until(lambda: "15003" in desk.notes(call.sid), "the warning about the callback")
    assert len(desk.app.at("/parent")) == attempts
    tokens = {entry["token"] for entry in desk.app.received if entry["path"] == "/parent"}
    assert len(tokens) == 1
    assert [entry["attempt"] for entry in sent(desk, call, "status")] == list(range(1, attempts + 1))
    desk.check_signatures()


def test_a_pause_before_each_retry_is_a_switch(desk):
    came: list[float] = []
    desk.app.says("/twiml", "<Hangup/>")
    desk.app.answers["/parent"] = lambda _: (came.append(time.monotonic()), (503 if len(came) < 3 else 204, "", {}))[1]
    desk.simulator.control("PUT", "switches", {"webhook_retry": "after_a_second"})
    desk.call(
        f"{desk.app.url}/twiml",
        status_callback=f"{desk.app.url}/parent#rc=5&rp=5xx",
        status_callback_event=["completed"],
    )
    until(lambda: len(came) == 3, "the third try")
    assert all(1 <= later - sooner < 3 for sooner, later in pairwise(came))


def test_a_refused_connection_is_retried_once_by_default(desk):
    call = desk.call(
        desk.app.says("/twiml", "<Hangup/>"), status_callback=closed_port(), status_callback_event=["completed"]
    )
    until(lambda: "15003" in desk.notes(call.sid), "the warning about the callback")
    assert [entry["status"] for entry in sent(desk, call, "status")] == [None, None]


def test_a_slow_answer_is_a_read_timeout(desk):
    gate = threading.Event()
    desk.app.answers["/parent"] = lambda _: (gate.wait(10), (204, "", {}))[1]
    call = desk.call(
        desk.app.says("/twiml", "<Hangup/>"),
        status_callback=f"{desk.app.url}/parent#rt=200&rc=1&rp=rt",
        status_callback_event=["completed"],
    )
    until(lambda: "15003" in desk.notes(call.sid), "the warning about the callback")
    gate.set()
    assert len(sent(desk, call, "status")) == 2


def test_redirects_are_followed_and_lose_their_parameters(desk):
    desk.app.says("/moved", "", status=302, Location="/twiml")
    desk.app.says("/kept", "", status=307, Location="/moved")
    desk.app.says("/twiml", "<Hangup/>")
    call = desk.call(f"{desk.app.url}/kept")
    desk.ended(call.sid)
    assert desk.at("/moved")[0]["CallSid"] == call.sid
    [last] = [entry for entry in desk.app.received if entry["path"] == "/twiml"]
    assert (last["method"], last["params"]) == ("GET", {})
    desk.check_signatures()


def test_redirects_in_a_circle_end_with_11215(desk):
    desk.app.says("/twiml", "", status=302, Location="/twiml")
    call = desk.call(f"{desk.app.url}/twiml")
    assert desk.ended(call.sid).status == "completed"
    assert desk.notes(call.sid) == ["11215"]
    assert len(desk.app.at("/twiml")) == 11


def test_a_fallback_is_asked_when_the_url_fails(desk):
    desk.app.says("/twiml", "", status=500)
    fallback = desk.app.says("/fallback", "<Say>Fallback</Say>")
    call = desk.call(f"{desk.app.url}/twiml", fallback_url=fallback)
    desk.ended(call.sid)
    [asked] = desk.at("/fallback")
    assert (asked["ErrorCode"], asked["ErrorUrl"]) == ("11200", f"{desk.app.url}/twiml")
    assert desk.notes(call.sid) == ["11200"]


def test_without_fallback_the_call_ends_with_11200(desk):
    desk.app.says("/twiml", "", status=500)
    call = desk.call(f"{desk.app.url}/twiml")
    assert desk.ended(call.sid).status == "completed"
    assert desk.notes(call.sid) == ["11200"]
    [note] = desk.client.calls(call.sid).notifications.list()
    whole = desk.client.calls(call.sid).notifications(note.sid).fetch()
    assert whole.request_url == f"{desk.app.url}/twiml"
    assert "CallSid=" in whole.request_variables


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("text/xml", "<Response><Say>", "12100"),
        ("text/xml", "<Answer/>", "12100"),
        ("application/json", "{}", "12300"),
        ("text/xml", "<Response>" + " " * 70_000 + "</Response>", "11750"),
    ],
    ids=["broken", "root", "type", "large"],
)
def test_what_is_no_twiml_ends_the_call_with_its_code(desk, content_type, body, code):
    desk.app.answers["/twiml"] = lambda _: (200, body, {"Content-Type": content_type})
    call = desk.call(f"{desk.app.url}/twiml")
    assert desk.ended(call.sid).status == "completed"
    assert desk.notes(call.sid) == [code]


def test_an_unknown_verb_is_skipped_with_a_warning(desk):
    desk.app.says("/after", "<Hangup/>")
    call = desk.call(desk.app.says("/twiml", "<Sing>La</Sing><Redirect>/after</Redirect>"))
    desk.at("/after")
    assert desk.notes(call.sid) == ["12200"]


def test_inline_twiml_is_played_without_a_request(desk):
    desk.phones()
    call = desk.client.calls.create(to=desk.agent, from_=desk.own, twiml="<Response><Say>Hello</Say></Response>")
    assert desk.ended(call.sid).status == "completed"
    assert desk.app.received == []


def test_words_joined_by_spaces_subscribe_to_nothing_in_rest(desk):
    call = desk.call(
        desk.app.says("/twiml", "<Hangup/>"), status_callback_event=["initiated ringing answered completed"]
    )
    desk.ended(call.sid)
    assert "21626" in desk.notes(call.sid)
    assert sent(desk, call, "status") == []


def test_only_subscribed_events_are_sent_and_counted(desk):
    call = desk.call(desk.app.says("/twiml", "<Hangup/>"), status_callback_event=["answered", "completed"])
    assert desk.statuses("/parent", 2) == ["in-progress", "completed"]
    assert [row["SequenceNumber"] for row in desk.at("/parent")] in (["0", "1"], ["1", "0"])
    desk.ended(call.sid)


def test_completed_is_the_default_subscription(desk):
    call = desk.client.calls.create(
        to=desk.agent,
        from_=desk.own,
        url=desk.app.says("/twiml", "<Hangup/>"),
        status_callback=f"{desk.app.url}/parent",
    )
    assert desk.statuses("/parent", 1) == ["completed"]
    assert len(sent(desk, call, "status")) == 1


def test_a_gather_without_keys_falls_through(desk):
    desk.phones(agent={"does": "answer", "press": ""})
    desk.app.says("/after", "<Hangup/>")
    url = desk.app.says("/twiml", '<Gather action="/keys" timeout="2"/><Redirect>/after</Redirect>')
    call = desk.call(url)
    desk.at("/after")
    assert desk.app.at("/keys") == []
    desk.ended(call.sid)


def test_a_gather_asks_without_keys_if_told_so(desk):
    desk.phones(agent={"does": "answer", "press": ""})
    desk.app.says("/keys", "<Hangup/>")
    call = desk.call(desk.app.says("/twiml", '<Gather action="/keys" timeout="1" actionOnEmptyResult="true"/>'))
    assert desk.at("/keys")[0]["Digits"] == ""
    desk.ended(call.sid)


@pytest.mark.parametrize(
    ("press", "attributes", "digits", "finished_on"),
    [("12#", "", "12", "#"), ("123", 'numDigits="2"', "12", ""), ("1#2*", 'finishOnKey="*"', "1#2", "*")],
)
def test_a_gather_ends_with_its_key_or_its_count(desk, press, attributes, digits, finished_on):
    desk.phones(agent={"does": "answer", "press": press})
    desk.app.says("/keys", "<Hangup/>")
    call = desk.call(desk.app.says("/twiml", f'<Gather action="/keys" {attributes}/>'))
    [row] = desk.at("/keys")
    assert (row["Digits"], row["FinishedOnKey"]) == (digits, finished_on)
    desk.ended(call.sid)


def test_recording_events_are_sent_as_subscribed(desk):
    url = desk.bridge(
        record="record-from-ringing-dual",
        recordingStatusCallback="/recording",
        recordingStatusCallbackEvent="in-progress completed",
    )
    call = desk.call(url)
    rows = desk.at("/recording", 2)
    assert {row["RecordingStatus"] for row in rows} == {"in-progress", "completed"}
    assert all("From" not in row and "CallStatus" not in row for row in rows)
    desk.ended(call.sid)


def test_the_parser_keeps_what_is_valid_and_warns_of_the_rest():
    document = parse(
        '<Response><Dial timeout="soon" timeLimit="5" colour="red"><Number>+15005550006</Number><Say/></Dial>'
        "</Response>"
    )
    [dial] = document.verbs
    assert dial.attributes == {"timeLimit": "5"}
    assert [child.name for child in dial.children] == ["Number"]
    assert len(document.warnings) == 3


@pytest.mark.parametrize("text", ["", "<Response>", "<a/>", '<!DOCTYPE a [<!ENTITY b "c">]><Response>&b;</Response>'])
def test_the_parser_refuses_what_is_no_twiml(text):
    with pytest.raises(ParseError):
        parse(text)
