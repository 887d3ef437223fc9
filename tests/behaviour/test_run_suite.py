"""`run-suite` as a build calls it: a real database, offline models, and processes that are really interrupted."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from anyio.abc import Process
from click.testing import CliRunner, Result
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.cli.main import commands
from mcp_agent_eval.lab.reports.results import verdict
from mcp_agent_eval.lab.suite_execution import SuiteExecution
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Run, RunFilter, SuiteRun
from tests.contract.test_backend import make_case
from tests.contract.test_hosted_vendor import JUDGED, vendor
from tests.legs import served
from tests.provider import provider
from tests.results import HOSTILE, junit
from tests.running import running
from tests.support import OFFLINE

SUITE = "Harbour Dental calls"
SAMPLES = resources.files("mcp_agent_eval.samples")
OVERRIDES = yaml.safe_load(SAMPLES.joinpath("overrides.yaml").read_text(encoding="utf-8"))
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
CLINIC = SAMPLES.joinpath("clinic.yaml").read_text(encoding="utf-8")
ONE_CASE = """\
agents:
  - name: Clinic
    system_prompt: Be brief.
    greeting_message: {greeting}
    tools: [{{name: pay, type: webhook, config: {{url: "https://pay.example/"}}}}]
personas: [{{name: Maya, identity_prompt: You are Maya.}}]
suites: [{{name: Calls}}]
cases:
  - name: {name}
    suite: Calls
    agent: Clinic
    persona: Maya
    scenario: You call.
    max_turns: 2
    tool_policy: {policy}
    success_criteria: [{{type: must_not_say, pattern: "(?s).+"}}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is called, with a database of its own and the sample evals beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    for name, value in {"database_url": "sqlite:///evals.db", **OFFLINE}.items():
        monkeypatch.setenv(f"AGENT_EVAL_{name.upper()}", value)
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "clinic.yaml").write_text(CLINIC, encoding="utf-8")
    return tmp_path


def run_suite(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["run-suite", *arguments])


def loaded(*arguments: str) -> Result:
    return run_suite(SUITE, "--load", "evals", *arguments)


def write_case(folder: Path, *, name: str = "Calls", greeting: str = "Hi.", policy: str = "mock") -> None:
    text = ONE_CASE.format(name=json.dumps(name), greeting=json.dumps(greeting), policy=policy)
    (folder / "evals" / "clinic.yaml").write_text(text, encoding="utf-8")


def report(result: Result) -> dict[str, Any]:
    """What --json - wrote: all of standard output, and nothing else."""
    return json.loads(result.stdout)


async def stored_runs() -> list[Run]:
    async with connect(Settings.read(agent_model="offline")) as link:
        return (await link.backend.runs(RunFilter(limit=100))).data


# --- Verdicts and exit codes


def test_too_few_runs_that_pass_fail_the_build_and_say_why() -> None:
    result = loaded()
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[0] == "created agent 'Harbour Dental reception'"
    assert (
        sum(
            bool(re.match(r"(PASS|FAIL)  .+ \(score \d+, \d+\.\d s, run [0-9a-f-]{36}\)$", line))
            for line in lines
        )
        == 8
    )
    assert "FAIL  No promises about whitening: 0 of 1 passed" in lines
    assert "  | must_not_say /(we|i) guarantee|painless|risk.free/ (weight 3): matched at turn 2" in lines
    assert (
        "  |     [2] Our whitening is painless, and we guarantee teeth that are six shades brighter." in lines
    )
    assert f"Suite {SUITE}: failed" in lines
    assert "6 of 8 runs passed: 75.0% (95% interval 41% to 93%). At least 100% was required." in lines


def test_a_lower_threshold_lets_the_same_suite_pass() -> None:
    assert loaded("--fail-under", "75").exit_code == 0
    assert run_suite(SUITE, "--fail-under", "75.1%").exit_code == 1


@pytest.mark.parametrize("rate", ["0.75", "75", "75%", "75.0%"])
def test_a_threshold_is_a_share_or_percent(rate: str) -> None:
    value = report(loaded("--fail-under", rate, "--json"))
    assert (value["fail_under_percent"], value["outcome"]) == (75, "passed")


def test_a_threshold_of_one_is_all_runs() -> None:
    assert report(loaded("--fail-under", "1", "--json"))["fail_under_percent"] == 100
    assert report(loaded("--fail-under", "1%", "--json"))["fail_under_percent"] == 1


@pytest.mark.parametrize("given", ["as JSON", "in a file", "by field", "by field, in a file"])
def test_overrides_hold_for_these_runs(folder: Path, given: str) -> None:
    (folder / "overrides.yaml").write_text(yaml.safe_dump(OVERRIDES), encoding="utf-8")
    (folder / "prompt.txt").write_text(OVERRIDES["system_prompt"], encoding="utf-8")
    ways = {
        "as JSON": json.dumps(OVERRIDES),
        "in a file": "overrides.yaml",
        "by field": f"system_prompt={OVERRIDES['system_prompt']}",
        "by field, in a file": "system_prompt=@prompt.txt",
    }
    result = loaded("--override", ways[given], "--json", "-")
    assert result.exit_code == 0, result.stderr
    assert report(result)["overrides"] == OVERRIDES


def test_fields_are_put_together_and_the_last_word_on_each_counts() -> None:
    fields = ["temperature=0.1", '{"temperature": 0.5, "language": "he"}', "temperature=0.2", "model=offline"]
    arguments = [word for field in fields for word in ("--override", field)]
    value = report(loaded(*arguments, "--fail-under", "0", "--json"))
    assert value["overrides"] == {"temperature": 0.2, "language": "he", "model": "offline"}


def test_repeats_are_counted_case_by_case() -> None:
    value = report(loaded("--repeats", "3", "--json", "-"))
    assert (value["repeats"], value["planned"], value["passed"], value["failed"]) == (3, 24, 18, 6)
    assert len(set(value["suite_run_ids"])) == 3
    assert {one["case"]: one["passed"] for one in value["cases"]}["Where to park"] == 3
    # Offline, repeats only say the same again: they make nothing surer.
    assert value["pass_rate_interval"] == report(run_suite(SUITE, "--json", "-"))["pass_rate_interval"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [SUITE, "--fail-under", "most"],
        [SUITE, "--fail-under", "-1"],
        [SUITE, "--fail-under", "101"],
        [SUITE, "--repeats", "0"],
        [SUITE, "--timeout", "0"],
        [SUITE, "--timeout", "nan"],
        [SUITE, "--fail-under", "nan"],
        [SUITE, "--fail-under", "1/0"],
        [SUITE, "--fail-under", "1e999999999"],
        [""],
        [SUITE, "--json", "-", "--junit", "-"],
        [SUITE, "--junit", "evals/clinic.yaml/out.xml"],
        [SUITE, "--override", "absent.yaml"],
        [SUITE, "--override", "{no json"],
        [SUITE, "--override", "[1]"],
        [SUITE, "--override", "system_prompt=@absent.txt"],
        [SUITE, "--override", 'variables={"City": 1, "City": 2}'],
        [SUITE, "--baseline", "absent.json"],
        ["No such suite"],
        [SUITE, "--load", "absent"],
    ],
)
def test_a_mistake_in_the_command_is_one_of_usage(arguments: list[str]) -> None:
    result = run_suite(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--override", '{"colour": "red"}'], "colour"),
        (["--override", "colour=red"], "colour"),
        (["--override", "temperature=NaN"], "temperature"),
        (["--override", '{"model": "nobody:x"}'], "'nobody:x' is not a model"),
    ],
)
def test_what_the_engine_refuses_is_a_mistake_too(arguments: list[str], says: str) -> None:
    result = loaded(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Stopping" not in result.stderr


def test_a_suite_that_is_not_there_is_told_with_those_that_are() -> None:
    loaded()
    result = run_suite("Calls of the harbour")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "mcp-agent-eval: There is no suite 'Calls of the harbour'.",
        f"There are: '{SUITE}'. --load PATH loads evals from files first.",
    ]


def test_a_suite_without_cases_is_told_how_to_get_some(folder: Path) -> None:
    (folder / "evals" / "clinic.yaml").write_text("suites: [{name: Empty}]", encoding="utf-8")
    result = run_suite("Empty", "--load", "evals")
    assert result.exit_code == 2
    assert "The suite 'Empty' has no cases." in result.stderr
    assert "--load PATH" in result.stderr


def test_a_key_that_is_missing_is_asked_for_where_a_command_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_AGENT_MODEL", "openai:m")
    result = loaded()
    assert result.exit_code == 2
    assert "OPENAI_API_KEY" in result.stderr
    assert result.stderr.splitlines()[-1] == "Add it to the environment of this command."


def test_evals_with_mistakes_are_told_line_by_line_and_nothing_is_run(folder: Path) -> None:
    (folder / "evals" / "more.yaml").write_text("cases:\n  - name: C\n", encoding="utf-8")
    result = loaded()
    assert result.exit_code == 2
    assert "evals/more.yaml:2: cases[0].agent: is required." in result.stderr.splitlines()
    assert "nothing was run" in result.stderr
    assert anyio.run(stored_runs) == []


def test_tools_act_only_when_that_is_allowed(folder: Path) -> None:
    write_case(folder, policy="real")
    refused = run_suite("Calls", "--load", "evals")
    assert refused.exit_code == 2
    assert "pay would act for real" in refused.stderr
    assert "--allow-real-tools" in refused.stderr
    assert anyio.run(stored_runs) == []
    assert run_suite("Calls", "--allow-real-tools").exit_code == 1
    assert len(anyio.run(stored_runs)) == 1


def test_a_database_that_cannot_be_used_is_no_verdict(folder: Path) -> None:
    (folder / "evals.db").write_text("this is no database, though it is long enough to be one\n" * 100)
    result = loaded()
    assert result.exit_code == 3
    assert "is not a database" in result.stderr


needs_a_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """The command in a shell, with the redirections that are written behind it."""
    words = [sys.executable, "-m", "mcp_agent_eval", "run-suite", SUITE, "--load", "evals"]
    command = f"{shlex.join(words)} --fail-under 0 {line}"
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


@needs_a_full_device
def test_a_report_that_cannot_be_written_is_no_verdict(folder: Path) -> None:
    result = loaded("--fail-under", "0", "--junit", "/dev/full", "--json", "out.json")
    assert result.exit_code == 3
    assert "/dev/full cannot be written: No space left on device." in result.stderr
    assert json.loads((folder / "out.json").read_text(encoding="utf-8"))["outcome"] == "passed"


@needs_a_full_device
@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", ">/dev/full", ">&-"])
def test_what_is_said_is_no_more_than_a_help(folder: Path, redirected: str) -> None:
    assert shell(f"--json out.json {redirected}").returncode == 0
    assert json.loads((folder / "out.json").read_text(encoding="utf-8"))["outcome"] == "passed"


@needs_a_full_device
@pytest.mark.parametrize("redirected", [">/dev/full", ">&-", ">/dev/full 2>/dev/full"])
def test_a_report_that_finds_no_standard_output_is_no_verdict(folder: Path, redirected: str) -> None:
    done = shell(f"--json - --markdown out.md {redirected}")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert (folder / "out.md").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such shell")
def test_a_reader_that_leaves_changes_no_verdict(folder: Path) -> None:
    done = shell("--json out.json 2>&1 >/dev/null | head -n 1; ls out.json")
    assert done.stdout.splitlines()[-1] == "out.json"


def test_a_fault_of_ours_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mcp_agent_eval.cli.ci.command.evaluate", break_down)
    result = loaded()
    assert result.exit_code == 3
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--junit", "evals"], "evals is a folder"),
        (["--junit", "out.xml", "--json", "sub/../out.xml"], "Two reports have the same FILE"),
        (["--junit", "evals/clinic.yaml/x"], "The folder evals/clinic.yaml cannot be created"),
    ],
)
def test_a_place_for_a_report_is_looked_at_before_anything_is_run(arguments: list[str], says: str) -> None:
    result = loaded(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert anyio.run(stored_runs) == []


@pytest.mark.parametrize("option", ["--override", "--load", "--baseline", "--junit", "--json", "--markdown"])
def test_a_variable_of_a_build_that_was_never_set_is_a_mistake(option: str) -> None:
    result = run_suite(SUITE, option, "")
    assert result.exit_code == 2
    assert f"'{option}' is empty; leave it out if there is none." in result.stderr


# --- Reports


def test_all_reports_tell_the_same(folder: Path) -> None:
    result = loaded("--junit", "out/junit.xml", "--json", "out/all.json", "--markdown", "out/summary.md")
    assert result.stdout == ""
    root = junit((folder / "out" / "junit.xml").read_bytes())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("8", "2", "0")
    value = json.loads((folder / "out" / "all.json").read_text(encoding="utf-8"))
    failed = [run["run_id"] for one in value["cases"] for run in one["runs"] if not run["pass_fail"]]
    assert len(failed) == 2
    assert [f"run {id}" for id in failed] == [
        (one.text or "").splitlines()[0] for one in root.iter("failure")
    ]
    summary = (folder / "out" / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith(f"## `{SUITE}`: failed\n")
    assert all(f"run {id}" in summary for id in failed)


def test_the_summary_of_a_job_on_github_is_added_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "summary.md"
    file.write_text("What was there.\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    loaded()
    assert re.match(rf"What was there\.\n## `{SUITE}`: failed\n", file.read_text(encoding="utf-8"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder))
    result = run_suite(SUITE, "--fail-under", "0")
    assert result.exit_code == 0
    assert "GITHUB_STEP_SUMMARY cannot be written" in result.stderr


def test_a_baseline_shows_what_an_override_changed() -> None:
    loaded("--json", "before.json")
    after = run_suite(SUITE, "--override", json.dumps(OVERRIDES), "--baseline", "before.json")
    changed = [line for line in after.stderr.splitlines() if line.startswith("Changed: ")]
    assert changed == [
        "Changed: A new patient books a check-up: 0 of 1 passed before, 1 of 1 now",
        "Changed: No promises about whitening: 0 of 1 passed before, 1 of 1 now",
    ]


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\ud83d" not in text and "\x00" not in text])
def test_what_is_said_gives_no_orders_to_terminals_builds_or_readers(folder: Path, text: str) -> None:
    write_case(folder, name=text, greeting=text)
    result = run_suite("Calls", "--load", "evals", "--junit", "junit.xml", "--json", "-")
    assert result.exit_code == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.stderr)
    assert [line for line in result.output.splitlines() if re.match(r"\s*::", line)] == []
    assert "##[" not in result.output
    assert "##vso[" not in result.output
    assert report(result)["cases"][0]["case"] == text
    junit((folder / "junit.xml").read_bytes())


def test_a_baseline_that_nothing_differs_from_is_told() -> None:
    loaded("--json", "before.json")
    assert "No case differs from the baseline." in run_suite(SUITE, "--baseline", "before.json").stderr


@pytest.mark.parametrize("report", ["--json", "--markdown", "--junit"])
def test_a_report_on_standard_output_gives_no_orders_to_a_build(folder: Path, report: str) -> None:
    write_case(folder, name="##[error]##vso[x]###[y]", greeting="##[error]")
    result = run_suite("Calls", "--load", "evals", report, "-")
    assert "error" in result.stdout
    assert not re.search(r"##\w*\[", result.stdout)


# --- A terminal


def on_a_terminal(*arguments: str, env: dict[str, str] | None = None) -> str:
    """What the command shows on a terminal."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mcp_agent_eval", "run-suite", *arguments, "--fail-under", "0"]
    given = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, env=given | {"TERM": "xterm"} | (env or {})
    ) as process:
        os.close(theirs)
        shown = b"".join(_chunks(ours)).decode()
        assert process.wait(30) == 0
    return shown


def test_a_terminal_shows_a_bar_in_place_of_lines(folder: Path) -> None:
    shown = on_a_terminal(SUITE, "--load", "evals")
    assert "\x1b[32m" in shown
    assert re.search(rf"{SUITE}  \[#+\]  8/8", shown)
    assert "PASS  " not in shown
    assert "FAIL  No promises about whitening: 0 of 1 passed" in shown


def _chunks(terminal: int) -> Iterator[bytes]:
    """What is written to a terminal until its other side is closed, which Linux reports as an error."""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            chunk = b""
        if not chunk:
            os.close(terminal)
            return
        yield chunk


# --- Providers that fail, and suites that are cut short


@asynccontextmanager
async def started(url: str, *arguments: str) -> AsyncIterator[Process]:
    """The command in a process of its own, with the provider at `url`."""
    env = os.environ | {
        "AGENT_EVAL_MODEL_BASE_URL": url,
        "AGENT_EVAL_AGENT_MODEL": "openai:m",
        "AGENT_EVAL_PERSONA_MODEL": "openai:m",
        "AGENT_EVAL_MODEL_ATTEMPTS": "1",
    }
    command = [sys.executable, "-m", "mcp_agent_eval", "run-suite", *arguments]
    async with await anyio.open_process(command, env=env, stdout=None) as process:
        yield process


async def said(process: Process, gate: anyio.Event | None = None) -> str:
    """All of standard error until the process has ended. `gate` is opened when runs are told to be cancelled."""
    assert process.stderr is not None
    text = ""
    async for chunk in process.stderr:
        text += chunk.decode()
        if gate and "Stopping: " in text:
            gate.set()
    await process.wait()
    return text


async def test_runs_that_break_decide_nothing(folder: Path) -> None:
    def refuse(_: dict[str, Any]) -> JSONResponse:
        return JSONResponse({"error": {"message": "no such key"}}, status_code=401)

    async with provider(refuse) as running:
        async with started(running.url, SUITE, "--load", "evals", "--junit", "junit.xml") as process:
            stderr = await said(process)
    assert process.returncode == 3
    assert f"Suite {SUITE}: undecided" in stderr
    assert "No run could be evaluated." in stderr
    assert "Without a verdict: 8 errored." in stderr
    errors = list(junit((folder / "junit.xml").read_bytes()).iter("error"))
    assert len(errors) == 8
    assert "answered 401: no such key" in (errors[0].get("message") or "")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_without_colours_gets_none(folder: Path, name: str, value: str) -> None:
    shown = on_a_terminal(SUITE, "--load", "evals", env={name: value})
    assert "\x1b[3" not in shown
    assert ("PASS  " in shown) == (name == "TERM"), "a bar moves the cursor"


async def test_what_is_not_over_in_time_is_cancelled_and_reported(folder: Path) -> None:
    async with provider(lambda _: "Hello.", open_gate=False) as running:
        arguments = (SUITE, "--load", "evals", "--timeout", "0.5", "--json", "out.json", "--repeats", "3")
        async with started(running.url, *arguments) as process:
            stderr = await said(process, running.gate)
    assert process.returncode == 3
    assert "Stopped after the 0.5 seconds of --timeout; unfinished runs cancelled: 8." in stderr
    value = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert (value["planned"], value["cancelled"], value["outcome"]) == (24, 8, "undecided")
    assert {run.status for run in await stored_runs()} == {"cancelled"}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are delivered differently there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_build_that_is_cancelled_leaves_nothing_running(
    folder: Path, number: signal.Signals, code: int
) -> None:
    async with provider(lambda _: "Hello.", open_gate=False) as running:
        async with started(running.url, SUITE, "--load", "evals", "--junit", "junit.xml") as process:
            await running.arrived.wait()
            process.send_signal(number)
            stderr = await said(process, running.gate)
    assert process.returncode == code
    assert f"Stopped by {number.name}; unfinished runs cancelled: 8." in stderr
    assert {run.status for run in await stored_runs()} == {"cancelled"}
    assert len(list(junit((folder / "junit.xml").read_bytes()).iter("error"))) == 8


# --- Elsewhere


async def test_it_works_over_an_api_elsewhere(folder: Path) -> None:
    settings = Settings.read(database_url=f"sqlite:///{folder / 'theirs.db'}", rate_limit=1_000_000)
    async with served(settings) as address:
        env = os.environ | {"AGENT_EVAL_BACKEND": "hosted", "AGENT_EVAL_API_URL": address}
        command = [
            sys.executable,
            "-m",
            "mcp_agent_eval",
            "run-suite",
            SUITE,
            "--load",
            "evals",
            "--json",
            "-",
        ]
        done = await anyio.run_process(command, env=env, check=False)
    assert done.returncode == 1, done.stderr.decode()
    assert (json.loads(done.stdout)["passed"], json.loads(done.stdout)["failed"]) == (6, 2)
    assert not (folder / "evals.db").exists()


async def test_an_api_that_fails_in_the_middle_leaves_what_is_known(folder: Path) -> None:
    starts: list[str] = []

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        """The API until the suite is started a second time; then the key is good no more."""
        if scope["path"].endswith("/run"):
            starts.append(scope["path"])
        revoked = JSONResponse({"error": "The key was revoked.", "code": "INVALID_KEY"}, status_code=401)
        await (api if len(starts) < 2 else revoked)(scope, receive, send)

    settings = Settings.read(database_url=f"sqlite:///{folder / 'theirs.db'}")
    async with connect(settings) as link:
        api = build_api(link.backend)
        async with running(failing) as address:
            env = os.environ | {"AGENT_EVAL_BACKEND": "hosted", "AGENT_EVAL_API_URL": address}
            arguments = [SUITE, "--load", "evals", "--repeats", "2", "--fail-under", "50%", "--json", "-"]
            command = [sys.executable, "-m", "mcp_agent_eval", "run-suite", *arguments]
            done = await anyio.run_process(command, env=env, check=False)
    assert done.returncode == 3, done.stderr.decode()
    value = json.loads(done.stdout)
    assert (value["planned"], value["passed"], value["failed"], value["outcome"]) == (16, 6, 2, "undecided")
    assert "The key was revoked" in value["stopped"][0]
    assert "could not be cancelled and may go on" in value["stopped"][0]
    assert b"Without a verdict: 8 never started." in done.stderr


async def test_a_process_that_carries_out_nothing_says_who_has_to(folder: Path) -> None:
    env = os.environ | {"AGENT_EVAL_MAX_CONCURRENCY": "0"}
    command = [
        sys.executable,
        "-m",
        "mcp_agent_eval",
        "run-suite",
        SUITE,
        "--load",
        "evals",
        "--timeout",
        "0.1",
    ]
    done = await anyio.run_process(command, env=env, check=False)
    assert done.returncode == 3
    assert "`mcp-agent-eval worker` has to be running on the same database" in done.stderr.decode()
    assert "Stopping: 8 runs are cancelled" in done.stderr.decode()


def test_a_single_run_that_is_cancelled_is_told_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_MAX_CONCURRENCY", "0")
    write_case(folder)
    result = run_suite("Calls", "--load", "evals", "--timeout", "0.1")
    assert "Stopping: 1 run is cancelled; conversations in progress end at the next turn." in result.stderr


class Told:
    """Keeps the runs that it is told of."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def ended(self, run: Run) -> None:
        self.runs.append(run)

    def going(self, suite_run: SuiteRun) -> None:
        assert suite_run.total_runs == 1


async def test_where_a_stub_judges_our_own_verdict_counts(folder: Path) -> None:
    settings = Settings.read(database_url=f"sqlite:///{folder / 'theirs.db'}")
    async with vendor(settings, flat=True) as (backend, _):
        suite = await backend.create("suite", {"name": "Judged"})
        await make_case(backend, suite_id=suite.id, success_criteria=[JUDGED], tool_policy="mock")
        told = Told()
        execution = SuiteExecution(backend, suite.id, None, 1, told)
        await execution.carry_out()
        [suite_run] = await execution.suite_runs()
    assert [run.pass_fail for run in suite_run.runs] == [False], "so says the stub"
    assert [verdict(run) for run in (*suite_run.runs, *told.runs)] == ["passed", "passed"]


# --- The page


def strings(value: object) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def shown_commands() -> list[list[str]]:
    """The arguments of every call of run-suite that docs/ci.md shows."""
    blocks = re.findall(r"^```(sh|yaml)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    texts = [text for kind, text in blocks if kind == "sh"]
    texts += [text for kind, block in blocks if kind == "yaml" for text in strings(yaml.safe_load(block))]
    lines = [line for text in texts for line in text.splitlines() if "mcp-agent-eval run-suite" in line]
    return [shlex.split(line, comments=True)[2:] for line in lines]


def test_the_calls_in_ci_md_are_those_that_the_command_takes() -> None:
    calls = shown_commands()
    assert len(calls) == 6
    for call in calls:
        commands.commands["run-suite"].make_context("run-suite", call)


def test_ci_md_names_every_option_exit_code_and_field() -> None:
    options = [
        name for one in commands.commands["run-suite"].params for name in one.opts if name.startswith("-")
    ]
    codes = re.findall(r"^ +(\d+) ", commands.commands["run-suite"].help or "", flags=re.MULTILINE)
    fields = report(loaded("--json", "-"))
    parts = [*fields, *fields["cases"][0], "changes", "case", "before", "after"]
    assert [name for name in options if f"`{name}" not in PAGE] == []
    assert codes == ["0", "1", "2", "3", "130"]
    assert [code for code in codes if f"| {code} " not in PAGE and f"| {code}, " not in PAGE] == []
    assert [name for name in parts if f"`{name}`" not in PAGE] == []
