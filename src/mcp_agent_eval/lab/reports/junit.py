"""Reports results as JUnit XML, in the form that Jenkins, GitHub's actions and GitLab all read: one test suite per
repeat, one test case per run, at most one failure or error in each."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from mcp_agent_eval.lab.reports.reasons import headline, reasons
from mcp_agent_eval.lab.reports.results import CaseResult, SuiteResult, Verdict, score, verdict
from mcp_agent_eval.types import Run, SuiteRun
from mcp_agent_eval.types.lines import visible

_NEIGHBOUR = re.compile(b"##")
"""In a build log, ##[ would start a command."""


def as_junit(result: SuiteResult) -> bytes:
    """The whole document, in UTF-8."""
    root = Xml.Element("testsuites", {"name": result.suite, **_figures(result.runs)})
    for position, suite_run in enumerate(result.suite_runs):
        root.append(_suite(result, suite_run, position))
    _keep_to_what_xml_allows(root)
    Xml.indent(root)
    document = Xml.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
    return _NEIGHBOUR.sub(b"#&#35;", document)


def _suite(result: SuiteResult, suite_run: SuiteRun, position: int) -> Xml.Element:
    repeat = _repeat(result, position)
    suite = Xml.Element("testsuite", {"name": result.suite + repeat, **_figures(suite_run.runs)})
    if suite_run.started_at:
        suite.set("timestamp", f"{suite_run.started_at:%Y-%m-%dT%H:%M:%S}")
    properties = Xml.SubElement(suite, "properties")
    Xml.SubElement(properties, "property", name="suite_run_id", value=suite_run.suite_run_id)
    members = {run.id for run in suite_run.runs}
    for case in result.cases:
        for run in case.runs:
            if run.id in members:
                suite.append(_case(result, case, run, repeat))
    return suite


def _repeat(result: SuiteResult, position: int) -> str:
    """A suffix that distinguishes the repeats of a case: readers may identify tests by name only."""
    return f" [{position + 1} of {result.repeats}]" if result.repeats > 1 else ""


def _case(result: SuiteResult, case: CaseResult, run: Run, repeat: str) -> Xml.Element:
    element = Xml.Element(
        "testcase",
        classname=result.suite,
        name=case.name + repeat,
        time=_seconds(run.duration_ms),
    )
    kind = verdict(run)
    if kind != "passed":
        tag = "failure" if kind == "failed" else "error"
        problem = Xml.SubElement(element, tag, message=headline(run), type=_type(run, kind))
        problem.text = "\n".join([f"run {run.id}", *reasons(run)])
    Xml.SubElement(element, "system-out").text = _about(run)
    return element


def _type(run: Run, kind: Verdict) -> str:
    return "assertion" if kind == "failed" else run.end_detail or kind


def _about(run: Run) -> str:
    scored = "" if score(run) is None else f", score {score(run):g}"
    return f"run {run.id}{scored}, {run.termination_reason or run.status}, ${run.cost_usd:.4f}"


def _figures(runs: list[Run]) -> dict[str, str]:
    verdicts = [verdict(run) for run in runs]
    failed, passed = verdicts.count("failed"), verdicts.count("passed")
    return {
        "tests": str(len(runs)),
        "failures": str(failed),
        "errors": str(len(runs) - passed - failed),
        "skipped": "0",
        "time": _seconds(sum(run.duration_ms or 0 for run in runs)),
    }


def _seconds(milliseconds: int | None) -> str:
    return f"{(milliseconds or 0) / 1000:.3f}"


def _keep_to_what_xml_allows(root: Xml.Element) -> None:
    """Escape control characters, which XML cannot contain even as references; the library escapes the rest."""
    for element in root.iter():
        element.text = visible(element.text) if element.text else None
        for name, value in element.attrib.items():
            element.set(name, visible(value))
