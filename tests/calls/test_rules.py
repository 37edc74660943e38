"""What the facts of a call amount to: the algebra, the table of outcomes, and what is owed. Pure: no database."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.journal import CALLBACKS, OURS, POLLS
from calls.rules import known as rules
from calls.rules import owed, spend
from calls.rules.known import Known, Leg, Recording, join
from calls.rules.outcome import Outcome, outcome
from calls.rules.owed import Situation, fetches_media, next_look, questions
from integrations.twilio import words
from integrations.twilio.words import FINAL, News, Price

EXAMPLES = int(os.environ.get("RULES_EXAMPLES", "100"))
NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
AGENT, CONTACT, RE = "CA" + "a" * 32, "CA" + "c" * 32, "RE" + "e" * 32


def at(second: float) -> str:
    """Twilio's way to write a moment of the recorded calls."""
    return format_datetime(NOON + timedelta(seconds=second))


@dataclass(frozen=True)
class Fact:
    """One journal entry's news. `needs`: names of the facts without which it cannot come (an answer to a question)."""

    name: str
    news: tuple[News, ...]
    needs: frozenset[str] = frozenset()

    @property
    def known(self) -> Known:
        """What it says."""
        return rules.fold(self.news)

    def after(self, *names: str) -> "Fact":
        """The same fact, which comes only after these."""
        return replace(self, needs=frozenset(names))


def said(kind: str, name: str = "", **params: str) -> Fact:
    """A callback, read as the journal reads it."""
    return Fact(name or kind, tuple(CALLBACKS[kind](params)))


def leg(kind: str, word: str, second: float, **more: str) -> Fact:
    """A status callback; the parameters of twilio.com/docs/voice/api/call-resource#statuscallbackevent."""
    own = {"CallSid": AGENT} if kind == "agent" else {"CallSid": CONTACT, "ParentCallSid": AGENT}
    return said(kind, f"{kind} {word}", CallStatus=word, Timestamp=at(second), **own, **more)


def agent(word: str, second: float, **more: str) -> Fact:
    return leg("agent", word, second, **more)


def contact(word: str, second: float, **more: str) -> Fact:
    return leg("contact", word, second, **more)


def answer(**more: str) -> Fact:
    return said("answer", CallSid=AGENT, CallStatus="in-progress", **more)


def key(digits: str) -> Fact:
    return said("key", CallSid=AGENT, CallStatus="in-progress", Digits=digits)


def dial(word: str, *, agent_is: str, bridged: str = "false", **more: str) -> Fact:
    if bridged:
        more["DialBridged"] = bridged
    return said("dial", CallSid=AGENT, CallStatus=agent_is, DialCallStatus=word, DialCallSid=CONTACT, **more)


def recording(word: str, **more: str) -> Fact:
    return said("recording", f"recording {word}", CallSid=AGENT, RecordingSid=RE, RecordingStatus=word, **more)


def polled(kind: str, **resource: Any) -> Fact:
    return Fact(kind, tuple(POLLS[kind](resource)))


def ours(kind: str, second: float, **more: Any) -> Fact:
    return Fact(kind, tuple(OURS[kind]({"at": (NOON + timedelta(seconds=second)).isoformat(), **more})))


ACCEPTED = polled("accepted", sid=AGENT, status="queued", date_created=at(0), duration=None)
REP_RINGS = [ACCEPTED, agent("initiated", 0), agent("ringing", 1)]
REP_ANSWERS = [*REP_RINGS, agent("in-progress", 5), answer()]
CONTACT_RINGS = [*REP_ANSWERS, key("1"), contact("initiated", 9), contact("ringing", 10)]
TALKING = [*CONTACT_RINGS, contact("in-progress", 15)]
# `Duration` is in minutes: 1, whatever the seconds.
TALKED = [
    *TALKING,
    contact("completed", 35, CallDuration="20", Duration="1", SipResponseCode="200"),
    dial("completed", agent_is="in-progress", bridged="true", DialCallDuration="20", RecordingSid=RE),
    agent("completed", 36, CallDuration="31", Duration="1"),
]
# The eleven callbacks of design §7: four of each leg, the requests for TwiML, and the action.
ELEVEN = [fact for fact in TALKED if fact is not ACCEPTED]
RECORDED = [
    recording("in-progress", RecordingStartTime=at(15), RecordingChannels="2"),
    recording("completed", RecordingStartTime=at(15), RecordingChannels="2", RecordingDuration="20", ErrorCode="0"),
]
BRIDGED = [*TALKED, *RECORDED]
BOTH_ASKED = polled("both legs asked").after("agent completed")
# Asked after the agent leg's end, when requests for TwiML are in the journal (stored before they are answered), and
# where somebody was dialled only after the action had its time.
NO_LEG = polled("no contact leg").after("agent completed", "answer", "key", "dial")
NOTHING_TO_ADD = polled("nothing to add").after("agent completed", "answer", "key")
CALL, TEST = Known(), Known(is_test=True)


def left_while_ringing(word: str, *, told: bool) -> list[Fact]:
    """The rep hung up within the second in which the contact's leg ended; Twilio has used either word for that."""
    facts = [*CONTACT_RINGS, contact(word, 20, CallDuration="0"), agent("completed", 20, CallDuration="15")]
    return [*facts, dial(word, agent_is="completed") if told else BOTH_ASKED]


@dataclass(frozen=True)
class Case:
    """A whole call: its facts, and what its row must say."""

    facts: list[Fact]
    status: str
    unanswered_by: str | None = None
    ended_by: str | None = None
    duration: int = 0
    error_code: int | None = None
    ended: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    row: Known = CALL  # what is known of the call before any fact


# twilio/facts §3, "Agent-first outcomes", and what a member or we do to a call.
CASES = {
    "rep does not answer": Case(
        [*REP_RINGS, agent("no-answer", 36, CallDuration="0", SipResponseCode="487")], "no-answer", "agent", "system"
    ),
    "rep is busy, or declines": Case(
        [*REP_RINGS, agent("busy", 3, CallDuration="0", SipResponseCode="486")], "busy", "agent", "agent"
    ),
    "rep cannot be reached": Case(
        [*REP_RINGS[:2], agent("failed", 1, SipResponseCode="404")], "failed", "agent", "system"
    ),
    "canceled in Twilio's queue": Case([ACCEPTED, agent("canceled", 61)], "canceled", None, "system"),
    "rep's voicemail, or no key": Case(
        [*REP_ANSWERS, key(""), agent("completed", 20, CallDuration="15")], "no-answer", "agent", "system"
    ),
    "rep hangs up before a key": Case(
        [*REP_ANSWERS, agent("completed", 8, CallDuration="3"), NO_LEG], "no-answer", "agent", "agent"
    ),
    "rep hangs up with the key, before Twilio dials": Case(
        [*REP_ANSWERS, key("1"), agent("completed", 8, CallDuration="3"), NO_LEG],
        "canceled",
        None,
        "agent",
    ),
    "contact does not answer": Case(
        [
            *CONTACT_RINGS,
            contact("no-answer", 45, CallDuration="0", SipResponseCode="487"),
            dial("no-answer", agent_is="in-progress"),
            agent("completed", 48, CallDuration="43"),
        ],
        "no-answer",
        "contact",
        "system",
        ended=45,
    ),
    "contact does not answer, and the action is lost": Case(
        [
            *CONTACT_RINGS,
            contact("no-answer", 45, CallDuration="0"),
            agent("completed", 48, CallDuration="43"),
            BOTH_ASKED,
        ],
        "no-answer",
        "contact",
        "system",
        ended=45,
    ),
    "contact is busy, or rejects": Case(
        [
            *CONTACT_RINGS,
            contact("busy", 12, CallDuration="0", SipResponseCode="486"),
            dial("busy", agent_is="in-progress", DialSipResponseCode="486"),
            agent("completed", 14),
        ],
        "busy",
        "contact",
        "contact",
        ended=12,
    ),
    "contact cannot be reached": Case(
        [
            *CONTACT_RINGS,
            contact("failed", 12, CallDuration="0", SipResponseCode="403"),
            dial("failed", agent_is="in-progress"),
            agent("completed", 14),
            polled("notification", error_code="13227", log="0").after("agent completed", "contact failed"),
            BOTH_ASKED,
        ],
        "failed",
        "contact",
        "system",
        error_code=13227,
        ended=12,
    ),
    "the caller ID is refused, so nobody is dialled": Case(
        [*REP_ANSWERS, key("1"), dial("failed", agent_is="in-progress"), agent("completed", 9), NO_LEG],
        "failed",
        "contact",
        "system",
    ),
    "rep leaves while the contact rings: canceled": Case(
        left_while_ringing("canceled", told=True), "canceled", None, "agent"
    ),
    "rep leaves while the contact rings: no-answer": Case(
        left_while_ringing("no-answer", told=True), "canceled", None, "agent"
    ),
    "rep leaves while the contact rings: canceled, no action": Case(
        left_while_ringing("canceled", told=False), "canceled", None, "agent"
    ),
    "rep leaves while the contact rings: no-answer, no action": Case(
        left_while_ringing("no-answer", told=False), "canceled", None, "agent"
    ),
    "contact hangs up first": Case(TALKED, "completed", None, "contact", duration=20, ended=35),
    "rep hangs up first": Case(
        [
            *TALKING,
            contact("completed", 35, CallDuration="20"),
            dial("completed", agent_is="completed", bridged="true", DialCallDuration="20"),
            agent("completed", 35, CallDuration="30"),
        ],
        "completed",
        None,
        "agent",
        duration=20,
        ended=35,
    ),
    "they talked, and the action is lost": Case(
        [
            *TALKING,
            contact("completed", 35, CallDuration="20"),
            agent("completed", 36, CallDuration="31"),
            BOTH_ASKED.after("agent completed", "contact completed"),
        ],
        "completed",
        None,
        "contact",
        duration=20,
    ),
    "answered, and never bridged": Case(
        [
            *TALKING,
            contact("completed", 18, CallDuration="3"),
            dial("completed", agent_is="in-progress", bridged="false", DialCallDuration="3"),
            agent("completed", 19),
        ],
        "no-answer",
        "contact",
        "contact",
    ),
    "member hangs up before the rep's phone is answered": Case(
        [*REP_RINGS, ours("hang-up", 3), agent("canceled", 3)], "canceled", None, "member"
    ),
    "member hangs up while the rep hears the prompt": Case(
        [*REP_ANSWERS, ours("hang-up", 7), agent("completed", 7), NO_LEG.after("agent completed", "answer", "hang-up")],
        "canceled",
        None,
        "member",
    ),
    "member hangs up as the rep presses the key": Case(
        [
            *REP_ANSWERS,
            key("1"),
            ours("hang-up", 7),
            agent("completed", 7),
            NO_LEG.after("agent completed", "answer", "hang-up", "key"),
        ],
        "canceled",
        None,
        "member",
    ),
    "member hangs up while the contact rings": Case(
        [
            *CONTACT_RINGS,
            ours("hang-up", 12),
            contact("no-answer", 12).after("hang-up"),
            dial("no-answer", agent_is="completed").after("hang-up"),
            agent("completed", 12).after("hang-up"),
        ],
        "canceled",
        None,
        "member",
    ),
    "member hangs up while they talk": Case(
        [
            *TALKING,
            ours("hang-up", 30),
            contact("completed", 30, CallDuration="15"),
            dial("completed", agent_is="completed", bridged="true", DialCallDuration="15"),
            agent("completed", 30),
        ],
        "completed",
        None,
        "member",
        duration=15,
    ),
    "Twilio refuses the start": Case(
        [ours("refused", 0, code=21215, message="country_not_enabled")],
        "failed",
        None,
        "system",
        error_code=21215,
        ended=0,
        more={"error_message": "country_not_enabled"},
    ),
    "Twilio cannot be reached": Case(
        [ours("refused", 0, code=None, message="twilio_unreachable")],
        "failed",
        None,
        "system",
        ended=0,
        more={"error_message": "twilio_unreachable"},
    ),
    "given up, and rings all the same": Case(
        [
            ours("given up", 200),
            *(replace(fact, needs=frozenset({"given up"})) for fact in (*REP_ANSWERS, agent("completed", 301))),
        ],
        "failed",
        None,
        "system",
        ended=200,
        more={"error_message": "unconfirmed"},
    ),
    "our TwiML is never reached": Case(
        [
            *REP_RINGS,
            agent("in-progress", 5),
            agent("completed", 6, CallDuration="1"),
            polled("notification", error_code="11200", log="0").after("agent completed"),
            NO_LEG,
        ],
        "failed",
        None,
        "system",
        error_code=11200,
    ),
    "our TwiML is never reached, and the debugger is silent": Case(
        [*REP_RINGS, agent("in-progress", 5), agent("completed", 6), NO_LEG],
        "failed",
        None,
        "system",
        error_code=11200,
    ),
    "our TwiML fails, and Twilio asks the fallback": Case(
        [
            *REP_RINGS,
            agent("in-progress", 5),
            said("fallback", CallSid=AGENT, CallStatus="in-progress", ErrorCode="11200", ErrorUrl="https://x.example/"),
            agent("completed", 9),
            NO_LEG.after("agent completed", "answer", "fallback"),
        ],
        "failed",
        None,
        "system",
        error_code=11200,
    ),
    "the key's answer fails, and Twilio asks the fallback": Case(
        [
            *REP_ANSWERS,
            said("fallback", CallSid=AGENT, CallStatus="in-progress", ErrorCode="12100"),
            agent("completed", 9),
            NO_LEG.after("agent completed", "answer", "fallback"),
        ],
        "failed",
        None,
        "system",
        error_code=12100,
    ),
    "test: a key is pressed": Case(
        [*REP_ANSWERS, key("1"), agent("completed", 12, CallDuration="7")],
        "completed",
        ended=12,
        more={"answered_at": None},
        row=TEST,
    ),
    "test: a key is pressed, and nothing more is told": Case(
        [
            ACCEPTED,
            answer(),
            key("1"),
            polled(
                "agent leg",
                sid=AGENT,
                status="completed",
                date_created=at(0),
                start_time=at(5),
                end_time=at(12),
                duration="7",
            ).after("answer", "key"),
            NOTHING_TO_ADD.after("agent leg"),
        ],
        "completed",
        ended=12,
        row=TEST,
    ),
    "test: member hangs up as the key is pressed": Case(
        [*REP_ANSWERS, key("1"), ours("hang-up", 7), agent("completed", 7)], "completed", None, "member", row=TEST
    ),
    "test: member hangs up before the phone is answered": Case(
        [*REP_RINGS, ours("hang-up", 3), agent("canceled", 3)], "canceled", None, "member", row=TEST
    ),
    "test: no answer": Case([*REP_RINGS, agent("no-answer", 36)], "no-answer", "agent", "system", row=TEST),
    "test: busy": Case([*REP_RINGS, agent("busy", 3)], "busy", "agent", "agent", row=TEST),
    "test: voicemail, or no key": Case(
        [*REP_ANSWERS, key(""), agent("completed", 20)], "no-answer", "agent", "system", row=TEST
    ),
    "test: rep hangs up before a key": Case(
        [*REP_ANSWERS, agent("completed", 8), NOTHING_TO_ADD], "no-answer", "agent", "agent", row=TEST
    ),
    "test: our TwiML is never reached": Case(
        [
            *REP_RINGS,
            agent("in-progress", 5),
            agent("completed", 6),
            polled("notification", error_code="11200", log="0").after("agent completed"),
            NOTHING_TO_ADD,
        ],
        "failed",
        None,
        "system",
        error_code=11200,
        row=TEST,
    ),
}


# --- every order, every loss, every repeat ---


def walk(facts: list[Fact], row: Known = CALL) -> Iterator[tuple[Known, Known, Fact]]:
    """Fold every set of `facts` that can be there, along every path to it.

    2^n sets instead of n! orders: what a set amounts to is computed once, and each way to come to it must find the
    same. Yields each step as (before, after, the fact that came last). Raises: AssertionError.
    """
    names = [fact.name for fact in facts]
    assert len(set(names)) == len(names)
    lifted = [fact.known for fact in facts]
    needs = [sum(1 << names.index(name) for name in fact.needs if name in names) for fact in facts]
    folded: dict[int, Known] = {0: row}
    for there in range(1 << len(facts)):
        before = folded.get(there)
        if before is None:  # a fact without what it needs
            continue
        for number, fact in enumerate(facts):
            bit = 1 << number
            if needs[number] & there != needs[number]:
                continue
            after = join(before, lifted[number])
            if there & bit:
                assert after == before, f"{fact.name} said twice changes something"
                continue
            same = folded.setdefault(there | bit, after)
            assert same == after, f"another order, with {fact.name} last, says else"
            yield before, same, fact


def test_a_bridged_call_comes_to_the_same_along_every_order_with_every_loss_and_repeat() -> None:
    assert len(ELEVEN) == 11
    steps = sum(1 for _ in walk(ELEVEN))
    assert steps == 11 * 2**10  # every set is left by each of the callbacks that are not in it


def test_a_recording_comes_to_the_same_along_every_order() -> None:
    resource = {"sid": RE, "status": "completed", "duration": "20", "channels": 2, "start_time": at(15)}
    facts = [*RECORDED, TALKED[-2], Fact("asked", tuple(POLLS["recording"](resource)))]
    *_, (_, after, _) = walk(facts)
    assert after.recordings == {RE: Recording("completed", 20, 2, NOON + timedelta(seconds=15))}


def last_write_wins(a: Any, b: Any) -> Any:
    return a if b is None else b


@pytest.mark.parametrize("table", [rules.LEG_JOINS, rules.RECORDING_JOINS], ids=["leg", "recording"])
def test_the_walk_finds_a_status_that_the_last_write_wins(
    monkeypatch: pytest.MonkeyPatch, table: dict[str, Callable[[Any, Any], Any]]
) -> None:
    facts = ELEVEN if table is rules.LEG_JOINS else RECORDED
    list(walk(facts))
    monkeypatch.setitem(table, "status", last_write_wins)
    with pytest.raises(AssertionError, match=r"another order|said twice"):
        list(walk(facts))


PROGRESS = {"queued": 0, "initiated": 1, "ringing": 2, "in-progress": 3} | dict.fromkeys(FINAL, 4)
STAGES = ("queued", "ringing_agent", "ringing_contact", "talking", "ended")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_status_never_goes_back_and_a_final_one_never_changes(case: Case) -> None:
    """Over every order and every loss of one real call's facts.

    Not over sets that no real call has: `needs` says which facts are answers to a question that is only asked after
    others, or follow a wish of ours. Should Twilio contradict itself all the same, the row keeps its final status and
    somebody is told (calls/reconcile/apply.py).
    """
    seen: dict[int, Outcome] = {}

    def told(known: Known) -> Outcome:
        return seen.setdefault(id(known), outcome(known))

    kept = []  # so that no id is used twice
    for before, after, fact in walk(case.facts, case.row):
        kept += [before, after]
        one, two = told(before), told(after)
        assert PROGRESS[one.status] <= PROGRESS[two.status], (one.status, fact.name, two.status)
        assert STAGES.index(one.stage) <= STAGES.index(two.stage), (one.stage, fact.name, two.stage)
        if one.is_final:
            assert (two.status, two.unanswered_by) == (one.status, one.unanswered_by), fact.name


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_facts_of_a_call_amount_to_what_happened(case: Case) -> None:
    over = outcome(rules.fold((one for fact in case.facts for one in fact.news), case.row))
    assert (over.status, over.stage) == (case.status, "ended")
    assert (over.unanswered_by, over.ended_by) == (case.unanswered_by, case.ended_by)
    assert over.duration_seconds == case.duration
    assert over.error_code == case.error_code
    assert (over.answered_at is not None) is (case.status == "completed" and case.row != TEST)
    if case.ended is not None:
        assert over.ended_at == NOON + timedelta(seconds=case.ended)
    for name, value in case.more.items():
        assert getattr(over, name) == value


# --- the algebra ---

moments = st.none() | st.integers(0, 5).map(lambda second: NOON + timedelta(seconds=second))
counts = st.none() | st.integers(0, 5)
flags = st.none() | st.booleans()
sids = st.none() | st.sampled_from([AGENT, CONTACT])
statuses = st.none() | st.sampled_from(rules.STATUS_ORDER)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "status": statuses,
    "call_sid": sids,
    "parent_call_sid": sids,
    **dict.fromkeys(("initiated_at", "ringing_at", "answered_at", "ended_at", "started_at"), moments),
    **dict.fromkeys(("duration_seconds", "sip_response_code", "error_code", "channels"), counts),
    "price": st.none() | st.builds(Price, st.integers(0, 5).map(Decimal), st.sampled_from(["EUR", "USD"])),
}
legs = st.builds(Leg, **{f.name: VALUES[f.name] for f in fields(Leg)})
recordings = st.builds(
    Recording,
    **{f.name: VALUES[f.name] for f in fields(Recording) if f.name != "status"},
    status=st.none() | st.sampled_from(rules.RECORDING_ORDER),
)
KNOWN_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "is_test": flags,
    "agent": legs,
    "contact": legs,
    "dial_status": statuses,
    "dial_seconds": counts,
    "phone_error": counts,
    "refused": st.none() | st.tuples(st.integers(0, 3), st.sampled_from("ab"), moments.filter(bool)),
    "given_up_at": moments,
    "hangup_asked_at": moments,
    "hangup_in_vain": moments,
    "recordings": st.dictionaries(st.sampled_from("xy"), recordings),
} | dict.fromkeys(
    (
        "instructed",
        "key_pressed",
        "dial_bridged",
        "contact_left_first",
        "no_contact_leg",
        "both_legs_asked",
    ),
    flags,
)
knowns = st.builds(Known, **{f.name: KNOWN_VALUES[f.name] for f in fields(Known)})


def holds(operation: Callable[[Any, Any], Any], a: Any, b: Any, c: Any) -> bool:
    """Is `operation` commutative, associative and idempotent at these?"""
    return bool(
        operation(a, b) == operation(b, a)
        and operation(operation(a, b), c) == operation(a, operation(b, c))
        and operation(a, a) == a
        and operation(operation(a, b), b) == operation(a, b)
    )


@given(knowns, knowns, knowns)
@settings(max_examples=EXAMPLES, deadline=None)
def test_joining_is_commutative_associative_and_idempotent(a: Known, b: Known, c: Known) -> None:
    assert holds(join, a, b, c)
    assert join(a, Known()) == a


JOINED_FIELDS = [(rules.JOINS, name) for name in rules.JOINS]
JOINED_FIELDS += [(rules.LEG_JOINS, name) for name in rules.LEG_JOINS]
JOINED_FIELDS += [(rules.RECORDING_JOINS, name) for name in rules.RECORDING_JOINS]


@pytest.mark.parametrize(("table", "name"), JOINED_FIELDS, ids=[name for _, name in JOINED_FIELDS])
def test_one_join_that_lets_the_last_write_win_breaks_the_algebra(
    monkeypatch: pytest.MonkeyPatch, table: dict[str, Callable[[Any, Any], Any]], name: str
) -> None:
    def two(values: dict[str, Any]) -> Any:
        return Leg(**values) if table is rules.LEG_JOINS else Recording(**values)

    numbers: dict[str, tuple[Any, Any]] = {
        "refused": ((1, "a", NOON), (2, "b", NOON)),
        "agent": (Leg(status="ringing"), Leg(status="completed")),
        "contact": (Leg(status="ringing"), Leg(status="completed")),
        "recordings": ({"x": Recording(status="completed")}, {"y": Recording(status="absent")}),
        "status": ("in-progress", "completed"),
        "dial_status": ("in-progress", "completed"),
    }
    first, second = numbers.get(name, (False, True))
    if table is rules.JOINS:
        a, b = Known(**{name: first}), Known(**{name: second})
    elif table is rules.LEG_JOINS:
        a, b = Known(agent=Leg(**{name: first})), Known(agent=Leg(**{name: second}))
    else:
        a, b = (Known(recordings={RE: Recording(**{name: value})}) for value in (first, second))
    assert holds(join, a, b, a)
    monkeypatch.setitem(table, name, last_write_wins)
    assert not holds(join, a, b, a)


def test_every_field_has_a_join() -> None:
    for shape, table in ((Known, rules.JOINS), (Leg, rules.LEG_JOINS), (Recording, rules.RECORDING_JOINS)):
        assert [f.name for f in fields(shape)] == list(table)


def test_every_status_of_twilio_has_its_place() -> None:
    assert set(words.STATUSES.values()) | {words.UNKNOWN} == set(rules.STATUS_ORDER)
    assert set(words.DIAL_STATUSES.values()) <= set(rules.STATUS_ORDER)
    assert set(words.RECORDING_STATUSES.values()) | {words.UNKNOWN} == set(rules.RECORDING_ORDER)


# --- single promises ---


def told(*facts: Fact) -> Outcome:
    return outcome(rules.fold(one for fact in facts for one in fact.news))


def test_talk_time_is_the_contact_legs_and_never_minutes_nor_the_agent_legs() -> None:
    minutes = [
        *TALKING,
        contact("completed", 75, CallDuration="60", Duration="1"),
        dial("completed", agent_is="in-progress", bridged="true", DialCallDuration="60"),
        agent("completed", 78, CallDuration="73", Duration="2"),
    ]
    assert told(*minutes).duration_seconds == 60
    # Without seconds it is the action's, then the difference of the times, and never `Duration`.
    without = contact("completed", 75, Duration="1")
    action = dial("completed", agent_is="in-progress", bridged="true", DialCallDuration="59")
    assert told(*TALKING, without, action).duration_seconds == 59
    silent = dial("completed", agent_is="in-progress", bridged="true")
    assert told(*TALKING, without, silent, agent("completed", 78, CallDuration="73")).duration_seconds == 60


def test_talk_time_lasts_as_long_as_the_recording_or_until_the_agents_end_where_the_contacts_is_unknown() -> None:
    gone = [*TALKING, agent("completed", 36, CallDuration="31"), NO_LEG]
    assert told(*gone).duration_seconds == 21
    recorded = recording("completed", RecordingStartTime=at(15), RecordingDuration="19")
    assert told(*gone, recorded).duration_seconds == 19
    assert told(*gone, recorded, contact("completed", 35)).duration_seconds == 20, "The end is known after all."


def test_late_ringing_does_not_reopen_a_finished_call() -> None:
    known = rules.fold(one for fact in BRIDGED for one in fact.news)
    before = outcome(known)
    for late in (agent("initiated", 90), agent("ringing", 90), contact("ringing", 90), contact("in-progress", 90)):
        after = outcome(join(known, late.known))
        assert (after.status, after.stage, after.ended_at) == (before.status, before.stage, before.ended_at)
        assert after.answered_at == before.answered_at


def test_the_reps_answer_is_not_the_conversations() -> None:
    assert (told(*REP_ANSWERS).status, told(*REP_ANSWERS).answered_at) == ("ringing", None)
    assert told(*TALKING).answered_at == NOON + timedelta(seconds=15)


@pytest.mark.parametrize(
    ("facts", "status", "stage"),
    [
        ([], "queued", "queued"),
        ([ACCEPTED], "queued", "queued"),
        (REP_RINGS[:2], "initiated", "ringing_agent"),
        (REP_RINGS, "ringing", "ringing_agent"),
        (REP_ANSWERS, "ringing", "ringing_agent"),
        ([*REP_ANSWERS, key("1")], "ringing", "ringing_contact"),
        (CONTACT_RINGS, "ringing", "ringing_contact"),
        (TALKING, "in-progress", "talking"),
    ],
)
def test_a_live_call_says_whose_phone_rings(facts: list[Fact], status: str, stage: str) -> None:
    assert (told(*facts).status, told(*facts).stage) == (status, stage)


@pytest.mark.parametrize(
    ("facts", "status", "stage"),
    [
        (REP_RINGS, "ringing", "ringing_agent"),
        (REP_ANSWERS, "ringing", "ringing_agent"),
        ([*REP_ANSWERS, key("1")], "in-progress", "ringing_agent"),
        ([*REP_ANSWERS, agent("completed", 8)], "ringing", "ringing_agent"),
    ],
)
def test_a_live_test_call_never_says_that_a_contact_rings(facts: list[Fact], status: str, stage: str) -> None:
    over = outcome(rules.fold((one for fact in facts for one in fact.news), TEST))
    assert (over.status, over.stage) == (status, stage)


def test_a_test_call_owes_no_question_about_a_contacts_leg() -> None:
    for facts in ([*REP_ANSWERS, key("1")], [*REP_ANSWERS, key(""), agent("completed", 20)]):
        assert not questions(situation(*facts, seconds=3600, row=TEST)).contact_leg
    assert next_look(situation(*REP_ANSWERS, key("1"), agent("completed", 20), row=TEST)) is None


def test_the_agent_legs_end_alone_proves_nothing_about_the_conversation() -> None:
    for facts in (REP_ANSWERS, CONTACT_RINGS, TALKING):
        assert not told(*facts, agent("completed", 60, CallDuration="55")).is_final


@pytest.mark.parametrize("word", ["no-answer", "canceled"])
def test_ends_within_one_second_leave_open_who_left_until_twilio_was_asked(word: str) -> None:
    ends = [*CONTACT_RINGS, contact(word, 20, CallDuration="0"), agent("completed", 20, CallDuration="15")]
    assert not told(*ends).is_final
    assert (told(*ends, BOTH_ASKED).status, told(*ends, BOTH_ASKED).ended_by) == ("canceled", "agent")
    waited = dial(word, agent_is="in-progress")
    assert (told(*ends, waited).status, told(*ends, waited).unanswered_by) == ("no-answer", "contact")


def test_a_rep_whose_leg_outlives_the_contacts_by_seconds_did_not_end_the_call_nor_did_a_wish() -> None:
    talked = [*TALKING, contact("completed", 35, CallDuration="20"), ours("hang-up", 36), BOTH_ASKED]
    ended_by = [told(*talked, agent("completed", 35 + seconds)).ended_by for seconds in (0, 1, 2, 3)]
    assert ended_by == ["member", "member", "contact", "contact"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (CONTACT_RINGS, ("canceled", None, "agent")),
        ([*CONTACT_RINGS, ours("hang-up", 19)], ("canceled", None, "member")),
        (TALKING, ("completed", None, None)),
        ([*TALKING, contact("completed", 18, CallDuration="3")], ("completed", None, "contact")),
        ([*CONTACT_RINGS, contact("no-answer", 18)], ("no-answer", "contact", "system")),
    ],
    ids=["rings", "rings, hung up", "talks", "talked", "not answered"],
)
def test_a_contacts_leg_that_twilios_lists_lack_ends_with_its_parent(
    facts: list[Fact], expected: tuple[str, str | None, str | None]
) -> None:
    over = told(*facts, agent("completed", 20, CallDuration="15"), NO_LEG)
    assert (over.status, over.unanswered_by, over.ended_by) == expected
    assert next_look(situation(*facts, agent("completed", 20, CallDuration="15"), NO_LEG)) is None


def test_a_word_that_twilio_never_documented_stays_below_every_other() -> None:
    odd = contact("on-hold", 20)
    assert told(*TALKING, odd) == told(*TALKING)
    assert told(*CONTACT_RINGS, odd).stage == "ringing_contact"


@given(st.text(max_size=30) | st.sampled_from(["Fri, 31 Dec 9999 23:59:59 -1200", "Mon, 01 Jan 0001 00:00:00 +1200"]))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_text_of_twilio_breaks_the_reading_of_a_callback(text: str) -> None:
    names = ("CallStatus", "Timestamp", "CallDuration", "ErrorCode", "SipResponseCode", "DialCallStatus", "DialBridged")
    names += (
        "DialCallDuration",
        "RecordingSid",
        "RecordingStatus",
        "RecordingChannels",
        "RecordingStartTime",
        "Digits",
    )
    for read in CALLBACKS.values():
        outcome(rules.fold(read(dict.fromkeys(names, text))))


@pytest.mark.parametrize("kind", CALLBACKS)
def test_a_parameter_that_comes_twice_does_not_block_its_call_for_ever(kind: str) -> None:
    """The journal keeps both values (calls/webhooks.py); reading takes the last, as a form parser does."""
    names = ("CallSid", "CallStatus", "Timestamp", "CallDuration", "Digits", "DialCallStatus", "DialBridged")
    names += ("RecordingSid", "RecordingStatus", "ErrorCode")
    last = {name: "completed" if "Status" in name else "5" for name in names}
    twice: Any = {name: ["ringing", value] for name, value in last.items()}
    assert CALLBACKS[kind](twice) == CALLBACKS[kind](last)


# --- what it costs ---

FREE = Price(Decimal(0), "USD")


def priced(role: str, amount: Any, unit: Any = "USD") -> Fact:
    """What Twilio says of a leg's price."""
    return replace(polled(f"{role} price", sid=AGENT, price=amount, price_unit=unit), name=f"{role} {amount} {unit}")


@pytest.mark.parametrize(
    ("amount", "unit", "expected"),
    [
        ("-0.03000", "USD", Price(Decimal("0.03"), "USD")),
        ("-0.200", "EUR", Price(Decimal("0.2"), "EUR")),
        ("0.014", "BRL", Price(Decimal("0.014"), "BRL")),
        ("-0", "USD", FREE),
        (-3, "JPY", Price(Decimal(3), "JPY")),
        (None, "USD", None),
        ("", "USD", None),
        ("-0.03", None, None),
        ("-0.03", "usd", None),
        ("-0.03", "DOLLARS", None),
        ("NaN", "USD", None),
        ("sNaN", "USD", None),
        ("-Infinity", "USD", None),
        ("-1e400", "USD", None),
        ("-1000000", "USD", None),
        (True, "USD", None),
        ({}, "USD", None),
    ],
)
def test_twilios_prices_are_read_as_costs_and_what_is_none_is_none(amount: Any, unit: Any, expected: Any) -> None:
    assert words.price_of(amount, unit) == expected


def test_prices_come_to_the_same_along_every_order_with_every_loss_and_repeat() -> None:
    # Should Twilio put a price right, the higher one stays: the fence counts too much rather than too little.
    facts = [priced("agent", "-0.01400"), priced("agent", "-0.02800"), priced("contact", "-0.05000"), *TALKED[-3:]]
    *_, (_, after, _) = walk(facts)
    assert spend.price(after, outcome(after)) == Price(Decimal("0.078"), "USD")


def cost(*facts: Fact) -> tuple[Price | None, Decimal]:
    """What is known of a call's price, and what it counts for at 0.20 a minute."""
    known = rules.fold(one for fact in facts for one in fact.news)
    return spend.price(known, outcome(known)), spend.charge(known, outcome(known), Decimal("0.20"))


def test_a_call_counts_for_what_it_reserved_then_for_its_minutes_then_for_its_price() -> None:
    for live in ([], [ACCEPTED], REP_ANSWERS, CONTACT_RINGS, TALKING):
        assert cost(*live) == (None, Decimal("1.00"))
    long = [*TALKING, contact("completed", 375, CallDuration="360"), dial("completed", agent_is="completed")]
    assert cost(*long) == (None, Decimal("1.20")), "The agent leg is not over: at least the contact's minutes."
    short = [*TALKING, contact("completed", 75, CallDuration="60"), dial("completed", agent_is="completed")]
    assert cost(*short) == (None, Decimal("1.00")), "And no less than it has reserved."
    assert cost(*long, agent("completed", 376, CallDuration="371")) == (None, Decimal("1.40"))  # 6:11 is 7 minutes
    assert cost(*TALKED) == (None, Decimal("0.20"))
    assert cost(*TALKED, priced("agent", "-0.03")) == (None, Decimal("0.20"))
    both = [priced("agent", "-0.03"), priced("contact", "-0.05")]
    assert cost(*TALKED, *both) == (Price(Decimal("0.08"), "USD"), Decimal("0.08"))


def test_what_nobody_answered_or_nobody_made_costs_nothing() -> None:
    refused = ours("refused", 0, code=21215, message="country_not_enabled")
    for end in ([refused], [ours("given up", 200)], [*REP_RINGS, agent("busy", 3)], [*REP_RINGS, agent("canceled", 3)]):
        assert cost(*end) == (None, Decimal(0))
    unanswered = [*CONTACT_RINGS, contact("busy", 12), dial("busy", agent_is="in-progress"), agent("completed", 14)]
    assert cost(*unanswered) == (None, Decimal("0.20")), "The rep's leg was answered."
    assert cost(*unanswered, priced("agent", "-0.014")) == (Price(Decimal("0.014"), "USD"), Decimal("0.014"))


def test_a_call_that_was_given_up_counts_until_then_unless_somebody_tells_of_its_end() -> None:
    hours = [*TALKING, ours("given up", 5 * 3600)]
    assert cost(*hours) == (None, Decimal("60.00")), "300 minutes, but the first five seconds."
    ended = [*hours, agent("completed", 7200, CallDuration="7195")]
    assert cost(*ended) == (None, Decimal("24.00"))
    both = [contact("completed", 7200, CallDuration="7185"), priced("agent", "-1"), priced("contact", "-2")]
    assert cost(*ended, *both) == (Price(Decimal(3), "USD"), Decimal(3))
    assert cost(*REP_RINGS, ours("given up", 1200)) == (None, Decimal(0)), "Nobody is known to have answered."


def test_two_currencies_have_no_sum() -> None:
    assert cost(*TALKED, priced("agent", "-1", "USD"), priced("contact", "-1", "EUR")) == (None, Decimal("0.20"))


def test_a_talk_that_lasts_is_counted_while_it_lasts() -> None:
    counted = [spend.overtime(Decimal("1.00"), NOON, NOON + timedelta(minutes=minutes)) for minutes in (0, 5, 10, 60)]
    assert counted == [0, 0, 1, 11]


@pytest.mark.parametrize(("seconds", "expected"), [("20", "0.06"), ("60", "0.06"), ("61", "0.03"), ("", "0.06")])
def test_what_a_minute_cost_is_of_the_minutes_begun(seconds: str, expected: str) -> None:
    known = rules.fold([*contact("completed", 35, CallDuration=seconds).news, *priced("contact", "-0.06").news])
    assert spend.per_minute(known.contact) == Decimal(expected)
    assert spend.per_minute(replace(known.contact, price=FREE)) is None, "What is free says nothing of the next."


# --- what is owed ---


def situation(*facts: Fact, seconds: float = 0, priced: bool = True, row: Known = CALL, **changes: Any) -> Situation:
    """A call of which `facts` are known, the last `seconds` ago; and its price."""
    known = rules.fold((one for fact in facts for one in fact.news), row)
    if priced:
        known = replace(known, **{name: replace(getattr(known, name), price=FREE) for name in ("agent", "contact")})
    given_values: dict[str, Any] = {
        "known": known,
        "outcome": outcome(known),
        "created_at": NOON,
        "last_news_at": NOON,
        "now": NOON + timedelta(seconds=seconds),
        "asked": 0,
        "ring_seconds": 30,
        "recording_expected": False,
        "media_owed": False,
    }
    return Situation(**given_values | changes)


def vain_questions(start: Situation, *, until: timedelta) -> list[tuple[float, set[str]]]:
    """Sweep without ever hearing anything: when (seconds after the last news) each question was asked, and which."""
    asked: list[tuple[float, set[str]]] = []
    now = start
    while (look := next_look(now)) is not None and look < start.now + until:
        assert look > now.now, "a hot loop"
        now = replace(now, now=look)
        wanted = questions(now)
        assert wanted or now.media_owed, "a look for nothing"
        asked.append(
            ((look - start.last_news_at).total_seconds(), {f.name for f in fields(wanted) if getattr(wanted, f.name)})
        )
        now = replace(now, asked=now.asked + 1)
    return asked


def test_a_live_call_without_news_is_asked_for_at_growing_intervals() -> None:
    asked = vain_questions(situation(*TALKING), until=timedelta(hours=4))
    times = [second for second, _ in asked]
    assert times[0] == 60
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 600
    # 60, 120, 240, 480 s, and from then every ten minutes: 27 questions in four hours.
    assert len(asked) <= 27
    assert all("agent_leg" in names for _, names in asked)


def test_the_intervals_begin_anew_with_news() -> None:
    quiet = situation(*TALKING, seconds=1000, asked=4)
    assert next_look(quiet) == NOON + timedelta(seconds=1500)
    assert next_look(replace(quiet, last_news_at=quiet.now, asked=0)) == quiet.now + timedelta(seconds=60)


def test_a_call_that_owes_nothing_leaves_the_list() -> None:
    for case in CASES.values():
        after = situation(*case.facts, row=case.row, recording_expected=False)
        assert next_look(after) is None
        assert not questions(after)


def test_an_unconfirmed_call_is_looked_for_twice_and_then_given_up() -> None:
    asked = vain_questions(situation(), until=timedelta(minutes=4))
    assert [(second, names) for second, names in asked[:2]] == [(20, {"find_call"}), (200, {"find_call"})]
    gone = situation(ours("given up", 200), seconds=201, asked=2)
    assert (bool(questions(gone)), next_look(gone)) == (False, None)


def test_a_call_queued_too_long_is_canceled_once_it_is_due() -> None:
    queued = situation(*REP_RINGS[:1])
    assert next_look(queued) == NOON + timedelta(seconds=60)
    assert not questions(replace(queued, now=NOON + timedelta(seconds=59.9))).cancel
    due = questions(replace(queued, now=NOON + timedelta(seconds=60)))
    assert due.cancel
    assert due.agent_leg
    longer = replace(queued, ring_seconds=90)
    assert not questions(replace(longer, now=NOON + timedelta(seconds=119))).cancel
    for facts in (REP_RINGS, REP_ANSWERS, TALKING):
        assert not questions(situation(*facts, seconds=3600)).cancel


def test_a_call_that_nobody_wants_any_more_is_ended_again_until_it_is_over() -> None:
    unwanted = situation(*TALKING, ours("hang-up", 20))
    assert not questions(replace(unwanted, now=NOON + timedelta(seconds=29))).cancel
    assert questions(replace(unwanted, now=NOON + timedelta(seconds=30))).cancel
    in_vain = ours("hang-up in vain", 21, asked_at=(NOON + timedelta(seconds=20)).isoformat())
    assert not questions(situation(*TALKING, ours("hang-up", 20), in_vain, seconds=3600)).cancel
    for end in (agent("completed", 21), agent("canceled", 21)):
        assert not questions(situation(*TALKING, ours("hang-up", 20), end, seconds=3600)).cancel


def test_a_refused_start_that_rings_all_the_same_is_watched() -> None:
    refused = ours("refused", 0, code=None, message="twilio_unreachable")
    assert next_look(situation(refused)) is None
    rings = situation(refused, agent("ringing", 1))
    assert (rings.outcome.status, rings.outcome.stage) == ("ringing", "ringing_agent")
    assert next_look(rings) is not None
    assert questions(replace(rings, now=NOON + timedelta(seconds=60))).agent_leg
    assert told(refused, *REP_RINGS, agent("busy", 3)).unanswered_by == "agent"


def test_a_rep_who_left_before_the_key_is_free_at_once_but_a_dialled_contact_waits_for_callbacks_under_way() -> None:
    gone = situation(*REP_ANSWERS, agent("completed", 8))
    assert questions(gone).contact_leg
    dialled = situation(*CONTACT_RINGS, agent("completed", 12))
    assert not questions(replace(dialled, now=NOON + timedelta(seconds=14))).contact_leg
    assert questions(replace(dialled, now=NOON + timedelta(seconds=15))).contact_leg


def test_a_failed_dial_whose_cause_is_unknown_asks_twilios_debugger_once() -> None:
    facts = [*CONTACT_RINGS, contact("failed", 12), dial("failed", agent_is="in-progress"), agent("completed", 14)]
    assert questions(situation(*facts)).contact_leg
    assert next_look(situation(*facts)) is not None
    assert next_look(situation(*facts, BOTH_ASKED)) is None
    known = polled("notification", error_code="13227", log="0")
    assert next_look(situation(*facts, known)) is None


def test_a_recording_that_nobody_told_of_is_asked_for_until_it_is_lost() -> None:
    asked = vain_questions(situation(*TALKED, recording_expected=True), until=timedelta(hours=40))
    assert [second for second, _ in asked] == [5, 20, 60, 300, 1800, 7200, 21600, 86400]
    assert all(names == {"recordings"} for _, names in asked)
    for enough in ("completed", "absent", "failed"):
        assert next_look(situation(*TALKED, recording(enough), recording_expected=True)) is None
    started = situation(*TALKED, recording("in-progress"), recording_expected=True, seconds=5)
    assert questions(started).recordings


@pytest.mark.parametrize(("seconds", "is_missing"), [("20", True), ("", True), ("0", False)])
def test_a_recording_is_missing_where_they_talked_or_nobody_knows_for_how_long(seconds: str, is_missing: bool) -> None:
    action = dial("completed", agent_is="in-progress", bridged="true", DialCallDuration=seconds)
    talked = situation(*REP_ANSWERS, key("1"), action, agent("completed", 36), recording_expected=True, seconds=5)
    assert (talked.outcome.status, talked.outcome.duration_seconds) == ("completed", int(seconds) if seconds else None)
    assert (owed.recording_missing(talked), questions(talked).recordings) == (is_missing, is_missing)


def test_a_price_is_asked_for_when_the_silence_has_doubled_and_given_up_after_two_days() -> None:
    start = situation(*TALKED, priced=False)
    asked = vain_questions(start, until=timedelta(hours=48))
    minutes = [second / 60 for second, _ in asked]
    assert minutes == [10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2720]
    assert all(names == {"price"} for _, names in asked)
    assert owed.owes_only_price(start)
    assert next_look(replace(start, now=NOON + timedelta(hours=49))) is None
    for known in (["agent"], ["contact"], ["agent", "contact"]):
        told_of = situation(*TALKED, *(priced(role, "-1") for role in known), priced=False, seconds=700)
        assert questions(told_of).price is (len(known) < 2)
    for nothing in ([*REP_RINGS, agent("busy", 3)], TALKING, [ours("given up", 200)]):
        assert not questions(situation(*nothing, priced=False, seconds=900)).price


def test_what_a_call_cost_is_asked_for_though_it_was_given_up_before_its_end() -> None:
    for facts in (REP_RINGS, REP_ANSWERS, CONTACT_RINGS, TALKING):
        gone = situation(*facts, ours("given up", 5 * 3600), priced=False, seconds=5 * 3600)
        assert questions(gone) == owed.Questions(price=True)
        assert owed.owes_only_price(gone)
        assert spend.unpriced(gone.known) == (True, facts in (CONTACT_RINGS, TALKING))
        assert all(names == {"price"} for _, names in vain_questions(gone, until=timedelta(hours=43)))
        assert next_look(replace(gone, now=NOON + timedelta(hours=49))) is None
        answered = situation(*facts, ours("given up", 5 * 3600), agent("busy", 9), priced=False)
        assert next_look(answered) is None


def test_a_price_takes_no_turn_of_a_missing_recording() -> None:
    both = situation(*TALKED, priced=False, recording_expected=True)
    assert not owed.owes_only_price(both)
    assert next_look(both) == NOON + timedelta(seconds=5)
    later = replace(both, now=NOON + timedelta(minutes=10), asked=4)
    assert (questions(later), next_look(later)) == (owed.Questions(price=True), NOON + timedelta(minutes=20))


def test_media_that_is_owed_is_fetched_with_growing_patience() -> None:
    owing = situation(*BRIDGED, media_owed=True)
    waits = [next_look(replace(owing, asked=asked)) for asked in range(12)]
    seconds = [(look - NOON).total_seconds() for look in waits if look]
    assert seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_media_is_asked_for_a_month_with_waits_of_hours_and_then_given_up() -> None:
    owing = situation(*BRIDGED, media_owed=True)
    asked = vain_questions(owing, until=timedelta(days=90))
    times = [second for second, _ in asked]
    gaps = [round(b - a, 3) for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 4 * 3600
    # Whatever kept the media away, it comes home a twelfth of that time later at most, or within ten minutes.
    assert all(gap <= max(600, second / 12) for gap, second in zip(gaps, times, strict=True))
    assert len(asked) <= 300
    month = timedelta(days=30).total_seconds()
    assert month - 4 * 3600 < times[-2] <= month < times[-1], "The last look finds that it is too late."
    late = replace(owing, now=NOON + timedelta(seconds=times[-1]), asked=len(asked))
    assert (fetches_media(late), next_look(late)) == (False, None)


def test_media_that_is_heard_of_after_a_month_has_its_tries_all_the_same() -> None:
    """A dead letter is as old as it was when it came; replayed, it is news."""
    replayed = situation(*BRIDGED, media_owed=True, seconds=timedelta(days=40).total_seconds())
    tries = vain_questions(replayed, until=timedelta(days=1))
    assert len(tries) == owed.MEDIA_TRIES
    assert not fetches_media(replace(replayed, asked=owed.MEDIA_TRIES))


def test_media_that_waits_for_hours_holds_no_other_question_up() -> None:
    old = situation(*TALKING, media_owed=True, asked=20, seconds=timedelta(hours=40).total_seconds())
    assert next_look(replace(old, media_owed=False)) == next_look(old) == old.now + timedelta(minutes=10)
    assert fetches_media(replace(old, now=old.now + timedelta(days=60))), "While a call is live it is looked at anyway."


situations = st.builds(
    lambda known, created, news, now, asked, expected, media: Situation(
        known=known,
        outcome=outcome(known),
        created_at=NOON + timedelta(seconds=created),
        last_news_at=NOON + timedelta(seconds=created + news),
        now=NOON + timedelta(seconds=created + news + now),
        asked=asked,
        ring_seconds=30,
        recording_expected=expected,
        media_owed=media,
    ),
    knowns,
    st.integers(0, 1000),
    st.integers(0, 10_000),
    st.integers(0, 300_000),
    st.integers(0, 40),
    st.booleans(),
    st.booleans(),
)


@given(situations)
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_next_look_is_always_later_than_now_and_never_for_nothing(now: Situation) -> None:
    look = next_look(now)
    if look is None:
        assert not questions(now)
        return
    assert look > now.now
    then = replace(now, now=look)
    if next_look(then) is not None:  # or the last look has passed meanwhile
        assert questions(then) or now.media_owed


@given(situations)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_live_call_never_leaves_the_list(now: Situation) -> None:
    if not now.outcome.is_final and not (now.known.refused or now.known.given_up_at):
        assert next_look(now) is not None
