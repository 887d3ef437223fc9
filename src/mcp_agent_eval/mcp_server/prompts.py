"""Prompts: short playbooks that guide an assistant through a whole job with our tools, ending in a decision.

Their texts are in `playbooks`. Arguments are looked up, so that the calls in a text can be made as written. An
argument that matches nothing becomes a remark, never an error: the playbook is still useful.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from string import Template

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts.base import Prompt, PromptArgument

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import EvalError, NotFound
from mcp_agent_eval.lab.fitting import clip
from mcp_agent_eval.mcp_server.app import App, Ctx, connection
from mcp_agent_eval.mcp_server.render import written
from mcp_agent_eval.types import Agent, Case, Kind, Run, RunFilter, Suite
from mcp_agent_eval.types.nouns import Noun

_UNKNOWN = "..."
_LONGEST_WORDS = 80
_LONGEST_REMARK = 320
_PREFIX = 8
"""Characters of an id that are enough to refer to it."""
_LOOKED_AT = 20
"""Runs to search for the newest that did not pass."""


@dataclass(slots=True)
class Sheet:
    """What to fill into a playbook, as far as it is known, and remarks on what is not."""

    facts: dict[str, str]
    remarks: list[str] = field(default_factory=list[str])

    def about(self, noun: Noun, kind: Kind) -> None:
        """Fill in a noun's name and how calls refer to it."""
        self.facts[kind] = f"the {kind} {_quoted(noun.name)}"
        self.facts[f"{kind}_id"] = noun.id[:_PREFIX]

    def missed(self, error: EvalError) -> None:
        """Add a remark on what was not found."""
        self.remarks.append(" ".join(filter(None, (error.message, error.hint))))


Given = Mapping[str, str]
Find = Callable[[Backend, Given, Sheet], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Playbook:
    """A prompt: its arguments with descriptions, and the function that fills in its text."""

    name: str
    title: str
    description: str
    arguments: Mapping[str, str]
    find: Find


def add_prompts(server: MCPServer[App]) -> None:
    """Register the prompts with a server."""
    for playbook in PLAYBOOKS:
        server.add_prompt(_prompt(playbook))


def _prompt(playbook: Playbook) -> Prompt:
    async def render(ctx: Ctx, **given: str) -> str:
        return await _rendered(playbook, {name: text.strip() for name, text in given.items()}, ctx)

    return Prompt(
        name=playbook.name,
        title=playbook.title,
        description=playbook.description,
        arguments=[
            PromptArgument(name=name, description=text, required=False)
            for name, text in playbook.arguments.items()
        ],
        fn=render,
        context_kwarg="ctx",
    )


async def _rendered(playbook: Playbook, given: Given, ctx: Ctx) -> str:
    sheet = Sheet(dict(_NOTHING_KNOWN))
    try:
        await playbook.find((await connection(ctx)).backend, given, sheet)
    except EvalError as exc:
        sheet.missed(exc)
    file = resources.files("mcp_agent_eval.mcp_server.playbooks").joinpath(f"{playbook.name}.md")
    remarks = "".join(f"\n{clip(remark, _LONGEST_REMARK)}\n" for remark in sheet.remarks)
    return Template(file.read_text(encoding="utf-8")).substitute(sheet.facts, remarks=remarks).strip()


_NOTHING_KNOWN = {
    "agent": "an agent",
    "agent_id": _UNKNOWN,
    "suite": "a suite",
    "suite_id": _UNKNOWN,
    "question": "Find out why a run did not pass.",
    "run_id": _UNKNOWN,
    "case_id": _UNKNOWN,
    "persona_id": _UNKNOWN,
    "standing": "Its result says how.",
    "focus": "",
    "goal": "",
    "suite_step": "`create_suite(name=..., agent_id=...)`, for the cases to join.",
    "suite_check": "run the suites that it is in",
}


async def _for_write_cases(backend: Backend, given: Given, sheet: Sheet) -> None:
    if focus := given.get("focus"):
        sheet.facts["focus"] = f", above all {_words(focus)}"
    suite = await _optional(backend, "suite", given, sheet)
    if suite:
        sheet.facts["suite_step"] = f"The cases join {sheet.facts['suite']}."
    agent = await _agent(backend, given, suite, sheet)
    if agent and not suite:
        sheet.facts["suite_step"] = (
            f'`create_suite(name=..., agent_id="{agent.id[:_PREFIX]}")`, for the cases to join.'
        )


async def _for_debug_run(backend: Backend, given: Given, sheet: Sheet) -> None:
    run = await _run(backend, given.get("run"), sheet)
    if run is None:
        return
    sheet.facts |= {
        "question": _question(run),
        "run_id": run.id[:_PREFIX],
        "standing": _standing(run),
        "case_id": await _case_id(backend, run, sheet),
        "agent_id": (run.agent_id or _UNKNOWN)[:_PREFIX],
        "persona_id": (run.persona_id or _UNKNOWN)[:_PREFIX],
    }
    if run.suite_id:
        sheet.facts["suite_check"] = f"`{written('run_suite', suite_id=run.suite_id[:_PREFIX])}`"


async def _case_id(backend: Backend, run: Run, sheet: Sheet) -> str:
    """How calls refer to a run's case, which may be gone."""
    try:
        return (await backend.get("case", run.case_id or "")).id[:_PREFIX]
    except NotFound:
        sheet.remarks.append("Its case was deleted: create it again before steps 3 and 5.")
        return _UNKNOWN


async def _for_tune_prompt(backend: Backend, given: Given, sheet: Sheet) -> None:
    if goal := given.get("goal"):
        sheet.facts["goal"] = f". The goal: {_words(goal)}"
    suite = await _needed(backend, "suite", given, sheet)
    await _agent(backend, given, suite, sheet)


async def _agent(backend: Backend, given: Given, suite: Noun | None, sheet: Sheet) -> Noun | None:
    """The named agent, else the one that the suite is about."""
    meant = given.get("agent") or await _agent_of(backend, suite)
    noun = await _needed(backend, "agent", {"agent": meant or ""}, sheet)
    if isinstance(noun, Agent) and noun.type == "endpoint":
        sheet.remarks.append("It runs elsewhere: its prompt is changed there, not by overrides or `update`.")
    return noun


async def _agent_of(backend: Backend, suite: Noun | None) -> str | None:
    if not isinstance(suite, Suite):
        return None
    if suite.agent_id:
        return suite.agent_id
    cases = (await backend.list("case", limit=1, suite_id=suite.id)).data
    return next((case.agent_id for case in cases if isinstance(case, Case)), None)


async def _needed(backend: Backend, kind: Kind, given: Given, sheet: Sheet) -> Noun | None:
    """What an argument names; without the argument, a remark on how to choose."""
    if not given.get(kind):
        call = written("list", kind=kind)
        sheet.remarks.append(f"No {kind} was named: `{call}` shows them, and the user knows which is meant.")
    return await _optional(backend, kind, given, sheet)


async def _optional(backend: Backend, kind: Kind, given: Given, sheet: Sheet) -> Noun | None:
    if not (reference := given.get(kind)):
        return None
    try:
        noun = await backend.get(kind, await backend.find(kind, reference))
    except EvalError as exc:
        sheet.missed(exc)
        return None
    sheet.about(noun, kind)
    return noun


async def _run(backend: Backend, reference: str | None, sheet: Sheet) -> Run | None:
    """The named run, else the newest that did not pass."""
    if reference:
        return await backend.run(await backend.find("run", reference))
    newest = (await backend.runs(RunFilter(limit=_LOOKED_AT))).data
    run = next((run for run in newest if run.is_final and not run.pass_fail), None)
    told = (
        "this is the newest that did not pass"
        if run
        else "none of the newest failed; `list_runs()` shows more"
    )
    sheet.remarks.append(f"No run was named: {told}.")
    return run


def _question(run: Run) -> str:
    named = f"run {run.id[:_PREFIX]}" + (f" of {_quoted(run.case.name)}" if run.case else "")
    if run.pass_fail:
        return f"Find out whether {named} passed for the right reason."
    return f"Find out why {named} did not pass." if run.is_final else f"Find out how {named} is going."


def _standing(run: Run) -> str:
    if not run.is_final:
        return "It is still going: get_run waits for its end."
    if run.pass_fail:
        return f"It has score {run.score or 0:g}."
    needed = f" of the {run.case.pass_threshold:g} that it needs" if run.case else ""
    score = f", with score {run.score:g}{needed}" if run.score is not None else ""
    return f"It is {run.status}{score}."


def _quoted(name: str) -> str:
    return f'"{_words(name)}"'


def _words(text: str) -> str:
    """A user's name for something, as a part of one line."""
    return clip(" ".join(text.split()), _LONGEST_WORDS)


_AGENT = "Agent: id, name or id prefix"
_SUITE = "Suite: id, name or id prefix"

PLAYBOOKS = (
    Playbook(
        "write_cases",
        "Write cases for an agent",
        "Find out what an agent promises, and write, run and prove cases for it.",
        {"agent": _AGENT, "suite": f"{_SUITE}, for the cases to join", "focus": "What to look at above all"},
        _for_write_cases,
    ),
    Playbook(
        "debug_run",
        "Debug a run",
        "Find out why a run failed: the agent, the persona, the case or chance; and the smallest change that fixes it.",
        {"run": "Run: id or id prefix; without one, the newest that did not pass"},
        _for_debug_run,
    ),
    Playbook(
        "tune_prompt",
        "Tune an agent's prompt",
        "Improve an agent's prompt on a suite, one change at a time, and keep only what holds when it is repeated.",
        {"suite": _SUITE, "agent": f"{_AGENT}; without one, the suite's", "goal": "What should get better"},
        _for_tune_prompt,
    ),
)
