"""Deterministic verdicts, their reasons and evidence, and the score that they add up to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_agent_eval.engine.scoring.assertions import QUOTE_LENGTH, check, score
from mcp_agent_eval.types import Assertion, AssertionResult, Json, ToolUse, Turn
from tests.support import shared_path


def turn(number: int, role: str, text: str | None = None, **fields: Any) -> Turn:
    return Turn.model_validate(
        {"id": f"turn-{number}", "run_id": "run", "turn_number": number, "role": role, "text": text} | fields
    )


def called(number: int, name: str, args: Json | None = None, **fields: Any) -> Turn:
    use = ToolUse(id=f"call-{number}", name=name, args=args, **fields)
    return turn(number, "agent", tool_calls=[use])


def event(number: int, kind: str, **fields: Any) -> Turn:
    return turn(number, "flow_event", flow_event={"type": kind} | fields)


def verdict(turns: list[Turn], **fields: Any) -> tuple[bool, str | None]:
    result = check(Assertion.model_validate(fields), turns)
    return result.passed, result.reason


def quotes(turns: list[Turn], **fields: Any) -> list[tuple[int, str]]:
    result = check(Assertion.model_validate(fields), turns)
    return [(evidence.turn_number, evidence.quote) for evidence in result.evidence]


DIALOGUE = [
    turn(0, "agent", "Hello, how can I help you?"),
    turn(1, "persona", "I want my refund issued now."),
    turn(2, "agent", "Certainly. Your booking is confirmed\nfor Tuesday at 3 pm."),
    turn(3, "tool_result", '{"refund": "declined"}'),
    turn(4, "agent", None),
    turn(5, "agent", "Is there anything else?"),
]


# --- must_say and must_not_say


def test_must_say_passes_with_the_turn_in_which_the_match_starts() -> None:
    assert verdict(DIALOGUE, type="must_say", pattern="CONFIRMED") == (True, "matched at turn 2")
    assert quotes(DIALOGUE, type="must_say", pattern="CONFIRMED") == [(2, DIALOGUE[2].text)]


def test_must_say_finds_a_match_that_spans_turns() -> None:
    assert verdict(DIALOGUE, type="must_say", pattern=r"3 pm\.\nIs there") == (True, "matched at turn 2")
    assert verdict(DIALOGUE, type="must_say", pattern=r"\nIs there") == (True, "matched at turn 2")
    assert verdict(DIALOGUE, type="must_say", pattern=r"(?s)hello.*else") == (True, "matched at turn 0")
    assert verdict(DIALOGUE, type="must_say", pattern=r"else\?$") == (True, "matched at turn 5")


def test_only_what_the_agent_said_counts() -> None:
    assert verdict(DIALOGUE, type="must_say", pattern="declined") == (False, "no match")
    assert verdict(DIALOGUE, type="must_not_say", pattern="refund") == (True, None)


def test_must_not_say_fails_with_the_turn_and_the_quote() -> None:
    assert verdict(DIALOGUE, type="must_not_say", pattern="tuesday") == (False, "matched at turn 2")
    assert quotes(DIALOGUE, type="must_not_say", pattern="tuesday") == [(2, DIALOGUE[2].text)]


def test_a_must_say_without_a_match_names_the_closest_turn() -> None:
    fields = {"type": "must_say", "pattern": r"(refund|booking) is confirmed for Wednesday"}
    assert verdict(DIALOGUE, **fields) == (False, "no match; closest is turn 2")
    assert quotes(DIALOGUE, **fields) == [(2, DIALOGUE[2].text)]


def test_no_turn_is_closest_when_none_shares_a_meaningful_part() -> None:
    for pattern in ("your refund has been issued", "is it at", r"\d{9}", "(?!x)"):
        assert verdict(DIALOGUE, type="must_say", pattern=f"{pattern}~") == (False, "no match")


def test_reasons_hold_no_text_of_the_conversation() -> None:
    secret = [turn(0, "agent", "The secretword is confirmed for the booking")]
    for fields in (
        {"type": "must_say", "pattern": "secretword"},
        {"type": "must_say", "pattern": "booking is confirmed"},
        {"type": "must_not_say", "pattern": "confirmed"},
    ):
        assert "secretword" not in str(verdict(secret, **fields)[1])


def test_a_long_turn_is_quoted_around_the_match_and_cut_between_words() -> None:
    text = "alpha " * 100 + "the needle in it " + "omega " * 100
    [(number, quote)] = quotes([turn(7, "agent", text)], type="must_say", pattern="needle")
    assert number == 7
    assert quote.startswith("…alpha ")
    assert " the needle in it " in quote
    assert quote.endswith(" omega…")
    assert len(quote) <= QUOTE_LENGTH + 2


@pytest.mark.parametrize("pattern", ["first", "last", "f.*t", "x{200}"])
def test_a_quote_stays_within_its_turn_and_its_length(pattern: str) -> None:
    text = f"first {'x' * 300} {'words ' * 80}last"
    [(_, quote)] = quotes([turn(0, "agent", text)], type="must_say", pattern=pattern)
    assert quote.strip("…") in text
    assert len(quote) <= QUOTE_LENGTH + 2


def test_a_pattern_that_times_out_fails_whatever_was_asked() -> None:
    endless = [turn(0, "agent", "a" * 5_000 + "!")]
    assert verdict(endless, type="must_say", pattern="(a+)+$") == (False, "pattern timed out")
    assert verdict(endless, type="must_not_say", pattern="(a+)+$") == (False, "pattern timed out")


def test_a_pattern_that_was_stored_though_it_is_invalid_fails() -> None:
    assert verdict(DIALOGUE, type="must_not_say", pattern="(") == (False, "pattern is not valid")


def test_a_silent_agent_says_nothing() -> None:
    silent = [turn(0, "persona", "Hello?")]
    assert verdict(silent, type="must_say", pattern="hello") == (False, "no match")
    assert verdict(silent, type="must_not_say", pattern="hello") == (True, None)
    assert verdict([], type="must_say", pattern=".*") == (True, "matched an empty transcript")


# --- must_call_tool


def test_a_tool_that_was_called_fired() -> None:
    turns = [*DIALOGUE, called(6, "book", {"day": "Tuesday"})]
    assert verdict(turns, type="must_call_tool", tool_name="book") == (True, "fired at turn 6")
    assert quotes(turns, type="must_call_tool", tool_name="book") == [(6, '{"day": "Tuesday"}')]


def test_a_tool_that_was_not_called_never_fired() -> None:
    turns = [*DIALOGUE, called(6, "book")]
    assert verdict(turns, type="must_call_tool", tool_name="Book") == (False, "never called")
    assert quotes(turns, type="must_call_tool", tool_name="Book") == []


def test_a_result_of_a_tool_is_not_a_call_of_it() -> None:
    result = turn(0, "tool_result", tool_calls=[ToolUse(id="1", name="book", result={})])
    assert verdict([result], type="must_call_tool", tool_name="book") == (False, "never called")


def test_all_arguments_must_match_within_one_call() -> None:
    turns = [called(0, "book", {"day": 1, "hour": 2}), called(1, "book", {"day": 3, "hour": 4, "note": "x"})]
    ask = {"type": "must_call_tool", "tool_name": "book"}
    assert verdict(turns, **ask, args_match={"day": 3, "hour": 4}) == (True, "fired at turn 1")
    assert verdict(turns, **ask, args_match={"day": 1, "hour": 4}) == (
        False,
        "called at turn 0, but with other arguments: hour",
    )


def test_the_call_with_the_fewest_differences_is_shown_with_what_differs() -> None:
    turns = [called(0, "book", {"a": 1}), called(1, "book", {"a": 9, "b": 2, "d": 0}), called(2, "book", {})]
    ask = {"type": "must_call_tool", "tool_name": "book", "args_match": {"a": 1, "b": 2, "c": 3, "d": 0}}
    assert verdict(turns, **ask) == (False, "called at turn 1, but with other arguments: a, c (missing)")
    assert quotes(turns, **ask) == [(1, '{"a": 9}')]


@pytest.mark.parametrize(
    ("expected", "given", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        (None, False, False),
        ("1", 1, False),
        ({"a": 1, "b": [1, {"c": 2}]}, {"b": [1.0, {"c": 2}], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": True}, {"a": 1}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([], {}, False),
        ([], "", False),
        ("$present", 0, True),
        ("$present", False, True),
        ("$present", None, False),
        (["$present"], ["x"], False),
        ({"a": "$present"}, {"a": "$present"}, True),
        ({"a": "$present"}, {"a": 1}, False),
    ],
)
def test_arguments_compare_as_json(expected: object, given: object, equal: bool) -> None:
    ask = {"type": "must_call_tool", "tool_name": "t", "args_match": {"key": expected}}
    assert verdict([called(0, "t", {"key": given})], **ask)[0] is equal


def test_a_present_argument_must_be_there() -> None:
    ask = {"type": "must_call_tool", "tool_name": "t", "args_match": {"key": "$present"}}
    assert (
        verdict([called(3, "t", {})], **ask)[1] == "called at turn 3, but with other arguments: key (missing)"
    )
    assert (
        verdict([called(3, "t", {"key": None})], **ask)[1]
        == "called at turn 3, but with other arguments: key"
    )


def test_arguments_that_were_no_json_count_as_none() -> None:
    broken = called(0, "t", {}, raw_args='{"key": 1')
    assert verdict([broken], type="must_call_tool", tool_name="t") == (True, "fired at turn 0")
    ask = {"type": "must_call_tool", "tool_name": "t", "args_match": {"key": 1}}
    assert verdict([broken], **ask)[1] == "called at turn 0, but with other arguments: key (missing)"
    assert verdict([called(0, "t")], **ask)[1] == "called at turn 0, but with other arguments: key (missing)"


def test_a_mocked_call_counts_as_a_real_one_does() -> None:
    assert verdict([called(0, "t", {}, mocked=True)], type="must_call_tool", tool_name="t")[0]


def test_a_node_of_a_flow_that_fires_a_tool_counts() -> None:
    turns = [event(4, "flow_tool_result", tool_name="book", args={"day": 1}, step_id="n1")]
    ask = {"type": "must_call_tool", "tool_name": "book"}
    assert verdict(turns, **ask, args_match={"day": 1}) == (True, "fired at turn 4")
    assert verdict(turns, type="must_call_tool", tool_name="other") == (False, "never called")
    assert verdict([event(4, "flow_tool_result", tool_name="book", args=None)], **ask)[0]


def test_a_node_that_took_its_error_edge_without_calling_its_tool_does_not_count() -> None:
    ask = {"type": "must_call_tool", "tool_name": "book"}
    assert verdict([event(4, "flow_tool_result", tool_name="book", error="404")], **ask)[0]
    assert verdict([event(4, "flow_tool_result", tool_name="book", error="?", called=False)], **ask) == (
        False,
        "never called",
    )


def test_long_arguments_are_cut() -> None:
    [(_, quote)] = quotes([called(0, "t", {"note": "é" * 500})], type="must_call_tool", tool_name="t")
    assert (len(quote), quote[:10], quote[-1]) == (QUOTE_LENGTH, '{"note": "', "…")


# --- must_reach_node


def test_a_node_that_was_entered_is_reached() -> None:
    turns = [event(0, "flow_node_entered", step_id="start"), event(3, "flow_node_entered", step_id="pay")]
    assert verdict(turns, type="must_reach_node", node_id="start") == (True, "entered at turn 0")
    assert verdict(turns, type="must_reach_node", node_id="pay") == (True, "entered at turn 3")
    assert verdict(turns, type="must_reach_node", node_id="end") == (False, "never entered")


def test_a_node_that_only_decided_or_fired_was_not_entered() -> None:
    turns = [event(0, "flow_eval_decision", step_id="pay"), event(1, "flow_tool_result", step_id="pay")]
    assert verdict(turns, type="must_reach_node", node_id="pay") == (False, "never entered")


def test_an_agent_without_a_flow_reaches_no_node() -> None:
    assert verdict(DIALOGUE, type="must_reach_node", node_id="pay") == (False, "this agent has no flow")


# --- The score


def result(passed: bool, weight: float = 1) -> AssertionResult:
    assertion = Assertion.model_validate({"type": "must_say", "pattern": "x", "weight": weight})
    return AssertionResult(assertion=assertion, passed=passed, weight=weight)


def test_a_result_keeps_the_assertion_and_its_weight() -> None:
    assertion = Assertion.model_validate({"type": "must_not_say", "pattern": "x", "weight": 2.5})
    checked = check(assertion, DIALOGUE)
    assert (checked.assertion, checked.weight, checked.evidence) == (assertion, 2.5, [])


@pytest.mark.parametrize(
    ("weights", "threshold", "points", "passes"),
    [
        ([(True, 1), (False, 1), (False, 1)], 33, 33.33, True),
        ([(True, 2), (False, 1)], 66.67, 66.67, False),
        ([(True, 2), (False, 1)], 66.66, 66.67, True),
        ([(True, 0.1)] * 3 + [(False, 0.1)] * 7, 30, 30.0, True),
        ([(True, 0.1), (True, 0.2), (False, 0.7)], 30, 30.0, True),
        ([(True, 0.7), (False, 0.1), (False, 0.2)], 70, 70.0, True),
        ([(True, 1), (False, 0)], 100, 100.0, True),
        ([(False, 1)], 0, 0.0, True),
        ([(False, 1)], 80, 0.0, False),
        ([(False, 0)], 100, 100.0, True),
        ([], 100, 100.0, True),
    ],
)
def test_the_score_is_the_share_of_the_weight_that_passed(
    weights: list[tuple[bool, float]], threshold: float, points: float, passes: bool
) -> None:
    results = [result(passed, weight) for passed, weight in weights]
    evaluation = score(results, threshold)
    assert (evaluation.score, evaluation.pass_fail) == (points, passes)
    assert evaluation.results == results


# --- Recorded dialogues


END_TOKENS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")


def recorded_turns(dialogue: Json) -> list[Turn]:
    spoken = [message for message in dialogue["messages"] if message.get("requestor") != "user"]
    return [recorded_turn(number, message) for number, message in enumerate(spoken)]


def recorded_turn(number: int, message: Json) -> Turn:
    text = message.get("content")
    if message["role"] == "tool":
        return turn(number, "tool_result", text)
    if message["role"] == "user":
        for token in END_TOKENS:
            text = text and text.replace(token, "").strip()
        return turn(number, "persona", text)
    calls = [
        ToolUse(id=c["id"], name=c["name"], args=c["arguments"]) for c in message.get("tool_calls") or []
    ]
    return turn(number, "agent", text, tool_calls=calls or None)


@pytest.mark.shared
def test_every_recorded_assertion_has_the_recorded_verdict() -> None:
    lines = shared_path("real/dialogues_dev.jsonl").read_text("utf-8").splitlines()
    dialogues = [json.loads(line) for line in lines]
    judged = [
        (
            dialogue["id"],
            entry["docs_semantics_verdict"],
            check(Assertion(**entry["criterion"]), turns).passed,
        )
        for dialogue in dialogues
        for turns in [recorded_turns(dialogue)]
        for entry in dialogue["assertions"]
    ]
    assert (len(dialogues), len(judged)) == (60, 187)
    assert [entry for entry in judged if entry[1] is not entry[2]] == []
