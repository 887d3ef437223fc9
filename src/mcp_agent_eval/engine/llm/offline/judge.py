"""The judge as `offline` plays it: it looks for the words of the rubric in what the agent said and did.

It says so in its reasoning, and it is easily wrong. Words after a `not` or a `never` must be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_agent_eval.engine.llm.messages import ModelRequest
from mcp_agent_eval.engine.llm.offline.language import Stems, content, spaced, stem, words
from mcp_agent_eval.engine.llm.offline.rephrase import listed

_ENOUGH = 0.5
_CLAUSE = re.compile(r"(?i)[.,;:!?\n]|\b(?:and|but)\b")
_NEGATION = re.compile(r"(?i)\b(?:not|never|without|no|avoids?|refrains?|nothing)\b|n['’]t\b")
_DENIAL = re.compile(r"(?i)\b(?:not|never|cannot|no|unable)\b|n['’]t\b")
_ROW = re.compile(r"^\[(\d+)\] (\w+)(?: (calls) |: )(.*)$")
_JUDGING = content("should clearly conversation transcript correctly explicitly mentions names states")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the words came to; `turns` are those that the verdict rests on."""

    reasoning: str
    passed: bool
    turns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    turn: int
    text: str
    stems: Stems


@dataclass(frozen=True, slots=True)
class _Demands:
    """The words that must be there, and clauses of which no line may hold most."""

    wanted: Stems
    forbidden: list[Stems]


def judge(request: ModelRequest) -> Verdict:
    """The verdict on the rubric and the transcript that stand between their tags in a request."""
    rubric, transcript = _read("\n".join(message.text for message in request.messages))
    rows = list(_agent_rows(transcript))
    demands = _demands(rubric)
    broken = [row for row in rows if any(_says(row, clause) for clause in demands.forbidden)]
    found = demands.wanted & frozenset[str]().union(*(row.stems for row in rows))
    enough = len(found) >= _ENOUGH * len(demands.wanted)
    return Verdict(
        _reasoning(rubric, demands, found, broken),
        passed=bool(demands.wanted or demands.forbidden) and enough and not broken,
        turns=tuple(row.turn for row in broken or _best(rows, demands.wanted)),
    )


def _read(text: str) -> tuple[str, str]:
    """The rubric, which comes first, and the transcript: tags inside a transcript are part of it."""
    rubric, _, rest = text.partition("<rubric>")[2].partition("</rubric>")
    return rubric, rest.partition("<transcript>")[2].rpartition("</transcript>")[0]


def _agent_rows(transcript: str) -> Iterator[_Row]:
    """The agent's words and calls. A line without a turn number goes on with the one before."""
    turn, speaker = 0, ""
    for line in transcript.splitlines():
        text = line
        if row := _ROW.match(line):
            turn, speaker = int(row[1]), row[2]
            text = spaced(row[4]) if row[3] else row[4]
        if speaker == "agent":
            yield _Row(turn, text, content(text))


def _demands(rubric: str) -> _Demands:
    wanted: Stems = frozenset()
    forbidden: list[Stems] = []
    for clause in _CLAUSE.split(rubric):
        before, after = _split_at_negation(clause)
        wanted |= content(before) - _JUDGING
        forbidden.append(content(after) - _JUDGING)
    return _Demands(wanted, [clause for clause in forbidden if clause])


def _split_at_negation(clause: str) -> tuple[str, str]:
    """What a clause asks for, and what it rules out."""
    negation = _NEGATION.search(clause)
    return (clause[: negation.start()], clause[negation.end() :]) if negation else (clause, "")


def _says(row: _Row, clause: Stems) -> bool:
    """Whether a line holds most of a forbidden clause, and does not deny it."""
    return len(row.stems & clause) > _ENOUGH * len(clause) and not _DENIAL.search(row.text)


def _best(rows: list[_Row], wanted: Stems) -> list[_Row]:
    fitting = [row for row in rows if row.stems & wanted]
    return sorted(fitting, key=lambda row: (-len(row.stems & wanted), row.turn))[:2]


def _reasoning(rubric: str, demands: _Demands, found: Stems, broken: list[_Row]) -> str:
    parts: list[str] = []
    if demands.wanted:
        parts.append(f"the agent used {len(found)} of {len(demands.wanted)} words of the rubric")
    if lost := [word for word in dict.fromkeys(words(rubric)) if stem(word) in demands.wanted - found]:
        parts.append(f"not found: {listed(lost)}")
    if demands.forbidden:
        turn = f"turn {broken[0].turn}" if broken else "no turn"
        parts.append(f"{turn} says what the rubric rules out")
    return f"Offline word match, not an LLM: {'; '.join(parts) or 'the rubric has no words to look for'}."
