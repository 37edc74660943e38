"""One bridged call over real parts: what its row, legs, journal and recording say."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Company, World, callbacks_of, eventually, read_call

pytestmark = pytest.mark.stack


def test_a_bridged_call_is_recorded_and_its_row_says_what_happened(
    running: World, company: Company, api_of: Callable[..., Any]
) -> None:
    api = api_of(company.rep)
    started = api.post("calls/", {"contact": str(company.contact.pk)})
    assert started.status_code == 201, started.content
    call_id = started.json()["id"]
    assert started.json()["confirmed"] is True
    row = eventually(
        lambda: (r := api.get(f"calls/{call_id}/").json())["recording_url"] and r, what="a call with its recording"
    )
    assert (row["status"], row["stage"], row["unanswered_by"], row["ended_by"]) == (
        "completed",
        "ended",
        None,
        "contact",
    )
    agent, contact = row["legs"]
    assert contact["parent_call_sid"] == agent["call_sid"] == row["call_sid"]
    # The contact's phone talks for 20 s of the simulator's clock; the rep's leg lasts longer than the talk.
    assert 19 <= row["duration_seconds"] == contact["duration_seconds"] <= 21
    assert agent["duration_seconds"] > row["duration_seconds"]
    assert row["answered_at"] == contact["answered_at"] > agent["answered_at"]
    came = callbacks_of(company, call_id)
    # Both legs' four events, the two TwiML requests, the dial's action, and the recording's two.
    assert came.kinds == {"answer", "key", "dial", "agent", "contact", "recording"}
    assert came.count == 13
    audio = api.get(row["recording_url"].removeprefix("/api/v1/"))
    body = b"".join(audio.streaming_content)
    assert (audio.status_code, audio["Content-Type"], body[:4]) == (200, "audio/wav", b"RIFF")
    assert read_call(company, call_id).recording_duration in (19, 20, 21)
