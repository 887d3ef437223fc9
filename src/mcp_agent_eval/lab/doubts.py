"""What will work but is probably not what was meant: told to whoever writes a noun, never refused."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_agent_eval.types import Agent, Case, Persona, Suite
from mcp_agent_eval.types.variables import unfilled


def doubts(noun: Agent | Persona | Case | Suite) -> list[str]:
    """A sentence for each; none when all seems well."""
    if isinstance(noun, Agent):
        return list(_about_agent(noun))
    return list(_about_case(noun)) if isinstance(noun, Case) else []


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
