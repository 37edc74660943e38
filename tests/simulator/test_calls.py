"""The course of a call: who rings, who answers, what is asked and told, by the outcomes that Twilio documents."""

import io
import wave

import pytest
import requests

from .conftest import until


def test_a_bridged_call_is_told_asked_and_recorded(desk):
    url = desk.bridge(record="record-from-answer-dual", recordingStatusCallback="/recording")
    call = desk.call(url)
    assert (call.status, call.direction, call.duration) == ("queued", "outbound-api", None)

    ended = desk.ended(call.sid)
    assert ended.status == "completed"
    assert desk.statuses("/parent", 4) == ["initiated", "ringing", "in-progress", "completed"]
    assert desk.statuses("/child", 4) == ["initiated", "ringing", "in-progress", "completed"]

    child = desk.child(call.sid)
    assert (child.direction, child.to, child._from, child.status) == (
        "outbound-dial",
        desk.contact,
        desk.own,
        "completed",
    )
    [asked] = desk.at("/twiml")
    assert asked["CallStatus"] == "in-progress"
    assert asked["Direction"] == "outbound-api"
    assert asked["ToCountry"] == "US"
    [action] = desk.at("/action")
    assert action["CallSid"] == call.sid
    assert action["CallStatus"] == "in-progress"
    assert action["DialCallStatus"] == "completed"
    assert action["DialBridged"] == "true"
    assert action["DialCallSid"] == child.sid
    assert action["DialCallDuration"] == child.duration
    assert 4 <= int(child.duration) <= 7  # the contact talks for 5 s

    [recorded] = desk.at("/recording")
    assert recorded["RecordingStatus"] == "completed"
    assert recorded["CallSid"] == call.sid
    assert recorded["RecordingChannels"] == "2"
    assert recorded["RecordingSource"] == "DialVerb"
    assert action["RecordingSid"] == recorded["RecordingSid"]
    assert action["RecordingUrl"] == recorded["RecordingUrl"]

    media = requests.get(recorded["RecordingUrl"] + ".wav", auth=(desk.sid, desk.token), timeout=10)
    assert media.status_code == 200
    assert media.headers["Content-Type"] == "audio/x-wav"
    with wave.open(io.BytesIO(media.content)) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getsampwidth()) == (2, 8000, 2)
        assert sound.getnframes() == 8000 * int(recorded["RecordingDuration"])
        frames = sound.readframes(sound.getnframes())
    left, right = frames[0::4] + frames[1::4], frames[2::4] + frames[3::4]
    assert any(left)
    assert any(right)
    assert left != right

    final = next(row for row in desk.at("/parent", 4) if row["CallStatus"] == "completed")
    assert final["CallDuration"] == ended.duration
    assert final["Duration"] == "1"  # begun minutes
    assert final["SipResponseCode"] == "200"
    assert desk.check_signatures() >= 11
    assert int(ended.duration) == int((ended.end_time - ended.start_time).total_seconds())


@pytest.mark.parametrize(
    ("does", "status"), [("no-answer", "no-answer"), ("busy", "busy"), ("reject", "busy"), ("fail", "failed")]
)
def test_an_agent_who_is_not_reached_leaves_no_twiml_request_and_no_child(desk, does, status):
    desk.phones(agent={"does": does})
    call = desk.call(desk.bridge(record="true"), timeout=5)
    ended = desk.ended(call.sid)
    assert ended.status == status
    assert ended.duration is None
    rows = desk.at("/parent", 2 if does in ("busy", "fail") else 3)
    final = next(row for row in rows if row["CallStatus"] == status)
    assert final["CallDuration"] == "0"
    assert final["SipResponseCode"] == {"no-answer": "487", "busy": "486", "reject": "486", "fail": "404"}[does]
    assert desk.app.at("/twiml") == []
    assert desk.app.at("/action") == []
    assert desk.client.calls.list(parent_call_sid=call.sid) == []
    assert desk.client.calls(call.sid).recordings.list() == []


def test_a_voicemail_presses_nothing_so_a_gather_keeps_the_contact_from_ringing(desk):
    desk.phones(agent={"does": "voicemail", "talk": 60})
    desk.app.says("/pressed", "<Redirect>/twiml</Redirect>")
    desk.bridge()
    url = desk.app.says("/ask", '<Gather numDigits="1" action="/pressed"><Say>Press 1</Say></Gather><Hangup/>')
    call = desk.call(url)
    assert desk.ended(call.sid).status == "completed"
    assert desk.app.at("/pressed") == []
    assert desk.client.calls.list(parent_call_sid=call.sid) == []


def test_without_a_gather_a_voicemail_rings_the_contact(desk):
    desk.phones(agent={"does": "voicemail", "talk": 60})
    call = desk.call(desk.bridge())
    assert desk.child(call.sid).to == desk.contact
    desk.ended(call.sid)


def test_a_key_asks_the_action_of_the_gather(desk):
    desk.bridge()
    desk.app.says("/pressed", "<Redirect>/twiml</Redirect>")
    url = desk.app.says("/ask", '<Gather numDigits="1" action="/pressed"><Say>Press 1</Say></Gather><Hangup/>')
    call = desk.call(url)
    [pressed] = desk.at("/pressed")
    assert pressed["Digits"] == "1"
    assert pressed["msg"] == "Gather End"
    desk.ended(call.sid)
    assert desk.at("/action")[0]["DialBridged"] == "true"


@pytest.mark.parametrize(
    ("does", "status", "sip"),
    [("no-answer", "no-answer", "487"), ("busy", "busy", "486"), ("reject", "busy", "486"), ("fail", "failed", "404")],
)
def test_a_contact_who_is_not_reached_ends_with_the_childs_status_but_a_completed_parent(desk, does, status, sip):
    desk.phones(contact={"does": does})
    call = desk.call(desk.bridge(timeout="5", record="true"))
    ended = desk.ended(call.sid)
    assert ended.status == "completed"
    assert int(ended.duration) > 0
    assert desk.child(call.sid).status == status
    [action] = desk.at("/action")
    assert action["DialCallStatus"] == status
    assert action["DialBridged"] == "false"
    assert action["DialSipResponseCode"] == sip
    assert "DialCallDuration" not in action
    assert "RecordingSid" not in action


def test_the_switch_gives_an_unanswered_dial_a_duration_of_zero(desk):
    desk.simulator.control("PUT", "switches", {"dial_duration_on_no_answer": "zero"})
    desk.phones(contact={"does": "busy"})
    call = desk.call(desk.bridge())
    desk.ended(call.sid)
    assert desk.at("/action")[0]["DialCallDuration"] == "0"


def test_a_refused_whisper_is_completed_but_not_bridged(desk):
    desk.app.says("/screen", "<Say>A call for you</Say><Hangup/>")
    desk.app.says("/action", "<Hangup/>")
    url = desk.app.says(
        "/twiml", f'<Dial action="/action"><Number url="/screen" statusCallback="/child">{desk.contact}</Number></Dial>'
    )
    call = desk.call(url)
    [action] = desk.at("/action")
    assert (action["DialCallStatus"], action["DialBridged"]) == ("completed", "false")
    [asked] = desk.at("/screen")
    assert asked["ParentCallSid"] == call.sid
    assert desk.statuses("/child", 1) == ["completed"]


def test_an_accepted_whisper_is_bridged(desk):
    desk.app.says("/screen", "<Say>A call for you</Say>")
    desk.app.says("/action", "<Hangup/>")
    url = desk.app.says("/twiml", f'<Dial action="/action"><Number url="/screen">{desk.contact}</Number></Dial>')
    call = desk.call(url)
    assert desk.at("/action")[0]["DialBridged"] == "true"
    desk.ended(call.sid)


def test_the_agent_hanging_up_in_the_bridge_still_sends_action_with_a_completed_parent(desk):
    desk.phones(agent={"does": "answer", "talk": 4}, contact={"does": "answer"})
    call = desk.call(desk.bridge(record="record-from-answer-dual", recordingStatusCallback="/recording"))
    assert desk.ended(call.sid).status == "completed"
    [action] = desk.at("/action")
    assert action["CallStatus"] == "completed"
    assert (action["DialCallStatus"], action["DialBridged"]) == ("completed", "true")
    assert desk.child(call.sid).status == "completed"
    assert desk.at("/recording")[0]["RecordingStatus"] == "completed"


@pytest.mark.parametrize("status", ["canceled", "no-answer"])
def test_the_agent_leaving_while_the_contact_rings_ends_the_child_as_the_switch_says(desk, status):
    desk.simulator.control("PUT", "switches", {"agent_left_child_status": status})
    desk.phones(contact={"does": "manual"})
    call = desk.call(desk.bridge())
    desk.live(desk.contact, "ringing")
    desk.simulator.control("POST", f"phones/{desk.agent}/hangup")
    ended = desk.ended(call.sid)
    assert ended.status == "completed"
    assert desk.child(call.sid).status == status
    [action] = desk.at("/action")
    assert (action["CallStatus"], action["DialCallStatus"], action["DialBridged"]) == ("completed", status, "false")


@pytest.mark.parametrize("asked", ["canceled", "completed"])
def test_rest_cancels_a_call_that_rings(desk, asked):
    desk.phones(agent={"does": "manual"})
    call = desk.call(desk.bridge())
    desk.live(desk.agent, "ringing")
    assert desk.client.calls(call.sid).update(status=asked).status == "canceled"
    assert "canceled" in [row["CallStatus"] for row in desk.at("/parent", 3)]
    assert desk.app.at("/twiml") == []


def test_cancel_has_no_effect_on_a_call_in_progress(desk):
    desk.phones(contact={"does": "answer", "talk": 20})
    call = desk.call(desk.bridge())
    desk.live(desk.contact, "in-progress")
    assert desk.client.calls(call.sid).update(status="canceled").status == "in-progress"
    desk.client.calls(call.sid).update(status="completed")


def test_rest_ending_the_parent_tears_the_child_down(desk):
    desk.phones(contact={"does": "answer", "talk": 600})
    call = desk.call(desk.bridge())
    child = desk.live(desk.contact, "in-progress")
    assert desk.client.calls(call.sid).update(status="completed").status == "completed"
    assert desk.ended(child["sid"]).status == "completed"


def test_rest_ending_the_child_lets_the_parent_go_on_to_action(desk):
    desk.phones(contact={"does": "answer", "talk": 600})
    call = desk.call(desk.bridge())
    child = desk.live(desk.contact, "in-progress")
    assert desk.client.calls(child["sid"]).update(status="completed").status == "completed"
    [action] = desk.at("/action")
    assert (action["CallStatus"], action["DialCallStatus"]) == ("in-progress", "completed")
    assert desk.ended(call.sid).status == "completed"


def test_redirecting_the_child_leaves_the_bridge_and_plays_there(desk):
    desk.phones(contact={"does": "answer", "talk": 600})
    call = desk.call(desk.bridge())
    child = desk.live(desk.contact, "in-progress")
    until(lambda: desk.live(desk.contact, "in-progress")["bridged_with"], "the bridge")
    elsewhere = desk.app.says("/elsewhere", '<Say>You are being transferred</Say><Pause length="2"/>')
    desk.client.calls(child["sid"]).update(url=elsewhere)
    [asked] = desk.at("/elsewhere")
    assert asked["CallSid"] == child["sid"]
    assert desk.at("/action")[0]["DialCallStatus"] == "completed"
    assert desk.ended(call.sid).status == desk.ended(child["sid"]).status == "completed"


def test_redirecting_the_parent_ends_the_child_and_skips_action(desk):
    desk.phones(contact={"does": "answer", "talk": 600})
    call = desk.call(desk.bridge())
    child = desk.live(desk.contact, "in-progress")
    until(lambda: desk.live(desk.contact, "in-progress")["bridged_with"], "the bridge")
    elsewhere = desk.app.says("/elsewhere", "<Say>Elsewhere</Say>")
    desk.client.calls(call.sid).update(url=elsewhere)
    assert desk.ended(child["sid"]).status == "completed"
    assert desk.ended(call.sid).status == "completed"
    assert len(desk.at("/elsewhere")) == 1
    assert desk.app.at("/action") == []


def test_the_time_limit_of_a_dial_ends_the_child_only(desk):
    desk.phones(contact={"does": "answer", "talk": 600})
    call = desk.call(desk.bridge(timeLimit="3"))
    [action] = desk.at("/action")
    assert (action["CallStatus"], action["DialCallStatus"]) == ("in-progress", "completed")
    assert 2 <= int(action["DialCallDuration"]) <= 5
    desk.ended(call.sid)


def test_without_action_the_document_goes_on(desk):
    url = desk.app.says("/twiml", f"<Dial>{desk.contact}</Dial><Redirect>/after</Redirect>")
    desk.app.says("/after", "<Hangup/>")
    call = desk.call(url)
    assert desk.at("/after")[0]["CallStatus"] == "in-progress"
    desk.ended(call.sid)


def test_the_first_of_several_numbers_wins(desk):
    slow = desk.simulator.phone(desk.new_number(), does="manual")
    url = desk.app.says("/twiml", f"<Dial><Number>{slow}</Number><Number>{desk.contact}</Number></Dial>")
    call = desk.call(url)
    desk.ended(call.sid)
    children = {child.to: child.status for child in desk.client.calls.list(parent_call_sid=call.sid)}
    assert children == {slow: "canceled", desk.contact: "completed"}


@pytest.mark.parametrize(
    ("switch", "first"), [("before_twiml", "status"), ("after_twiml", "twiml")], ids=["before", "after"]
)
def test_the_switch_orders_the_answered_callback_and_the_twiml_request(desk, switch, first):
    desk.simulator.control("PUT", "switches", {"in_progress_callback": switch})
    call = desk.call(desk.app.says("/twiml", "<Hangup/>"), status_callback_event=["answered"])
    desk.at("/parent")
    entries = desk.simulator.control("GET", f"requests?call_sid={call.sid}")["requests"]
    assert entries[0]["kind"] == first
    assert len(entries) == 2


def test_a_foreign_caller_id_fails_the_dial_not_the_call(desk):
    call = desk.call(desk.bridge(callerId=desk.new_number()))
    [action] = desk.at("/action")
    assert action["DialCallStatus"] == "failed"
    assert "DialCallSid" not in action
    assert desk.ended(call.sid).status == "completed"
    assert "13214" in desk.notes(call.sid)


def test_the_agents_own_number_is_allowed_as_caller_id(desk):
    call = desk.call(desk.bridge(callerId=desk.agent))
    assert desk.at("/action")[0]["DialBridged"] == "true"
    assert desk.child(call.sid)._from == desk.agent


@pytest.mark.parametrize(("error", "code"), [(13227, "13227"), (21215, "13227"), (21214, "13224"), (21216, "13225")])
def test_a_refused_destination_is_a_notification_and_a_failed_child(desk, error, code):
    desk.phones(contact={"does": "answer", "error": error})
    call = desk.call(desk.bridge())
    [action] = desk.at("/action")
    assert action["DialCallStatus"] == "failed"
    assert desk.child(call.sid).status == "failed"
    assert desk.notes(call.sid) == [code]


def test_a_sip_number_in_dial_is_13223(desk):
    call = desk.call(desk.app.says("/twiml", "<Dial>sip:someone@example.com</Dial>"))
    desk.ended(call.sid)
    assert desk.notes(call.sid) == ["13223"]


def test_calls_per_second_queue_and_queue_time_says_how_long(make_desk):
    desk = make_desk(cps=0.5)
    desk.phones(agent={"does": "busy", "after": 0})
    url = desk.app.says("/twiml", "<Hangup/>")
    calls = [desk.call(url) for _ in range(3)]
    queued = [int(desk.ended(call.sid).queue_time) for call in calls]
    assert queued[0] == 0
    assert 0 < queued[1] <= 2000
    assert queued[1] < queued[2] <= 4000


def test_the_whole_call_is_recorded_when_rest_asks(desk):
    url = desk.app.says("/twiml", '<Pause length="3"/>')
    call = desk.call(url, record=True, recording_status_callback=f"{desk.app.url}/recording")
    [row] = desk.at("/recording")
    assert (row["RecordingSource"], row["CallSid"]) == ("OutboundAPI", call.sid)
    assert int(row["RecordingDuration"]) >= 3


def test_machine_detection_names_a_voicemail(desk):
    desk.phones(agent={"does": "voicemail", "talk": 60})
    call = desk.call(desk.app.says("/twiml", "<Hangup/>"), machine_detection="Enable")
    assert desk.at("/twiml")[0]["AnsweredBy"] == "machine_start"
    assert desk.ended(call.sid).answered_by == "machine_start"


def test_a_call_from_a_phone_is_answered_by_the_numbers_voice_url(desk):
    url = desk.app.says("/inbound", '<Say>Welcome</Say><Pause length="1"/>')
    number = desk.client.incoming_phone_numbers.list()[0]
    number.update(voice_url=url)
    desk.simulator.control("POST", f"phones/{desk.contact}/call", {"to": desk.own})
    [asked] = desk.at("/inbound")
    assert (asked["Direction"], asked["CallStatus"], asked["From"]) == ("inbound", "ringing", desk.contact)
    assert desk.ended(asked["CallSid"]).status == "completed"


def test_a_trial_account_reaches_verified_numbers_only_also_in_a_dial(make_desk):
    desk = make_desk(type="Trial")
    desk.simulator.control(
        "POST",
        "accounts",
        {
            "sid": desk.sid,
            "auth_token": desk.token,
            "type": "Trial",
            "numbers": [desk.own],
            "verified": [desk.agent],
        },
    )
    desk.phones()
    call = desk.call(desk.bridge())
    assert desk.at("/action")[0]["DialCallStatus"] == "failed"
    assert desk.notes(call.sid) == ["21219"]


def test_the_price_arrives_after_the_end(desk):
    call = desk.call(desk.app.says("/twiml", "<Hangup/>"))
    assert desk.ended(call.sid).price is None
    until(lambda: desk.client.calls(call.sid).fetch().price == "-0.01400", "the price")
