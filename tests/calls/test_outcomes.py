"""What a call's people hear and see on the way to its end; what its row says afterwards is test_states.py's."""

import pytest

from tests.calls.plays import PLAYS, Played, play_all
from tests.conftest import World

pytestmark = pytest.mark.stack

NEVER_RUNG = (
    "rep does not answer",
    "rep presses no key",
    "rep hangs up before the key",
    "rep's voicemail hears the prompt out",
    "member cancels an unconfirmed start, rep answers",
)
HEARD = {
    "contact does not answer": "did not answer",
    "contact is busy": "is busy",
    "contact cannot be reached": "could not be reached",
    "rep presses no key": "No key was pressed",
    "TwiML unreachable, the fallback is not": "something went wrong",
}


@pytest.fixture(scope="module")
def batch(_world: World) -> dict[str, Played]:
    """The plays that these tests look at, played side by side."""
    return play_all(_world, {name: PLAYS[name] for name in {*NEVER_RUNG, *HEARD}})


def test_a_contact_is_never_rung_before_the_rep_has_agreed(batch: dict[str, Played], world: World) -> None:
    calls = world.twilio.ask("GET", "state")["calls"]
    rung = {one["to"] for one in calls["live"] + calls["recent"]}
    for name in NEVER_RUNG:
        assert batch[name].company.rep.phone_number in rung
        assert batch[name].company.contact_number not in rung, name


def test_the_rep_is_told_why_nobody_is_at_the_other_end(batch: dict[str, Played]) -> None:
    for name, sentence in HEARD.items():
        assert sentence in " ".join(batch[name].legs_at_twilio["agent"]["heard"]), name
