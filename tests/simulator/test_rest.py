"""The REST API: credentials, errors with their codes, lists, pages, recordings and their media."""

import datetime
import io
import wave

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from .conftest import until


def refusal(action) -> tuple[int, int]:
    """(HTTP status, code) of the error that `action` raises."""
    with pytest.raises(TwilioRestException) as caught:
        action()
    return caught.value.status, caught.value.code


def post_call(desk, **fields) -> requests.Response:
    """POST Calls by hand, for what the client would not send."""
    return requests.post(
        f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}/Calls.json",
        auth=(desk.sid, desk.token),
        data=fields,
        timeout=10,
    )


def quiet_calls(desk, count: int) -> list[str]:
    """Calls to a busy phone, oldest first."""
    desk.phones(agent={"does": "busy", "after": 0})
    return [desk.call(f"{desk.app.url}/twiml", status_callback="").sid for _ in range(count)]


def recorded_call(desk, **dial) -> tuple[str, dict]:
    """A bridged and recorded call, and its recording callback."""
    given = {"record": "record-from-answer-dual", "recordingStatusCallback": "/recording", **dial}
    call = desk.call(desk.bridge(**given))
    return call.sid, desk.at("/recording")[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"To": ""}, (400, 21201)),
        ({"From": ""}, (400, 21213)),
        ({"To": "+1"}, (400, 21211)),
        ({"To": "someone"}, (400, 21211)),
        ({"From": "+15005550999"}, (400, 21210)),
        ({"From": "word"}, (400, 21212)),
        ({"Url": ""}, (400, 21205)),
        ({"Url": "nowhere"}, (400, 21205)),
        ({"Url": "http://under_score.example.com/"}, (400, 21205)),
        ({"SendDigits": "abc"}, (400, 21206)),
        ({"Timeout": "soon"}, (400, 21208)),
        ({"Timeout": "601"}, (400, 21208)),
        ({"Method": "PATCH"}, (400, 21209)),
        ({"Url": "", "ApplicationSid": "AP" + "0" * 32}, (400, 21218)),
        ({"Url": "", "Twiml": "x" * 4001}, (400, 20001)),
    ],
    ids=str,
)
def test_a_wrong_call_is_refused_with_twilios_code(desk, change, expected):
    fields = {"To": desk.agent, "From": desk.own, "Url": "http://example.com/", **change}
    response = post_call(desk, **{name: value for name, value in fields.items() if value})
    body = response.json()
    assert (response.status_code, body["code"]) == expected
    assert body["status"] == response.status_code
    assert body["more_info"].endswith(f"/{body['code']}")
    assert body["message"]


def test_a_phones_error_refuses_the_call(desk):
    desk.phones(agent={"does": "answer", "error": 21215})
    assert refusal(lambda: desk.call("http://example.com/")) == (400, 21215)


def test_a_trial_account_may_call_verified_numbers_only(make_desk):
    desk = make_desk(type="Trial")
    assert refusal(lambda: desk.call("http://example.com/")) == (400, 21219)


def test_a_suspended_account_may_only_be_looked_at(make_desk):
    desk = make_desk(status="suspended")
    assert desk.client.api.v2010.accounts(desk.sid).fetch().status == "suspended"
    assert refusal(lambda: desk.call("http://example.com/")) == (403, 20005)


def test_wrong_or_missing_credentials_are_a_401_with_a_challenge(desk):
    url = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}/Calls.json"
    for auth in (None, (desk.sid, "wrong"), ("", ""), ("AC" + "0" * 32, desk.token), ("ação", "ção")):
        response = requests.get(url, auth=auth and tuple(part.encode() for part in auth), timeout=10)
        assert response.status_code == 401
        assert response.json()["code"] == 20003
        assert response.headers["WWW-Authenticate"].startswith("Basic")


def test_one_account_never_sees_anothers_call(make_desk):
    first, second = make_desk(), make_desk()
    [sid] = quiet_calls(first, 1)
    assert refusal(lambda: second.client.calls(sid).fetch()) == (404, 20404)
    first.ended(sid)
    assert refusal(lambda: second.client.calls(sid).delete()) == (404, 20404)
    url = f"{first.simulator.url}/2010-04-01/Accounts/{first.sid}/Calls.json"
    assert requests.get(url, auth=(second.sid, second.token), timeout=10).status_code == 401


def test_an_api_key_reaches_everything_but_the_account(make_desk):
    desk = make_desk(api_keys={"SK" + "a" * 32: "secret"})
    base = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}"
    auth = ("SK" + "a" * 32, "secret")
    assert requests.get(f"{base}/Calls.json", auth=auth, timeout=10).status_code == 200
    assert requests.get(f"{base}.json", auth=auth, timeout=10).json()["code"] == 20003


def test_the_secondary_token_opens_rest_before_its_promotion(make_desk):
    desk = make_desk(secondary_auth_token="next")
    url = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}.json"
    tried = {
        word: requests.get(url, auth=(desk.sid, word), timeout=10).status_code for word in (desk.token, "next", "")
    }
    assert tried == {desk.token: 200, "next": 200, "": 401}


def test_a_number_without_voice_is_listed_as_such_and_calls_nobody(make_desk):
    desk = make_desk(without_voice=["+15005550077"])
    [silent] = [n for n in desk.client.incoming_phone_numbers.list() if n.phone_number == "+15005550077"]
    assert silent.capabilities["voice"] is False
    url = f"{desk.app.url}/twiml"
    assert refusal(lambda: desk.client.calls.create(to=desk.agent, from_="+15005550077", url=url))[1] == 21210


def test_an_unknown_path_is_20404_and_a_wrong_method_20004(desk):
    base = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}"
    auth = (desk.sid, desk.token)
    assert requests.get(f"{base}/Nothing.json", auth=auth, timeout=10).json()["code"] == 20404
    assert requests.put(f"{base}/Calls.json", auth=auth, timeout=10).json()["code"] == 20004


def test_pages_follow_each_other_though_calls_are_made_meanwhile(desk):
    made = quiet_calls(desk, 5)
    page = desk.client.calls.page(page_size=2)
    first = [call.sid for call in page]
    late = quiet_calls(desk, 1)
    page = page.next_page()
    second = [call.sid for call in page]
    third = [call.sid for call in page.next_page()]
    assert first + second + third == list(reversed(made))
    assert [call.sid for call in page.previous_page()] == first
    assert late[0] not in second


def test_addresses_of_pages_are_relative_and_carry_a_token(desk):
    made = quiet_calls(desk, 3)
    url = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}/Calls.json"
    body = requests.get(url, params={"PageSize": "2"}, auth=(desk.sid, desk.token), timeout=10).json()
    assert body["next_page_uri"].startswith(f"/2010-04-01/Accounts/{desk.sid}/Calls.json?")
    assert f"Page=1&PageToken=PA{made[1]}" in body["next_page_uri"]
    assert body["previous_page_uri"] is None
    assert (body["page"], body["page_size"], body["start"], body["end"]) == (0, 2, 0, 1)


def test_lists_filter_by_number_status_parent_and_time(desk):
    desk.phones(contact={"does": "answer", "talk": 1})
    call = desk.call(desk.bridge())
    desk.ended(call.sid)
    child = desk.child(call.sid)
    calls = desk.client.calls
    assert [c.sid for c in calls.list(to=desk.contact)] == [child.sid]
    assert {c.sid for c in calls.list(from_=desk.own)} == {call.sid, child.sid}
    assert {c.sid for c in calls.list(status="completed")} == {call.sid, child.sid}
    assert calls.list(status="busy") == []
    assert [c.sid for c in calls.list(parent_call_sid=call.sid)] == [child.sid]
    hour = datetime.timedelta(hours=1)
    assert len(calls.list(start_time_after=child.start_time - hour)) == 2
    assert calls.list(start_time_after=child.start_time + hour) == []
    assert len(calls.list(start_time_before=child.start_time + hour, end_time_after=child.end_time - hour)) == 2
    assert len(calls.list(start_time=child.start_time.date())) == 2


def test_a_queued_call_has_no_start_and_is_left_out_of_time_filters(make_desk):
    desk = make_desk(cps=0.001)
    desk.phones()
    first = desk.call(f"{desk.app.url}/twiml")
    second = desk.call(f"{desk.app.url}/twiml")
    assert second.start_time is None
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert second.sid not in [c.sid for c in desk.client.calls.list(start_time_after=long_ago)]
    assert desk.client.calls(second.sid).update(status="canceled").status == "canceled"
    desk.ended(first.sid)


def test_an_ended_call_cannot_be_redirected_and_a_live_one_not_deleted(desk):
    desk.phones(agent={"does": "manual"})
    call = desk.call(f"{desk.app.url}/twiml")
    assert refusal(lambda: desk.client.calls(call.sid).delete())[0] == 409
    assert refusal(lambda: desk.client.calls(call.sid).update(url="http://example.com/")) == (400, 21220)
    desk.client.calls(call.sid).update(status="canceled")
    assert refusal(lambda: desk.client.calls(call.sid).update(url="http://example.com/")) == (400, 21220)
    assert desk.client.calls(call.sid).delete() is True
    assert refusal(lambda: desk.client.calls(call.sid).fetch()) == (404, 20404)


def test_status_is_never_initiated_in_rest(desk):
    seen = set()
    desk.phones(contact={"does": "answer", "talk": 1})
    call = desk.call(desk.bridge())
    until(
        lambda: seen.update(c.status for c in desk.client.calls.list()) or "completed" in seen,
        "the call to be completed",
    )
    desk.ended(call.sid)
    assert "initiated" not in seen


def test_events_show_each_request_and_its_answer(desk):
    call = desk.call(desk.app.says("/twiml", "<Hangup/>"), status_callback="")
    desk.ended(call.sid)
    created, asked = desk.client.calls(call.sid).events.list()
    assert created.response["response_code"] == 201
    assert asked.request["url"] == f"{desk.app.url}/twiml"
    assert asked.request["parameters"]["call_sid"] == call.sid
    assert asked.response["response_code"] == 200
    assert "<Hangup/>" in asked.response["response_body"]


def test_recordings_are_listed_under_call_and_account_until_deleted(desk):
    sid, told = recorded_call(desk)
    recording = told["RecordingSid"]
    [under_call] = desk.client.calls(sid).recordings.list()
    [under_account] = desk.client.recordings.list(call_sid=sid)
    assert under_call.sid == under_account.sid == recording
    assert under_call.duration == told["RecordingDuration"]
    assert under_call.price == -0.0025
    assert under_account.price == "-0.0025"
    assert under_account.media_url == told["RecordingUrl"]
    assert under_call.source == "DialVerb"
    assert desk.client.recordings(recording).delete() is True
    assert desk.client.recordings.list(call_sid=sid) == []
    assert desk.client.recordings.list(call_sid=sid, include_soft_deleted=True)[0].status == "deleted"
    media = requests.get(told["RecordingUrl"], auth=(desk.sid, desk.token), timeout=10)
    assert media.status_code == 404


def test_media_is_404_until_the_recording_is_completed(desk):
    desk.phones(contact={"does": "answer", "talk": 600})
    call = desk.call(desk.bridge(record="true"))
    [recording] = until(lambda: desk.client.calls(call.sid).recordings.list(), "a recording")
    assert recording.status == "in-progress"
    url = f"{desk.simulator.url}/2010-04-01/Accounts/{desk.sid}/Recordings/{recording.sid}.wav"
    assert requests.get(url, auth=(desk.sid, desk.token), timeout=10).status_code == 404
    desk.client.calls(call.sid).update(status="completed")


def test_media_needs_credentials_and_has_no_mp3(desk):
    _, told = recorded_call(desk)
    url = told["RecordingUrl"]
    assert requests.get(url, timeout=10).status_code == 401
    mp3 = requests.get(f"{url}.mp3", auth=(desk.sid, desk.token), timeout=10)
    assert (mp3.status_code, mp3.json()["code"]) == (404, 20404)


def test_requested_channels_mix_or_split_the_two_parties(desk):
    _, told = recorded_call(desk, record="record-from-answer")
    assert told["RecordingChannels"] == "1"
    for query, channels in (("", 1), ("?RequestedChannels=1", 1), ("?RequestedChannels=2", 2)):
        media = requests.get(told["RecordingUrl"] + ".wav" + query, auth=(desk.sid, desk.token), timeout=10)
        with wave.open(io.BytesIO(media.content)) as sound:
            assert sound.getnchannels() == channels
            assert sound.getnframes() == 8000 * int(told["RecordingDuration"])


def test_two_channels_of_a_one_track_recording_are_400(desk):
    _, told = recorded_call(desk, recordingTrack="inbound")
    url = told["RecordingUrl"] + "?RequestedChannels=2"
    assert requests.get(url, auth=(desk.sid, desk.token), timeout=10).status_code == 400


def test_the_switch_makes_media_answer_ranges(desk):
    _, told = recorded_call(desk)
    session = requests.Session()
    session.auth = (desk.sid, desk.token)

    def get(span: str) -> requests.Response:
        return session.get(told["RecordingUrl"] + ".wav", headers={"Range": span}, timeout=10)

    with session:
        whole = get("bytes=10-99")
        assert whole.status_code == 200
        assert "Accept-Ranges" not in whole.headers
        desk.simulator.control("PUT", "switches", {"media_range": "range"})
        size = len(whole.content)
        for span, start, stop in (("10-99", 10, 100), ("40000-", 40_000, size), ("-5", size - 5, size)):
            part = get(f"bytes={span}")
            assert part.status_code == 206
            assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
            assert part.content == whole.content[start:stop]
        assert get(f"bytes={size}-").status_code == 416
        tag = part.headers["ETag"]
        for other, status in ((tag, 206), ('"of other media"', 200)):
            headers = {"Range": "bytes=10-", "If-Range": other}
            assert session.get(told["RecordingUrl"] + ".wav", headers=headers, timeout=10).status_code == status


def test_rest_records_pauses_and_stops_a_live_call(desk):
    desk.phones(contact={"does": "answer", "talk": 600})
    call = desk.call(desk.bridge())
    desk.live(desk.contact, "in-progress")
    resource = desk.client.calls(call.sid).recordings
    made = resource.create(
        recording_status_callback=f"{desk.app.url}/recording", recording_status_callback_event=["completed", "absent"]
    )
    assert (made.status, made.source) == ("in-progress", "StartCallRecordingAPI")
    assert resource("Twilio.CURRENT").update(status="paused", pause_behavior="skip").status == "paused"
    assert resource(made.sid).update(status="in-progress").status == "in-progress"
    assert resource(made.sid).update(status="stopped").status == "processing"
    assert desk.at("/recording")[0]["RecordingStatus"] in ("completed", "absent")
    desk.client.calls(call.sid).update(status="completed")
    assert refusal(lambda: resource.create()) == (400, 21220)


def test_own_and_verified_numbers_are_listed(make_desk):
    desk = make_desk(verified=["+15005550010"])
    [number] = desk.client.incoming_phone_numbers.list(phone_number=desk.own)
    assert number.phone_number == desk.own
    assert number.capabilities["voice"] is True
    assert [n.phone_number for n in desk.client.outgoing_caller_ids.list()] == ["+15005550010"]
    assert desk.client.api.v2010.accounts(desk.sid).fetch().type == "Full"
