"""What a suite came to, and the reports of it: what counts as what, and that no text breaks out of its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agent_eval.cli.ci.lines import run_line
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.packs.json_text import write_json
from mcp_agent_eval.lab.reports.baseline import changes, read_baseline
from mcp_agent_eval.lab.reports.json_report import as_json
from mcp_agent_eval.lab.reports.junit import as_junit
from mcp_agent_eval.lab.reports.markdown import MOST_CHARACTERS, as_markdown, block, code
from mcp_agent_eval.lab.reports.results import SuiteResult, verdict
from mcp_agent_eval.lab.reports.texts import for_a_log, one_line, visible
from mcp_agent_eval.lab.reports.wording import figures, headline
from mcp_agent_eval.types import AssertionResult, Evaluation
from mcp_agent_eval.types.case import Assertion
from tests.results import HOSTILE, case, junit, result, run, suite_run

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
A, B, GONE = case("A"), case("B"), case("Gone")


def of(*passed: bool | None, **fields: Any) -> SuiteResult:
    """One repeat of a case for each verdict; None is a run that broke."""
    broken = {"status": "failed", "error": "The provider is down."}
    runs = [
        run(case(f"Case {n}"), one, **({} if one is not None else broken)) for n, one in enumerate(passed)
    ]
    return result(suite_run(*runs), **fields)


# --- What counts as what


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "passed"),
        ({"queue_status": "claimed", "status": "running"}, "unfinished"),
        ({"queue_status": "claimed"}, "unfinished"),
        ({"status": "failed"}, "errored"),
        ({"status": "cancelled"}, "cancelled"),
        ({"pass_fail": None}, "errored"),
        ({"pass_fail": False}, "failed"),
        ({"local_evaluation": Evaluation(score=0, pass_fail=False)}, "failed"),
        ({"pass_fail": False, "local_evaluation": Evaluation(score=100, pass_fail=True)}, "passed"),
    ],
)
def test_a_run_has_one_verdict(fields: dict[str, Any], expected: str) -> None:
    assert verdict(run(A, True, **fields)) == expected


def test_what_a_stub_did_not_judge_has_no_verdict() -> None:
    judge = Assertion(type="custom_llm_judge", rubric="Is kind.")
    stub = AssertionResult(assertion=judge, passed=False, weight=1, reason="not_implemented")
    open_run = run(A, False, evaluation=Evaluation(score=0, pass_fail=False, results=[stub]))
    assert verdict(open_run) == "errored"
    assert "AGENT_EVAL_JUDGE_MODEL" in as_junit(result(suite_run(open_run))).decode()


@pytest.mark.parametrize(
    ("passed", "failed", "broken", "fail_under", "outcome"),
    [
        (3, 0, 0, 100, "passed"),
        (2, 1, 0, 100, "failed"),
        (2, 1, 0, 66, "passed"),
        (2, 1, 0, 67, "failed"),
        (2, 0, 1, 100, "undecided"),
        (2, 1, 1, 100, "failed"),
        (8, 0, 2, 80, "passed"),
        (7, 1, 2, 80, "undecided"),
        (7, 3, 2, 80, "failed"),
        (0, 0, 3, 0, "passed"),
        (57, 43, 0, 57, "passed"),
        (29, 71, 0, 29, "passed"),
    ],
)
def test_runs_without_a_verdict_decide_nothing(
    passed: int, failed: int, broken: int, fail_under: float, outcome: str
) -> None:
    verdicts = [True] * passed + [False] * failed + [None] * broken
    assert of(*verdicts, fail_under=fail_under).outcome == outcome


def test_runs_that_were_never_started_are_runs_without_a_verdict() -> None:
    started = suite_run(run(A, True), run(B, True))
    assert result(started, repeats=3).planned == 6
    assert result(started, repeats=3).outcome == "undecided"
    assert result(started, repeats=3, fail_under=33).outcome == "passed"
    assert "4 never started" in " ".join(figures(result(started, repeats=3)))


def test_runs_that_were_started_and_never_seen_are_told_apart_from_those_that_were_not_started() -> None:
    unseen = suite_run(run(A, True), run(B, True)).model_copy(update={"runs": []})
    assert "Without a verdict: 2 unknown, 2 never started." in " ".join(figures(result(unseen, repeats=2)))


def test_a_suite_that_never_started_decides_nothing() -> None:
    nothing = result(repeats=3, fail_under=0.0)
    assert (nothing.planned, nothing.outcome) == (6, "undecided")
    assert " ".join(figures(nothing)).startswith("Without a verdict: 6 never started.")
    assert junit(as_junit(nothing)).get("tests") == "0"
    assert as_json(nothing)["pass_rate"] is None
    assert as_markdown(nothing).splitlines()[2].startswith("No run could be evaluated.")


def test_a_budget_that_stopped_a_suite_is_told_with_its_reason() -> None:
    stopped = suite_run(
        run(A, True), run(B, None, status="cancelled"), stopped="The day's budget is used up."
    )
    told = " ".join(figures(result(stopped, repeats=2)))
    assert told.startswith("The day's budget is used up. Without a verdict: 1 cancelled, 2 never started.")
    assert as_json(result(stopped))["stopped"] == ["The day's budget is used up."]


def test_repeats_are_told_case_by_case() -> None:
    flaky = result(*(suite_run(run(A, n < 3), run(B, True)) for n in range(5)))
    assert [(one.name, one.in_words()) for one in flaky.cases] == [
        ("A", "3 of 5 passed"),
        ("B", "5 of 5 passed"),
    ]
    assert flaky.pass_rate == 0.8
    assert headline(flaky).startswith("8 of 10 runs passed: 80.0% (95% interval ")


def test_cases_of_one_name_are_told_apart() -> None:
    twins = [case("Twin"), case("Twin")]
    both = result(suite_run(*(run(one, True) for one in twins)))
    assert [one.name for one in both.cases] == [f"Twin ({one.id[:8]})" for one in twins]
    junit(as_junit(both))


def test_prices_that_are_not_known_are_said_to_be() -> None:
    dear = result(suite_run(run(A, True, cost_usd=0.25, unpriced_models=["openai:x"])))
    assert "Cost $0.2500, without openai:x, whose prices are unknown." in " ".join(figures(dear))


# --- Texts


@given(ANY_TEXT)
def test_whatever_is_shown_holds_nothing_that_acts(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert len(one_line(text).splitlines()) <= 1
    shown.encode()


def test_what_shows_by_itself_stays_as_it_is() -> None:
    for text in ("שלום, מה שלומך?", "Zażółć 👩‍👩‍👧", "a\tb\nc"):
        assert visible(text) == text


@pytest.mark.parametrize("order", ["##[error]x", "a ##[add-mask]b", "##vso[task.complete]", "###[error]"])
def test_no_line_gives_orders_to_a_build(order: str) -> None:
    assert not re.search(r"##\w*\[", for_a_log(f"PASS {order}"))


def test_every_line_of_a_log_begins_with_a_word_of_ours() -> None:
    line = run_line(run(case("::error::\n::stop-commands::x"), True))
    assert line.startswith("PASS  ::error:: ::stop")


# --- JUnit


def test_a_failed_run_carries_its_assertions_with_reason_evidence_and_id() -> None:
    failing = run(A, False, said="Never heard of it.", reason="no match in 3 turns")
    root = junit(as_junit(result(suite_run(failing, run(B, True)))))
    [failure] = root.iter("failure")
    assert failure.get("message") == "must_say /hello/: no match in 3 turns"
    assert (failure.text or "").splitlines() == [
        f"run {failing.id}",
        "must_say /hello/: no match in 3 turns",
        "    [2] Never heard of it.",
    ]
    assert [one.get("time") for one in root.iter("testcase")] == ["1.500", "1.500"]


def test_a_run_without_a_verdict_is_an_error_with_its_reason() -> None:
    broken = run(A, None, status="failed", error="The provider is down.", end_detail="model_failed")
    stopped = run(B, None, status="cancelled")
    root = junit(as_junit(result(suite_run(broken, stopped))))
    assert [(one.get("type"), one.get("message")) for one in root.iter("error")] == [
        ("model_failed", "error: The provider is down."),
        ("cancelled", "The run was cancelled."),
    ]


def test_repeats_are_test_suites_with_names_of_their_own() -> None:
    root = junit(as_junit(result(*(suite_run(run(A, True), run(B, False)) for _ in range(2)))))
    assert [one.get("name") for one in root.iter("testsuite")] == [
        "Clinic calls [1 of 2]",
        "Clinic calls [2 of 2]",
    ]
    assert [one.get("name") for one in root.iter("testcase")] == [
        "A [1 of 2]",
        "B [1 of 2]",
        "A [2 of 2]",
        "B [2 of 2]",
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_is_well_formed_whatever_was_said(text: str) -> None:
    hostile = result(suite_run(run(case(text), False, said=text, reason=text)), suite=text)
    [failure] = junit(as_junit(hostile)).iter("failure")
    assert one_line(text) in (failure.text or "")


@given(ANY_TEXT.filter(str.strip))
def test_junit_is_well_formed_for_any_text(text: str) -> None:
    junit(as_junit(result(suite_run(run(case(text), False, said=text, end_detail=text)), suite=text)))


# --- Markdown


def spans(markdown: str) -> list[str]:
    """What is left of a text when everything in code is taken out, as CommonMark reads code."""
    lines, fence, left = markdown.splitlines(), "", list[str]()
    for line in lines:
        opened = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if fence:
            closes = re.fullmatch(rf" {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*", line)
            fence = "" if closes else fence
        elif opened:
            fence = opened[1]
        else:
            left.append(re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", line))
    assert not fence, "a block was never closed"
    return left


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_its_place_in_markdown(text: str) -> None:
    hostile = result(suite_run(run(case(text), False, said=text, reason=text)), suite=text)
    tame = result(suite_run(run(case("x"), False, said="x", reason="x")), suite="x")
    assert spans(as_markdown(hostile)) == spans(as_markdown(tame))


@given(ANY_TEXT)
def test_code_cannot_be_ended_by_what_is_in_it(text: str) -> None:
    assert spans(f"a {code(text)} b") == ["a  b"]
    assert spans(f"a\n{block(text.splitlines() or [''])}\nb") == ["a", "b"]


def test_a_bar_in_a_name_does_not_end_its_cell() -> None:
    [row] = [
        line for line in as_markdown(result(suite_run(run(case("a|b"), True)))).splitlines() if "a" in line
    ][-1:]
    assert row == "| `a\\|b` | 1 of 1 passed | 100.0 |"


def test_a_summary_fits_into_a_comment() -> None:
    long = [run(case(f"Case {n}"), False, said="x" * 900) for n in range(300)]
    text = as_markdown(result(suite_run(*long)))
    assert len(text) < MOST_CHARACTERS + 200
    assert re.search(r"And \d+ more cases did not pass\.\n\Z", text)
    assert "| and 100 more | | |" in text
    assert spans(text)


# --- JSON and baselines


def test_json_has_the_figures_and_keeps_texts_in_their_fields() -> None:
    value = as_json(result(suite_run(run(A, False, said="SAID"), run(B, True)), fail_under=40.0))
    assert {name: value[name] for name in ("outcome", "planned", "passed", "failed", "pass_rate")} == {
        "outcome": "passed",
        "planned": 2,
        "passed": 1,
        "failed": 1,
        "pass_rate": 0.5,
    }
    [failed] = value["cases"][0]["runs"][0]["failed_assertions"]
    assert failed["untrusted_evidence"] == ["[2] SAID"]
    assert json.dumps(value).count("SAID") == 1


def test_a_baseline_shows_what_changed(tmp_path: Path) -> None:
    before = result(*(suite_run(run(A, True), run(B, True), run(GONE, True)) for _ in range(2)))
    file = tmp_path / "before.json"
    file.write_text(write_json(as_json(before)), encoding="utf-8")
    broken = run(B, None, status="failed")
    after = result(suite_run(run(A, False), broken, run(case("New"), True)))
    found = list(changes(read_baseline(str(file)), after))
    assert [(one.case, one.in_words()) for one in found] == [
        ("A", "2 of 2 passed before, 0 of 1 now"),
        ("New", "new, 1 of 1 passed"),
        ("Gone", "2 of 2 passed before, gone now"),
    ]
    assert "- `A`: 2 of 2 passed before, 0 of 1 now" in as_markdown(after, found)
    assert list(changes(read_baseline(str(file)), before)) == []


@pytest.mark.parametrize("content", ["", "[]", '{"cases": [{}]}', "\x00"])
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "before.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInput, match="not a report from run-suite"):
        read_baseline(str(file))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_baseline(str(tmp_path / "absent.json"))
