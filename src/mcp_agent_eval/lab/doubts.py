"""What will work but is probably not what was meant: told to whoever writes a noun, never refused."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_agent_eval.lab.digest import STUB_JUDGE
from mcp_agent_eval.types import Agent, Capabilities, Case
from mcp_agent_eval.types.nouns import Noun
from mcp_agent_eval.types.variables import unfilled


def doubts(noun: Noun, capabilities: Capabilities) -> list[str]:
    """A sentence for each; none when all seems well."""
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
    if case.agent and case.persona and case.agent.language != case.persona.language:
        yield f"The agent speaks {case.agent.language!r} and the persona {case.persona.language!r}."
    if case.agent and not case.agent.is_active:
        yield "The agent is not active: runs are refused until its is_active is true."


def _about_judge(case: Case, capabilities: Capabilities) -> Iterator[str]:
    judged = any(assertion.type == "custom_llm_judge" for assertion in case.success_criteria)
    if judged and not capabilities.judges:
        yield f"custom_llm_judge: {STUB_JUDGE}."
