"""The control API, faults on demand, the page, and the program's start and end."""

import json
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from .conftest import ROOT, Simulator, until


def fault(desk, **rule) -> None:
    """Put one fault in force for this test's account."""
    desk.simulator.control("PUT", "faults", [{"account": desk.sid, **rule}])


def created(desk) -> int:
    """How many calls the account really has."""
    return len(desk.client.calls.list())


@pytest.mark.parametrize(("do", "expected"), [("refuse-429", (429, 20429)), ("error-500", (500, 20500))])
def test_a_refused_create_makes_no_call(desk, do, expected):
    fault(desk, on="create", do=do)
    with pytest.raises(TwilioRestException) as caught:
        desk.call(f"{desk.app.url}/twiml")
    assert (caught.value.status, caught.value.code) == expected
    assert created(desk) == 0
    desk.app.says("/twiml", "<Hangup/>")
    assert desk.call(f"{desk.app.url}/twiml").status == "queued"  # once is enough


@pytest.mark.parametrize(("do", "calls"), [("cut-before", 0), ("cut-after", 1)])
def test_a_cut_socket_leaves_the_client_without_an_answer(desk, do, calls):
    fault(desk, on="create", do=do)
    desk.app.says("/twiml", "<Hangup/>")
    with pytest.raises(requests.ConnectionError):
        desk.call(f"{desk.app.url}/twiml")
    assert created(desk) == calls
    assert len(desk.app.at("/parent")) == 0 or calls == 1


@pytest.mark.parametrize(("do", "calls"), [("timeout", 0), ("timeout-after", 1)])
def test_a_timeout_acts_or_does_not(desk, do, calls):
    fault(desk, on="create", do=do)
    desk.app.says("/twiml", "<Hangup/>")
    desk.http.timeout = 0.5
    with pytest.raises(requests.ReadTimeout):
        desk.call(f"{desk.app.url}/twiml")
    desk.http.timeout = 10
    assert created(desk) == calls


def test_a_status_fault_answers_what_it_is_told(desk):
    fault(desk, on="fetch", do="status", status=503, code=20503, times=2)
    url = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}/Calls/CA{'0' * 32}.json"
    answers = [requests.get(url, auth=(desk.sid, desk.token), timeout=10) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 404]
    assert answers[0].json()["code"] == 20503
    assert desk.simulator.control("GET", "faults")["faults"][0]["struck"] == 2


def test_a_fault_strikes_its_account_only(make_desk):
    first, second = make_desk(), make_desk()
    fault(first, on="list", do="status", status=500, times=None)
    assert second.client.calls.list() == []
    url = f"{first.simulator.url}/2010-04-01/Accounts/{first.sid}/Calls.json"
    assert requests.get(url, auth=(first.sid, first.token), timeout=10).status_code == 500


def test_the_state_counts_a_webhook_that_is_still_to_come(desk):
    fault(desk, on="webhook", do="delay", seconds=1_000, match={"CallStatus": "completed"})
    call = desk.call(desk.app.says("/twiml", "<Hangup/>"))
    desk.ended(call.sid)
    until(lambda: desk.simulator.state()["webhooks_under_way"].get(desk.sid) == 1)
    desk.simulator.control("PUT", "faults", [])


def test_a_dropped_webhook_is_never_sent(desk):
    fault(desk, on="webhook", do="drop", match={"CallbackSource": "call-progress-events", "CallStatus": "ringing"})
    call = desk.call(desk.app.says("/twiml", "<Hangup/>"))
    desk.ended(call.sid)
    assert {row["CallStatus"] for row in desk.at("/parent", 3)} == {"initiated", "in-progress", "completed"}
    entries = desk.simulator.control("GET", f"requests?call_sid={call.sid}")["requests"]
    assert [entry["params"]["CallStatus"] for entry in entries if entry["error"]] == ["ringing"]
    # Twilio's own record has it all the same: it went out, and nobody answered.
    lost = [one for one in desk.client.calls(call.sid).events.list() if one.response["response_code"] is None]
    assert [one.request["parameters"]["call_status"] for one in lost] == ["ringing"]


def test_rest_requests_are_listed_and_a_429_may_say_how_long_to_wait(desk):
    fault(desk, on="fetch", do="refuse-429", retry_after=7)
    url = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}/Calls/CA{'0' * 32}.json"
    answers = [requests.get(url, auth=(desk.sid, desk.token), timeout=10) for _ in range(2)]
    assert [(answer.status_code, answer.headers.get("Retry-After")) for answer in answers] == [(429, "7"), (404, None)]
    asked = desk.simulator.control("GET", f"asked?account_sid={desk.sid}")["asked"]
    assert [entry["operation"] for entry in asked] == ["fetch", "fetch"]
    assert desk.simulator.control("GET", f"asked?account_sid={desk.sid}&operation=list")["asked"] == []


def test_a_repeated_webhook_is_sent_twice(desk):
    fault(desk, on="webhook", do="repeat", match={"url": "/parent", "CallStatus": "completed"})
    desk.call(desk.app.says("/twiml", "<Hangup/>"), status_callback_event=["completed"])
    first, second = desk.at("/parent", 2)
    assert first == second


def test_a_delayed_webhook_arrives_after_later_ones(desk):
    fault(desk, on="webhook", do="delay", match={"kind": "status", "CallStatus": "initiated"}, seconds=30)
    desk.call(desk.app.says("/twiml", "<Hangup/>"))
    order = [row["CallStatus"] for row in desk.at("/parent", 4)]
    assert order[-1] == "initiated"


def test_a_person_plays_a_phone_by_the_control_api(desk):
    desk.phones(agent={"does": "manual"}, contact={"does": "manual"})
    desk.app.says("/pressed", "<Redirect>/twiml</Redirect>")
    desk.bridge()
    url = desk.app.says("/ask", '<Gather numDigits="1" action="/pressed" timeout="60"><Say>Press 1</Say></Gather>')
    call = desk.call(url)
    control = desk.simulator.control
    desk.live(desk.agent, "ringing")
    control("POST", f"phones/{desk.agent}/press", {"digits": "1"}, expect=409)
    assert control("POST", f"phones/{desk.agent}/answer")["state"] == "in call"
    until(lambda: desk.live(desk.agent, "in-progress")["gathering"], "the Gather")
    assert desk.live(desk.agent, "in-progress")["heard"] == ["Press 1"]
    control("POST", f"phones/{desk.agent}/press", {"digits": "1"})
    desk.live(desk.contact, "ringing")
    control("POST", f"phones/{desk.contact}/answer")
    until(lambda: desk.live(desk.contact, "in-progress")["bridged_with"] == call.sid, "the bridge")
    control("POST", f"phones/{desk.contact}/hangup")
    assert desk.ended(call.sid).status == "completed"
    assert desk.at("/action")[0]["DialBridged"] == "true"
    control("POST", f"phones/{desk.contact}/hangup", expect=409)
    assert control("GET", f"phones/{desk.contact}")["state"] == "idle"


@pytest.mark.parametrize("deed", ["reject", "busy"])
def test_a_person_declines(desk, deed):
    desk.phones(agent={"does": "manual"})
    call = desk.call(f"{desk.app.url}/twiml")
    desk.live(desk.agent, "ringing")
    desk.simulator.control("POST", f"phones/{desk.agent}/{deed}")
    assert desk.ended(call.sid).status == "busy"


def test_the_state_has_counts_and_no_secrets(desk):
    before = desk.simulator.state()["counts"]["create_requests"]
    fault(desk, on="create", do="error-500")
    with pytest.raises(TwilioRestException):
        desk.call(f"{desk.app.url}/twiml")
    desk.call(f"{desk.app.url}/twiml")
    state = desk.simulator.state()
    assert state["counts"]["create_requests"] == before + 2
    assert desk.token not in json.dumps(state)
    assert desk.sid in [account["sid"] for account in state["accounts"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "phones/nobody", {"does": "answer"}, 400),
        ("PUT", "phones/+15005550006", {"does": "sing"}, 400),
        ("PUT", "phones/+15005550006", {"does": "answer", "after": "soon"}, 400),
        ("PUT", "phones/+15005550006", {"colour": "red"}, 400),
        ("PUT", "phones/+15005550006", [], 400),
        ("POST", "phones/+15005550006/press", {"digits": "x"}, 400),
        ("POST", "phones/+15005550006/answer", None, 409),
        ("POST", "phones/+15005550006/call", {"to": "+15005559999"}, 404),
        ("POST", "phones/+15005550006/sing", None, 404),
        ("PUT", "switches", {"media_range": "half"}, 400),
        ("PUT", "switches", {"unknown": 1}, 400),
        ("PUT", "faults", {"on": "create"}, 400),
        ("PUT", "faults", [{"on": "create", "do": "drop"}], 400),
        ("PUT", "faults", [{"on": "webhook", "do": "drop", "times": 0}], 400),
        ("POST", "accounts", {"sid": "AC1", "auth_token": "x"}, 400),
        ("GET", "requests?since=x", None, 400),
        ("GET", "nothing", None, 404),
    ],
    ids=str,
)
def test_wrong_input_is_answered_with_a_sentence(simulator, method, path, body, status):
    assert simulator.control(method, path, body, expect=status)["error"].endswith((".", "}"))


def test_a_body_that_is_no_json_is_400(simulator):
    response = requests.put(f"{simulator.url}/simulator/faults", data="{", timeout=10)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]


def test_the_page_needs_nothing_from_elsewhere(simulator):
    for path in ("/", "/phone/+15005550006", "/page/phones.css", "/page/phones.js", "/page/icon.svg"):
        response = requests.get(simulator.url + path, timeout=10)
        assert response.status_code == 200
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        foreign = [
            word for word in response.text.split('"') if word.startswith(("http:", "https:", "//")) and " " not in word
        ]
        assert set(foreign) <= {"http://www.w3.org/2000/svg"}
    assert "<script>" not in requests.get(simulator.url, timeout=10).text


def test_server_sent_events_carry_the_state(desk):
    with requests.get(f"{desk.simulator.url}/simulator/events", stream=True, timeout=10) as stream:
        lines = stream.iter_lines(decode_unicode=True)

        def next_state() -> dict:
            return json.loads(next(line for line in lines if line.startswith("data: "))[6:])

        first = next_state()["version"]
        desk.simulator.phone(desk.agent, does="busy")
        assert next_state()["version"] > first


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_second_though_calls_and_pages_are_open(tmp_path, number):
    account = {"sid": "AC" + "1" * 32, "auth_token": "t", "numbers": ["+15005550006"]}
    config = {"accounts": [account], "default_phone": {"does": "manual"}, "switches": {"media_range": "range"}}
    running = Simulator(tmp_path, config, speed=1)
    auth = (account["sid"], "t")
    url = f"{running.url}/2010-04-01/Accounts/{account['sid']}/Calls.json"
    data = {"To": "+15005550020", "From": "+15005550006", "Url": "http://127.0.0.1:9/"}
    assert requests.post(url, auth=auth, data=data, timeout=10).status_code == 201
    assert running.state()["switches"]["media_range"] == "range"
    with requests.get(f"{running.url}/simulator/events", stream=True, timeout=10) as stream:
        next(stream.iter_lines())
        running.session.close()
        began = time.monotonic()
        running.process.send_signal(number)
        assert running.process.wait(timeout=10) == 0
        assert time.monotonic() - began < 1.0
    assert "Traceback" not in running.log.read_text()


def test_without_a_configuration_the_sample_account_is_printed_and_phones_wait(tmp_path):
    running = Simulator(tmp_path)
    try:
        state = running.state()
        assert state["default_phone"]["does"] == "manual"
        assert state["accounts"][0]["sid"] in running.log.read_text()
    finally:
        running.stop()


@pytest.mark.parametrize(
    "settings", ['{"accounts": [{"sid": "AC1"}]}', "{", '{"colour": 1}', '{"phones": {"x": {}}}', "[]"]
)
def test_a_wrong_configuration_is_named_and_ends_with_2(tmp_path, settings):
    path = tmp_path / "config.json"
    path.write_text(settings)
    command = [sys.executable, "-m", "integrations.simulator", "--port", "0", "--config", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "--config" in done.stderr


def test_the_clock_runs_as_fast_as_told(simulator):
    first, began = simulator.state(), time.monotonic()
    until(lambda: time.monotonic() - began > 0.5, "half a second")
    second, lasted = simulator.state(), time.monotonic() - began

    passed = (datetime.fromisoformat(second["now"]) - datetime.fromisoformat(first["now"])).total_seconds()
    assert passed == pytest.approx(lasted * first["speed"], rel=0.2)
