"""Results of suites that were never run, with whatever texts and verdicts a test wants; and what JUnit XML may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as Xml

from mcp_agent_eval.lab.reports.results import SuiteResult
from mcp_agent_eval.types import Assertion, AssertionResult, Case, Evaluation, Evidence, Run, SuiteRun
from mcp_agent_eval.types.run import RunStatus

SAYS = Assertion(type="must_say", pattern="hello")
HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07 \x9b31m",
    "]]> <failure/> & \" ' <!-- -->",
    "`code` ``` ~~~ ````` ![x](http://evil.example/x.png) @everyone | <img src=x> <!--",
    "one\n```\n# two\n| three |\r\n::error::four\n##[error]five ##vso[task.complete]",
    "\u202egnirts\u2066 \ud83d \ufffe \x00 \u2028 end",
]


def case(name: str = "Books a visit") -> Case:
    """A case of some agent and some persona."""
    ids = {"id": str(uuid4()), "agent_id": str(uuid4()), "persona_id": str(uuid4())}
    return Case(name=name, scenario="You call.", success_criteria=[SAYS], **ids)


def run(of: Case, passed: bool | None, *, status: RunStatus = "completed", **fields: Any) -> Run:
    """A run that is over; `said` is what its evidence and `reason` what its verdict quotes."""
    said, reason = fields.pop("said", "Goodbye."), fields.pop("reason", "no match")
    failed = AssertionResult(
        assertion=SAYS,
        passed=bool(passed),
        weight=1,
        reason=reason,
        evidence=[Evidence(turn_number=2, quote=said)],
    )
    score = None if passed is None else 100.0 * passed
    evaluation = None if passed is None else Evaluation(score=score, pass_fail=passed, results=[failed])
    over: dict[str, Any] = {
        "id": str(uuid4()),
        "case_id": of.id,
        "agent_id": of.agent_id,
        "persona_id": of.persona_id,
        "case": of,
        "queue_status": "done",
        "duration_ms": 1500,
        "score": score,
        "pass_fail": passed,
        "evaluation": evaluation,
        "termination_reason": "persona_goodbye",
    }
    return Run(status=status, **over | fields)


def suite_run(*runs: Run, **fields: Any) -> SuiteRun:
    """An aggregate of which nothing counts but its size and its runs, and whatever else is given."""
    counters = dict.fromkeys(("completed", "in_flight", "cancelled", "errored", "passed", "failed"), 0)
    return SuiteRun(
        suite_run_id=str(uuid4()),
        suite_id=None,
        total_runs=len(runs),
        total_cost_cents=0,
        started_at=None,
        ended_at=None,
        score_avg=None,
        pass_rate=None,
        runs=list(runs),
        **counters | fields,
    )


def result(*suite_runs: SuiteRun, **fields: Any) -> SuiteResult:
    """The result of these repeats."""
    given: dict[str, Any] = {
        "suite_id": str(uuid4()),
        "suite": "Clinic calls",
        "size": suite_runs[0].total_runs if suite_runs else 2,
        "repeats": len(suite_runs),
        "fail_under": 100.0,
        "overrides": {},
        "seconds": 1.25,
    }
    return SuiteResult(suite_runs=suite_runs, **given | fields)


# --- JUnit, as those who read it agree on

_COUNTS = ("tests", "failures", "errors", "skipped")
_RULES: Mapping[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "time", *_COUNTS}, {"testsuite"}),
    "testsuite": ({"name", "time", "timestamp", *_COUNTS}, {"properties", "testcase"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"failure", "error", "system-out"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}
_OPTIONAL = {"timestamp"}


def junit(document: bytes) -> Xml.Element:
    """The root of a document that keeps to the rules, and whose counts are right."""
    root = Xml.fromstring(document)
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = _RULES[element.tag]
        assert attributes - _OPTIONAL <= set(element.keys()) <= attributes, element.tag
        assert {child.tag for child in element} <= children, element.tag
        assert all(float(element.get(name, "0")) >= 0 for name in ("time", *_COUNTS))
    for suite in (root, *root.iter("testsuite")):
        found = {"tests": len(list(suite.iter("testcase")))}
        found |= {f"{tag}s": len(list(suite.iter(tag))) for tag in ("failure", "error")}
        assert {name: int(suite.attrib[name]) for name in found} == found
    for one in root.iter("testcase"):
        assert len(one.findall("failure") + one.findall("error")) <= 1
    names = [(one.get("classname"), one.get("name")) for one in root.iter("testcase")]
    assert len(names) == len(set(names)), "who reads it knows tests by their names"
    return root
