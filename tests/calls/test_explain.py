"""Each entry of a journal is told with what it changed, and each field of a call with the entry whose word it holds."""

import random
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.models import CallLog
from calls.rules import known as rules
from calls.rules.explain import SAME, Told, Word, explain
from calls.rules.outcome import Outcome, outcome
from calls.sentences import error_sentence
from integrations.twilio import errors
from tests.calls.test_rules import (
    ACCEPTED,
    AGENT,
    BRIDGED,
    CALL,
    CASES,
    CONTACT_RINGS,
    TALKING,
    Fact,
    agent,
    answer,
    at,
    contact,
    dial,
    key,
    ours,
    polled,
)


def told_of(facts: list[Fact], **more: Any) -> list[Told]:
    return explain([fact.news for fact in facts], **more)


def word(told: Told, field: str) -> Word:
    """What one entry says of a field."""
    return next(one for one in told.words if one.field == field)


def final(facts: list[Fact], row: rules.Known = CALL) -> dict[str, Any]:
    """Every field of the call's row and legs, by the production fold."""
    known = rules.fold([news for fact in facts for news in fact.news], row)
    row = outcome(known)
    state = {field.name: getattr(row, field.name) for field in fields(Outcome)}
    for name, leg in (("agent", known.agent), ("contact", known.contact)):
        state |= {f"{name}.{field.name}": getattr(leg, field.name) for field in fields(rules.Leg)}
    return {field: value for field, value in state.items() if value not in (None, "")}


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_field_of_the_final_state_is_held_by_exactly_one_entry(name, seed):
    """In any order and with repeats, for every outcome: what is marked adds up to the row that the fold makes."""
    facts = [*CASES[name].facts, *CASES[name].facts[::3]]
    random.Random(seed).shuffle(facts)
    row = CASES[name].row
    told = told_of(facts, is_test=bool(row.is_test))
    won: dict[str, list[Any]] = {}
    for one in told:
        for said in one.words:
            if said.won and said.after not in (None, ""):
                won.setdefault(said.field, []).append(said.after)
    expected = final(facts, row)
    for field, values in won.items():
        assert len(values) == 1, field
        if field in expected:
            assert values == [expected[field]], field
    unmarked = expected.keys() - won.keys()
    told_under_another_name = {fact for names in SAME.values() for fact in names} | {"stage"}
    losers = {said.field for one in told for said in one.words if said.overruled_by is not None}
    assert {field for field in unmarked - losers if expected[field] != "queued"} <= told_under_another_name


@pytest.mark.parametrize("name", CASES)
def test_the_words_lead_from_an_unknown_call_to_its_row(name):
    """Each change begins where the one before it ended, and the last one is the row."""
    state: dict[str, Any] = {"status": "queued", "stage": "queued"}
    for one in told_of(CASES[name].facts, is_test=bool(CASES[name].row.is_test)):
        for said in one.words:
            if said.changed:
                assert state.get(said.field) == said.before
                state[said.field] = said.after
    expected = final(CASES[name].facts, CASES[name].row)
    for field in ("status", "started_at", "ended_at", "duration_seconds", "unanswered_by", "ended_by", "error_code"):
        assert state.get(field) == expected.get(field), field


def test_an_answer_changes_status_stage_and_time():
    """The callback of a contact that answers."""
    told = told_of(TALKING)[-1]
    assert (word(told, "status").before, word(told, "status").after) == ("ringing", "in-progress")
    assert word(told, "contact.status").won
    assert word(told, "answered_at").won
    assert "contact.answered_at" not in {said.field for said in told.words}, "It is told once."


def test_a_step_on_the_way_was_not_overruled():
    """Ringing before connected: nobody was wrong."""
    for one in told_of(BRIDGED):
        for said in one.words:
            if said.field.endswith("status") and said.after in ("queued", "initiated", "ringing", "in-progress"):
                assert said.overruled_by is None, said


def test_a_repeat_says_nothing_new():
    """And a note that is no news says nothing at all."""
    told = told_of([*TALKING, TALKING[-1], Fact("unconfirmed", ())])
    assert told[-2] == Told(words=(), said=True)
    assert told[-1] == Told(words=(), said=False)


def test_an_entry_that_is_not_applied_says_nothing_yet():
    """What it holds back is told by the next that says it."""
    told = explain([None, *[fact.news for fact in CONTACT_RINGS]])
    assert told[0] == Told()
    assert word(told[2], "status").won is False
    assert any(said.won for said in told[-1].words)


def test_late_ringing_is_overruled_by_the_contact_legs_word():
    """Its time is news all the same."""
    facts = [*TALKING[:-2], TALKING[-1], contact("ringing", 10)]
    told = told_of(facts)[-1]
    late = word(told, "contact.status")
    assert (late.changed, late.after, late.stands) == (False, "ringing", "in-progress")
    assert facts[late.overruled_by or 0].name == "contact in-progress"
    assert word(told, "contact.ringing_at").won


def test_the_dials_seconds_are_overruled_by_the_contact_legs_whichever_came_first():
    """Talk time is the contact leg's."""
    over = contact("completed", 35, CallDuration="20")
    done = dial("completed", agent_is="in-progress", bridged="true", DialCallDuration="26")
    first, second = told_of([*TALKING, done, over])[-2:]
    assert (word(first, "duration_seconds").after, word(first, "duration_seconds").stands) == (26, 20)
    assert word(first, "duration_seconds").overruled_by == len(TALKING) + 1
    assert word(second, "duration_seconds").won
    late = word(told_of([*TALKING, over, done])[-1], "dial_seconds")
    assert (late.won, late.overruled_by, late.stands) == (False, len(TALKING), 20)


def test_of_two_last_words_the_loser_is_told_by_whom():
    """<Dial>'s action says no answer where the contact's leg says busy."""
    facts = [*CONTACT_RINGS, contact("busy", 20), dial("no-answer", agent_is="in-progress")]
    said = word(told_of(facts)[-1], "dial_status")
    assert (said.won, said.overruled_by, said.stands) == (False, len(CONTACT_RINGS), "busy")
    other = [*CONTACT_RINGS, contact("no-answer", 20), dial("busy", agent_is="in-progress")]
    said = word(told_of(other)[-2], "contact.status")
    assert (said.won, said.overruled_by, said.stands) == (False, len(CONTACT_RINGS) + 1, "busy")


def test_a_poll_wins_where_the_callbacks_were_lost():
    """The agent leg's end, asked for."""
    asked = polled("agent leg", sid=AGENT, status="no-answer", date_created=at(0), start_time=at(0), end_time=at(36))
    told = told_of([ACCEPTED, asked, agent("ringing", 1)])
    assert word(told[1], "status").won
    assert word(told[1], "unanswered_by").after == "agent"
    late = word(told[2], "agent.status")
    assert (late.overruled_by, late.stands) == (1, "no-answer")


def test_what_contradicts_a_final_row_is_overruled_by_what_settled_it():
    """A final status never changes; production keeps the row and logs it."""
    facts = [ours("given up", 200), ACCEPTED, answer(), key("1")]
    facts = [ACCEPTED, agent("no-answer", 36), *facts]
    settled = told_of(facts, settled="no-answer")
    against = word(settled[2], "status")
    assert (against.changed, against.after, against.overruled_by, against.stands) == (False, "failed", 1, "no-answer")
    assert word(told_of(facts)[2], "status").changed


def test_every_refusal_has_a_sentence_also_without_a_number_of_twilios() -> None:
    causes = [*errors.CAUSES.values(), errors.OTHER]
    for code, sentence in {(cause.code, str(cause.sentence)) for cause in causes}:
        assert error_sentence(CallLog(error_message=code)) == sentence
