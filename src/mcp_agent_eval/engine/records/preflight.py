"""Rejects what cannot work when it is saved, rather than failing when it is run.

A case whose agent changes afterwards still runs, and then fails with a reason.
"""

from __future__ import annotations

from collections.abc import Collection

from mcp_agent_eval.engine.flows.check import read_flow
from mcp_agent_eval.engine.llm.names import OFFLINE, THROUGH, is_through, split
from mcp_agent_eval.engine.matching.patterns import compile_pattern
from mcp_agent_eval.errors import ImpossibleAssertion, InvalidInput, InvalidPattern
from mcp_agent_eval.types import AgentDraft, Assertion, CaseDraft, ToolDraft
from mcp_agent_eval.types.webhook import check_webhook
from mcp_agent_eval.validation import quoted

_PROVIDERS = ("openai", "anthropic")


def check_agent(agent: AgentDraft) -> None:
    """Refuse an agent that no run could be started with.

    Raises:
        FlowInvalid: its flow breaks at least one rule; all broken rules are reported.
        InvalidInput: one of its own tools cannot be used as written, or its model is not a valid model name.
    """
    check_model(agent.model)
    for tool in agent.tools:
        check_tool(tool)
    if agent.flow_config is not None:
        read_flow(agent.flow_config, tools=tool_references(agent))


def check_model(name: str | None) -> None:
    """Refuse a model whose name no run could be started with. Raises InvalidInput."""
    if not name or name == OFFLINE:
        return
    provider, model = split(name)
    if not (provider and model) or not (provider in _PROVIDERS or is_through(name)):
        raise InvalidInput(
            f"model: {quoted(name)} is not a model. Write openai:NAME, anthropic:NAME, {THROUGH}:PROVIDER:NAME or "
            "offline.",
            hint=_model_that_is_meant(name),
        )


def _model_that_is_meant(name: str) -> str:
    """A suggestion for a name that lacks its provider or writes it differently."""
    provider, _, model = name.replace("/", ":", 1).partition(":")
    if model:
        known = provider in _PROVIDERS
        return f"Did you mean {provider}:{model}?" if known else f"Did you mean {THROUGH}:{provider}:{model}?"
    return f"Did you mean {'anthropic' if name.startswith('claude') else 'openai'}:{name}?"


def check_tool(tool: ToolDraft) -> None:
    """Refuse a tool whose webhook could never be called. Raises InvalidInput."""
    if "url" in tool.config:
        try:
            check_webhook(tool.config)
        except InvalidInput as exc:
            raise InvalidInput(
                f"The config of the tool {tool.name!r}: {exc.message}", hint=exc.hint
            ) from None


def check_case(case: CaseDraft, agent: AgentDraft) -> None:
    """Refuse a case that could never pass, or never run, with this agent.

    Raises:
        InvalidPattern: a pattern does not compile or is too costly.
        ImpossibleAssertion: an assertion, the allowlist or a mock names a tool or node that the agent lacks.
        InvalidInput: the tool policy cannot be honoured.
    """
    check_agent(agent)
    _check_tools(case, agent)
    for index, assertion in enumerate(case.success_criteria):
        _check_assertion(assertion, f"success_criteria[{index}]", agent)


def _check_tools(case: CaseDraft, agent: AgentDraft) -> None:
    """Refuse a case that names tools that do not exist, or lets tools act that have no address."""
    names = [tool.name for tool in agent.tools]
    for field, wanted in (("tool_allowlist", case.tool_allowlist), ("tool_mocks", case.tool_mocks)):
        if unknown := sorted(set(wanted) - set(names)):
            raise ImpossibleAssertion(
                f"{field}: the agent has no tool {unknown[0]!r}. {_tools_there_are(names)}",
                hint="Correct the name, or add the tool to the agent's `tools` with update.",
            )
    acting = {"mock": set[str](), "real": set(names), "allowlist": set(case.tool_allowlist)}[case.tool_policy]
    nowhere = [tool.name for tool in agent.tools if tool.name in acting and _cannot_act(tool)]
    if nowhere:
        raise InvalidInput(
            f"tool_policy {case.tool_policy!r} lets {', '.join(nowhere)} act, but there is no address to call.",
            hint="Give the tool a config with a url, or use 'allowlist' with the names of those that have one.",
        )


def _cannot_act(tool: ToolDraft) -> bool:
    return tool.type != "system" and "url" not in tool.config


def _check_assertion(assertion: Assertion, where: str, agent: AgentDraft) -> None:
    if assertion.pattern is not None:
        _check_pattern(assertion.pattern, f"{where}.pattern")
    if assertion.type == "must_reach_node":
        _check_node(assertion, where, agent)
    if assertion.type == "must_call_tool" and agent.type != "endpoint":
        _check_called(assertion, where, [tool.name for tool in agent.tools])


def _check_called(assertion: Assertion, where: str, tools: Collection[str]) -> None:
    if assertion.tool_name not in tools:
        raise ImpossibleAssertion(
            f"{where}: the agent has no tool {assertion.tool_name!r}. {_tools_there_are(tools)}",
            hint="Correct tool_name, or add the tool to the agent's `tools` with update.",
        )


def _check_node(assertion: Assertion, where: str, agent: AgentDraft) -> None:
    if agent.flow_config is None:
        raise ImpossibleAssertion(
            f"{where}: must_reach_node needs a flow agent, but this one is of type {agent.type!r}: it has no nodes.",
            hint="Assert what the agent says (must_say) or does (must_call_tool) instead.",
        )
    nodes = [node.id for node in read_flow(agent.flow_config, tools=tool_references(agent)).nodes]
    if assertion.node_id not in nodes:
        raise ImpossibleAssertion(
            f"{where}: the flow has no node {assertion.node_id!r}. Its nodes are: {', '.join(nodes)}.",
            hint="Correct node_id.",
        )


def tool_references(agent: AgentDraft) -> set[str]:
    """How a flow may refer to the agent's tools: by name, or by the ids of shared ones."""
    return {tool.name for tool in agent.tools} | {tool.id for tool in agent.tools if tool.id}


def _check_pattern(pattern: str, where: str) -> None:
    try:
        compile_pattern(pattern)
    except InvalidPattern as exc:
        raise InvalidPattern(f"{where}: {exc.message}", hint=exc.hint) from None


def _tools_there_are(tools: Collection[str]) -> str:
    return f"Its tools are: {', '.join(tools)}." if tools else "It has no tools at all."
