"""What must be true when all runs are over, whatever became of the workers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from tests.faults.provider import Provider, Request
from tests.faults.records import Recorded, Row
from tests.faults.script import FOUND, MODELS, TOOL, Call, Said, steps, transcript, usage

_INTERRUPTED = (
    "The run was interrupted after this tool may have acted. It was not called again; its result is unknown."
)
_KNOWN = Said("tool_result", FOUND, ((TOOL["name"], FOUND),))
_UNKNOWN = Said("tool_result", json.dumps({"error": _INTERRUPTED}), ((TOOL["name"], None),))
_ROLES = {"persona": "caller", "agent": "agent", "judge": "judge"}


class Kill(NamedTuple):
    """A worker that was killed or closed, with the runs that it held and how many of its requests were under way."""

    worker: str
    runs: Sequence[str]
    open_requests: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known afterwards. `calls` are by the ids of their cases; `let_go` are the runs that workers noticed
    they had lost, each with the worker's name, as often as they did."""

    calls: Mapping[str, Call]
    provider: Provider
    runs: Sequence[Recorded]
    kills: Sequence[Kill] = ()
    let_go: Collection[tuple[str, str]] = ()

    def call(self, run: Recorded) -> Call:
        """The call that a run is of."""
        return self.calls[run.row["case_id"]]

    def answered(self) -> dict[int, Request]:
        """Every request that was answered, by its number."""
        return {one.number: one for one in self.provider.requests if one.outcome == "answered"}

    def repeated(self) -> list[Request]:
        """Answers that no run has: they were in flight when their worker was lost, and asked for once more."""
        recorded = {number for run in self.runs for number, _ in run.answers}
        return [one for number, one in self.answered().items() if number not in recorded]


def problems(evidence: Evidence) -> list[str]:
    """Everything that must not be, a sentence each."""
    found = [
        f"run {run.row['id']} ({evidence.call(run).mark}): {problem}"
        for run in evidence.runs
        for problem in _unfinished(run) or _wrong(evidence, run)
    ]
    return [*found, *_wrong_number(evidence), *_unknown_answers(evidence), *_unexplained(evidence)]


def crowds(evidence: Evidence, limits: Mapping[str | int, int]) -> list[str]:
    """Suites and models that were asked more at once than is allowed; by number and by name. Where a worker lost
    its leases alive, what it was doing was done twice for a moment."""
    most = evidence.provider.most
    if evidence.let_go:
        return []
    return [
        f"{most[name]} requests at once of {name}, of which {limit} are allowed"
        for name, limit in limits.items()
        if most[name] > limit
    ]


def _wrong_number(evidence: Evidence) -> Iterator[str]:
    started = Counter(run.row["case_id"] for run in evidence.runs)
    if started != Counter(list(evidence.calls)):
        yield f"there are {len(evidence.runs)} runs of {len(evidence.calls)} cases"


def _unfinished(run: Recorded) -> list[str]:
    row = run.row
    if (row["queue_status"], row["status"]) != ("done", "completed"):
        return [f"it is {row['status']} ({row['queue_status']}): {row['error']}"]
    return [] if run.is_scored else [f"it is not scored: {row['evaluation']}"]


def _wrong(evidence: Evidence, run: Recorded) -> list[str]:
    checks = (_wrong_transcript, _wrong_calls, _wrong_totals, _used_twice)
    return [problem for check in checks for problem in check(evidence, run)]


def _wrong_transcript(evidence: Evidence, run: Recorded) -> Iterator[str]:
    numbers = [turn["turn_number"] for turn in run.turns]
    if numbers != list(range(len(numbers))):
        yield f"its turns are numbered {numbers}"
    said = [_KNOWN if row == _UNKNOWN else row for row in run.said]
    for number, (found, expected) in enumerate(zip_longest(said, transcript(evidence.call(run)))):
        if found != expected:
            yield f"row {number} is {found}, which should be {expected}"
            return


def _used_twice(evidence: Evidence, run: Recorded) -> Iterator[str]:
    """A tool that acts does so once, or nobody knows whether it has and the run says so."""
    used = evidence.provider.used[evidence.call(run)]
    if used > 1:
        yield f"its tool was used {used} times"
    if evidence.provider.used and not used and _UNKNOWN not in run.said:
        yield "its tool was not used, and it says that it was"


def _wrong_calls(evidence: Evidence, run: Recorded) -> Iterator[str]:
    """Each step of the call is recorded once, by the answer to a request for that very step."""
    answered = evidence.answered()
    asked = Counter(answered[number].step for number, _ in run.answers if number in answered)
    if asked != Counter(steps(evidence.call(run))):
        yield f"its calls are {sorted(f'{step.role} {step.position}' for step in asked.elements())}"
    for number, call in run.answers:
        if number in answered and answered[number].step.role != _ROLES[call["role"]]:
            yield f"request {number} is recorded for the {call['role']}"


def _wrong_totals(evidence: Evidence, run: Recorded) -> Iterator[str]:
    for role, model in _ROLES.items():
        told = (run.row[f"{role}_input_tokens"], run.row[f"{role}_output_tokens"])
        recorded = _sum(call for _, call in run.answers if call["role"] == role)
        owed = [usage(step) for step in steps(evidence.call(run)) if step.role == model]
        expected = (sum(tokens for tokens, _ in owed), sum(tokens for _, tokens in owed))
        if not told == recorded == expected:
            yield f"its {role} used {told} tokens, its calls {recorded}, which should be {expected}"


def _sum(calls: Iterator[Row]) -> tuple[int, int]:
    tokens = [(call["input_tokens"], call["output_tokens"]) for call in calls]
    return sum(one for one, _ in tokens), sum(other for _, other in tokens)


def _unknown_answers(evidence: Evidence) -> Iterator[str]:
    answered = evidence.answered()
    times = Counter(number for run in evidence.runs for number, _ in run.answers)
    for number, count in times.items():
        if number not in answered:
            yield f"the provider gave no answer {number}"
        if count > 1:
            yield f"answer {number} is recorded {count} times"


def _unexplained(evidence: Evidence) -> Iterator[str]:
    """One call is repeated at most whenever a worker is killed that holds the run, or loses it otherwise."""
    runs = {evidence.call(run): run.row["id"] for run in evidence.runs}
    lost = Counter((kill.worker, run) for kill in evidence.kills for run in kill.runs)
    lost.update(evidence.let_go)
    asked = Counter((one.worker, runs[one.step.call]) for one in evidence.repeated())
    for (worker, run), count in (asked - lost).items():
        yield f"{worker} asked in vain for run {run}, {count} times more often than it lost it"


def figures(evidence: Evidence) -> dict[str, object]:
    """What is worth telling, in numbers."""
    outcomes = Counter(one.outcome for one in evidence.provider.requests)
    recorded = sum(len(run.answers) for run in evidence.runs)
    return {
        "runs": len(evidence.runs),
        "completed and scored": sum(run.is_scored for run in evidence.runs),
        "turns": sum(len(run.turns) for run in evidence.runs),
        "claims": sum(run.row["epoch"] for run in evidence.runs),
        "kills": len(evidence.kills),
        "runs in flight at the kills": sum(len(kill.runs) for kill in evidence.kills),
        "requests under way at the kills": sum(kill.open_requests for kill in evidence.kills),
        "leases lost by workers alive": len(evidence.let_go),
        "requests that reached the provider": len(evidence.provider.requests),
        "of these refused": outcomes["patience"] + outcomes["failed"],
        "of these lost by the connection": outcomes["dropped"] + outcomes["cut"],
        "requests that the records tell of": sum(
            call["attempts"] for run in evidence.runs for call in run.calls
        ),
        "answers": outcomes["answered"],
        "calls recorded": recorded,
        "answers repeated": len(evidence.repeated()),
        "tools used": evidence.provider.used.total(),
        "tools of which nobody knows": sum(_UNKNOWN in run.said for run in evidence.runs),
        "most requests at once": {name: evidence.provider.most[name] for name in MODELS},
    }
