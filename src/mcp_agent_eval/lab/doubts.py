"""Warns about nouns that will work but are probably not what was meant; never refuses them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.lab.digest import STUB_JUDGE
from mcp_agent_eval.types import NEEDS, Agent, Assertion, Capabilities, Case, Kind
from mcp_agent_eval.types.nouns import Noun
from mcp_agent_eval.types.variables import unfilled


def doubts(noun: Noun, capabilities: Capabilities) -> list[str]:
    """One sentence per doubt; empty if all seems well."""
    if isinstance(noun, Agent):
        return list(_about_agent(noun))
    return [*_about_case(noun), *_about_judge(noun, capabilities)] if isinstance(noun, Case) else []


def _about_agent(agent: Agent) -> Iterator[str]:
    text = f"{agent.system_prompt}\n{agent.greeting_message or ''}"
    if names := unfilled(text, agent.variables):
        yield f"{', '.join(names)} has no value in `variables` and is left empty in the prompt."
    if loose := [tool.name for tool in agent.tools if tool.type != "system" and tool.output_schema is None]:
        yield f'Without output_schema, mocked calls of {", ".join(loose)} just return {{"success": true}}.'


def _about_case(case: Case) -> Iterator[str]:
    if not case.success_criteria:
        yield "success_criteria is empty, so every run passes with score 100."
    elif not sum(assertion.weight for assertion in case.success_criteria):
        yield "All weights are 0, so every run passes with score 100."
    if 0 < case.pass_threshold <= 1:
        meant = f"Did you mean {100 * case.pass_threshold:g}?"
        yield f"pass_threshold is {case.pass_threshold:g} of 100, so nearly every run passes. {meant}"
    yield from _about_policy(case)
    for index, assertion in enumerate(case.success_criteria):
        for doubt in _about_assertion(assertion):
            yield f"success_criteria[{index}]: {doubt}"
    if case.agent and case.persona and case.agent.language != case.persona.language:
        yield f"The agent speaks {case.agent.language!r} and the persona {case.persona.language!r}."
    if case.agent and not case.agent.is_active:
        yield "The agent is not active: runs are refused until its is_active is true."


def _about_policy(case: Case) -> Iterator[str]:
    if case.tool_policy == "allowlist" and not case.tool_allowlist:
        yield 'tool_policy is "allowlist" and tool_allowlist is empty, so no tool acts.'
    if case.tool_policy != "allowlist" and case.tool_allowlist:
        which = "every tool acts" if case.tool_policy == "real" else "no tool acts"
        yield f'tool_allowlist is ignored: tool_policy is "{case.tool_policy}", so {which}.'


def _about_assertion(assertion: Assertion) -> Iterator[str]:
    used = {"type", "weight", "description", NEEDS[assertion.type]}
    used |= {"args_match"} if assertion.type == "must_call_tool" else set()
    if stray := [name for name, value in assertion if value is not None and name not in used]:
        yield f"{assertion.type} ignores {', '.join(stray)}."
    if _SLASHED.fullmatch(assertion.pattern or ""):
        yield "the pattern is written between slashes, which are then part of the search. Leave them out."


_SLASHED = re.compile(r"/.+/[a-z]*", re.DOTALL)


def _about_judge(case: Case, capabilities: Capabilities) -> Iterator[str]:
    judged = any(assertion.type == "custom_llm_judge" for assertion in case.success_criteria)
    if judged and not capabilities.judges:
        yield f"custom_llm_judge: {STUB_JUDGE}."


async def left_behind(backend: Backend, kind: Kind, id: str) -> str | None:
    """What happens to the cases of a deleted noun; None if there are none."""
    if kind not in _LEFT_BEHIND:
        return None
    using: dict[str, str | None] = {f"{kind}_id": id}
    total = (await backend.list("case", limit=1, offset=0, **using)).total
    cases = "1 case has" if total == 1 else f"{total} cases have"
    return f"{cases} this {kind}: {_LEFT_BEHIND[kind]}" if total else None


_LEFT_BEHIND: dict[Kind, str] = {
    "agent": "runs of such a case are refused. A case keeps its agent, so create it again for another one.",
    "persona": "such a case keeps using the persona's last version. Set another persona_id with update.",
    "suite": "such a case is kept and can be run by itself. Set another suite_id with update.",
}
