"""What cannot work is refused when it is written, not failed when it is run.

A case whose agent changes afterwards still runs, and then fails with a reason.
"""

from __future__ import annotations

from collections.abc import Collection

from mcp_agent_eval.engine.patterns import compile_pattern
from mcp_agent_eval.errors import ImpossibleAssertion, InvalidInput, InvalidPattern
from mcp_agent_eval.types import AgentDraft, Assertion, CaseDraft

_MOCK_ONLY = (
    "tool_policy {policy!r} lets tools act for real, which this version cannot do. Use 'mock': every tool "
    "answers with a made-up value of its output_schema."
)


def check_agent(agent: AgentDraft) -> None:
    """Refuse an agent that no run could be made with.

    Raises:
        InvalidInput: it is of a type that this version does not run.
    """
    if agent.type != "prompt":
        raise InvalidInput(
            f"An agent of type {agent.type!r} cannot be run by this version.",
            hint='Use type "prompt", with the whole behaviour in system_prompt and tools.',
        )


def check_case(case: CaseDraft, agent: AgentDraft) -> None:
    """Refuse a case that could never pass, or never run, with this agent.

    Raises:
        InvalidPattern: a pattern does not compile or is too costly.
        ImpossibleAssertion: an assertion names a tool or node that the agent lacks.
        InvalidInput: the tool policy cannot be honoured.
    """
    if case.tool_policy != "mock":
        raise InvalidInput(_MOCK_ONLY.format(policy=case.tool_policy))
    tools = [tool.name for tool in agent.tools]
    for index, assertion in enumerate(case.success_criteria):
        _check_assertion(assertion, f"success_criteria[{index}]", tools)


def _check_assertion(assertion: Assertion, where: str, tools: Collection[str]) -> None:
    if assertion.pattern is not None:
        _check_pattern(assertion.pattern, f"{where}.pattern")
    if assertion.type == "must_reach_node":
        raise ImpossibleAssertion(
            f"{where}: must_reach_node needs a flow agent, and this one is a prompt: it has no nodes.",
            hint="Assert what the agent says (must_say) or does (must_call_tool) instead.",
        )
    if assertion.type == "must_call_tool" and assertion.tool_name not in tools:
        raise ImpossibleAssertion(
            f"{where}: the agent has no tool {assertion.tool_name!r}. {_tools_there_are(tools)}",
            hint="Correct tool_name, or add the tool to the agent's `tools` with update.",
        )


def _check_pattern(pattern: str, where: str) -> None:
    try:
        compile_pattern(pattern)
    except InvalidPattern as exc:
        raise InvalidPattern(f"{where}: {exc.message}", hint=exc.hint) from None


def _tools_there_are(tools: Collection[str]) -> str:
    return f"Its tools are: {', '.join(tools)}." if tools else "It has no tools at all."
