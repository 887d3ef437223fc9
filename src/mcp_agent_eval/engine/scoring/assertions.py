"""Deterministic verdicts, decided by the transcript alone, and the score that verdicts add up to.

`custom_llm_judge` is not here: it needs a model. Reasons are in our own words; conversation text appears only in
the evidence.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, cast

from mcp_agent_eval.engine.matching import patterns
from mcp_agent_eval.errors import InvalidPattern
from mcp_agent_eval.types import (
    PRESENT,
    Assertion,
    AssertionResult,
    AssertionType,
    Evaluation,
    Evidence,
    Json,
    Turn,
)

QUOTE_LENGTH = 160
"""Characters of a quote, not counting the … where it was cut."""
MEANINGFUL_WORD = 3
"""Letters that a word needs to count towards the closest turn."""
CLOSE = 0.5
"""The share of a pattern's letters, word by word, that a turn needs to be reported as the closest."""


class _Verdict(NamedTuple):
    passed: bool
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()


def check(assertion: Assertion, turns: Sequence[Turn]) -> AssertionResult:
    """The verdict on one assertion of any type but `custom_llm_judge`.

    A search takes up to half a second for a pattern that backtracks without end, so an event loop
    should call this in a thread.
    """
    verdict = _CHECKS[assertion.type](assertion, turns)
    return AssertionResult(
        assertion=assertion,
        passed=verdict.passed,
        weight=assertion.weight,
        reason=verdict.reason,
        evidence=list(verdict.evidence),
    )


def score(results: Sequence[AssertionResult], pass_threshold: float) -> Evaluation:
    """Add up verdicts, 0 to 100. Without any weight the score is perfect. Rounded only after the comparison."""
    total = sum(_exact(result.weight) for result in results)
    earned = sum(_exact(result.weight) for result in results if result.passed)
    points = 100 * Fraction(earned, total) if total else Fraction(100)
    return Evaluation(
        score=float(round(points, 2)),
        pass_fail=points >= _exact(pass_threshold),
        results=list(results),
    )


def _exact(number: float) -> Fraction:
    """A number as it was written, so that three weights of 0.1 make 0.3."""
    return Fraction(str(number))


# --- must_say, must_not_say


class _Speech(NamedTuple):
    """Everything that the agent said, one turn per line, and where each turn starts."""

    text: str
    starts: list[int]
    turns: list[Turn]

    def turn_at(self, offset: int) -> tuple[Turn, int]:
        """The turn that contains an offset, and the offset within that turn."""
        index = bisect_right(self.starts, offset) - 1
        return self.turns[index], offset - self.starts[index]


def _speech(turns: Sequence[Turn]) -> _Speech:
    spoken = [turn for turn in turns if turn.role == "agent" and turn.text]
    starts, offset = list[int](), 0
    for turn in spoken:
        starts.append(offset)
        offset += len(turn.text or "") + 1
    return _Speech("\n".join(turn.text or "" for turn in spoken), starts, spoken)


def _must_say(assertion: Assertion, turns: Sequence[Turn]) -> _Verdict:
    return _search(assertion, turns, wanted=True)


def _must_not_say(assertion: Assertion, turns: Sequence[Turn]) -> _Verdict:
    return _search(assertion, turns, wanted=False)


def _search(assertion: Assertion, turns: Sequence[Turn], *, wanted: bool) -> _Verdict:
    pattern, speech = assertion.pattern or "", _speech(turns)
    try:
        match = patterns.find(pattern, speech.text)
    except patterns.PatternTimeout:
        return _Verdict(False, "pattern timed out")
    except InvalidPattern:
        return _Verdict(False, "pattern is not valid")
    if match:
        return _Verdict(wanted, *_matched(speech, match))
    return _nearest_miss(pattern, speech) if wanted else _Verdict(True)


def _matched(speech: _Speech, match: patterns.Match) -> tuple[str, tuple[Evidence, ...]]:
    if not speech.turns:
        return "matched an empty transcript", ()
    turn, start = speech.turn_at(match.start)
    quote = _quote(turn, start, start + match.end - match.start)
    return f"matched at turn {turn.turn_number}", (quote,)


class _Nearness(NamedTuple):
    """How close a turn came to one wording: the share of its letters, and the words that were said."""

    share: float
    turn: Turn
    shared: tuple[str, ...] = ()


def _nearest_miss(pattern: str, speech: _Speech) -> _Verdict:
    wordings = {tuple(_words(phrase)) for phrase in patterns.literal_phrases(pattern)} - {()}
    nearnesses = (_nearness(turn, wording) for turn in speech.turns for wording in sorted(wordings))
    nearest = max(nearnesses, key=lambda nearness: nearness.share, default=None)
    if nearest is None or nearest.share < CLOSE:
        return _Verdict(False, "no match")
    reason = f"no match; closest is turn {nearest.turn.turn_number}"
    return _Verdict(False, reason, (_quote(nearest.turn, *_first_of(nearest)),))


def _nearness(turn: Turn, wording: tuple[str, ...]) -> _Nearness:
    heard = " ".join(["", *_words(turn.text or "")])
    shared = tuple(word for word in wording if f" {word}" in heard)
    return _Nearness(len("".join(shared)) / len("".join(wording)), turn, shared)


def _words(text: str) -> list[str]:
    """The words of a text that are long enough to carry meaning, in lower case."""
    return [word for word in re.findall(r"\w+", text.casefold()) if len(word) >= MEANINGFUL_WORD]


def _first_of(nearness: _Nearness) -> tuple[int, int]:
    """The position of the first shared word in its turn."""
    words = re.finditer(r"\w+", nearness.turn.text or "")
    return next((word.span() for word in words if word[0].casefold().startswith(nearness.shared)), (0, 0))


def _quote(turn: Turn, start: int, end: int) -> Evidence:
    """A turn's text around a span of it, cut between words."""
    text = turn.text or ""
    left, right = _window(len(text), start, end)
    if left > 0 and (space := text.find(" ", left, start)) >= 0:
        left = space + 1
    if right < len(text) and (space := text.rfind(" ", min(end, right), right)) >= 0:
        right = space
    quote = f"{'…' if left else ''}{text[left:right]}{'…' if right < len(text) else ''}"
    return Evidence(turn_number=turn.turn_number, quote=quote)


def _window(length: int, start: int, end: int) -> tuple[int, int]:
    """`QUOTE_LENGTH` characters with the span in the middle, or as much of it as fits."""
    margin = max(0, QUOTE_LENGTH - (end - start)) // 2
    left = max(0, min(start - margin, length - QUOTE_LENGTH))
    return left, min(length, left + QUOTE_LENGTH)


# --- must_call_tool


class _Call(NamedTuple):
    turn: Turn
    args: Json


def _must_call_tool(assertion: Assertion, turns: Sequence[Turn]) -> _Verdict:
    """Whether the tool fired at least once with all arguments in `args_match`, in a single call."""
    expected = assertion.args_match or {}
    nearest = min(
        _calls(assertion.tool_name, turns),
        key=lambda call: len(_differing(expected, call.args)),
        default=None,
    )
    if nearest is None:
        return _Verdict(False, "never called")
    number = nearest.turn.turn_number
    if differing := _differing(expected, nearest.args):
        named = ", ".join(key if key in nearest.args else f"{key} (missing)" for key in differing)
        reason = f"called at turn {number}, but with other arguments: {named}"
        return _Verdict(False, reason, (_arguments(nearest, differing),))
    return _Verdict(True, f"fired at turn {number}", (_arguments(nearest, expected or nearest.args),))


def _calls(tool_name: str | None, turns: Sequence[Turn]) -> Iterator[_Call]:
    for turn in turns:
        yield from (_Call(turn, args) for name, args in _named_calls(turn) if name == tool_name)


def _named_calls(turn: Turn) -> Iterator[tuple[object, Json]]:
    """What was called in a turn, by the agent's model or by a node of its flow."""
    if turn.role == "agent":
        for use in turn.tool_calls or ():
            yield use.name, {} if use.raw_args is not None else use.args or {}
    elif (event := _flow_event(turn, "flow_tool_result")) and event.get("called") is not False:
        args = event.get("args")
        yield event.get("tool_name"), cast(Json, args) if isinstance(args, dict) else {}


def _differing(expected: Json, args: Json) -> list[str]:
    return [key for key, value in expected.items() if not _fits(value, args, key)]


def _fits(value: object, args: Json, key: str) -> bool:
    """Whether a value matches. `$present` accepts anything except null; it is special only as a whole value."""
    if value == PRESENT:
        return args.get(key) is not None
    return key in args and _equal(value, args[key])


def _equal(one: Any, other: Any) -> bool:
    """JSON equality: 1 equals 1.0 but not true, and order only matters in lists."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        one, other = cast(Json, one), cast(Json, other)
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        one, other = cast(list[Any], one), cast(list[Any], other)
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _arguments(call: _Call, keys: Sequence[str] | Json) -> Evidence:
    shown = {key: call.args[key] for key in keys if key in call.args}
    quote = json.dumps(shown, ensure_ascii=False, default=str)
    return Evidence(turn_number=call.turn.turn_number, quote=_cut(quote))


def _cut(text: str) -> str:
    return text if len(text) <= QUOTE_LENGTH else f"{text[: QUOTE_LENGTH - 1]}…"


# --- must_reach_node


def _must_reach_node(assertion: Assertion, turns: Sequence[Turn]) -> _Verdict:
    for turn in turns:
        event = _flow_event(turn, "flow_node_entered")
        if event and event.get("step_id") == assertion.node_id:
            return _Verdict(True, f"entered at turn {turn.turn_number}")
    has_flow = any(turn.flow_event for turn in turns)
    return _Verdict(False, "never entered" if has_flow else "this agent has no flow")


def _flow_event(turn: Turn, kind: str) -> Json | None:
    event = turn.flow_event or {}
    return event if event.get("type") == kind else None


_CHECKS: dict[AssertionType, Callable[[Assertion, Sequence[Turn]], _Verdict]] = {
    "must_say": _must_say,
    "must_not_say": _must_not_say,
    "must_call_tool": _must_call_tool,
    "must_reach_node": _must_reach_node,
}
