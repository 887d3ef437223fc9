"""Tools for the nouns: agents, personas, cases and suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from mcp.types import CallToolResult
from pydantic import Field

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import AmbiguousReference
from mcp_agent_eval.lab.digest import without_blanks
from mcp_agent_eval.lab.doubts import doubts, left_behind
from mcp_agent_eval.lab.fitting import AROUND, CONCISE, MOST, clip, how_many
from mcp_agent_eval.lab.flow_line import flow_line
from mcp_agent_eval.lab.parts import Place
from mcp_agent_eval.mcp_server.app import Ctx, connection
from mcp_agent_eval.mcp_server.render import answer, part_answer, written
from mcp_agent_eval.mcp_server.tools.arguments import ROWS, Draft, NounKind, Part, Ref, unless
from mcp_agent_eval.mcp_server.tools.references import found, with_ids
from mcp_agent_eval.types import AgentType, Assertion, Capabilities, Json, Kind, Limit, Offset
from mcp_agent_eval.types.nouns import FIXED, Noun

_LONGEST_CELL = 200
_ECHO = 1_000
"""Most characters of the answer to an update: its caller knows what was sent."""


async def create_agent(
    ctx: Ctx,
    name: str,
    system_prompt: Annotated[
        str, Field(description="May use {{Variable}}. Needed unless type is endpoint")
    ] = "",
    tools: Annotated[
        list[Draft] | None,
        Field(
            description="Each {name, description, parameters: JSON Schema, output_schema: JSON Schema of mocked "
            'results}; type "system" hangs up'
        ),
    ] = None,
    greeting_message: Annotated[str | None, Field(description="Said verbatim when the agent opens")] = None,
    agent_speaks_first: bool = True,
    model: Annotated[str | None, Field(description="openai:NAME, anthropic:NAME or offline")] = None,
    temperature: Annotated[
        float | None, Field(ge=0, le=2, description="null: the model's own default")
    ] = 0.5,
    variables: Annotated[dict[str, str] | None, Field(description="Values of {{Variable}}s")] = None,
    description: str | None = None,
    language: Literal["en", "he"] = "en",
    type: AgentType = "prompt",
    flow_config: Annotated[
        Draft | None,
        Field(description="For type flow: {flow_config_version, nodes}"),
    ] = None,
    endpoint: Annotated[
        Draft | None,
        Field(
            description="For type endpoint, an agent elsewhere: {protocol: openai or webhook, url, headers}"
        ),
    ] = None,
) -> CallToolResult:
    """Register the agent under test (chatbot, voice agent, assistant): a system prompt with tools. First step of an
    evaluation."""
    draft = {
        "name": name,
        "system_prompt": system_prompt,
        "tools": tools or [],
        "greeting_message": greeting_message,
        "agent_speaks_first": agent_speaks_first,
        "model": model,
        "temperature": temperature,
        "variables": variables or {},
        "description": description,
        "language": language,
        "type": type,
        "flow_config": flow_config,
        "endpoint": endpoint,
    }
    return await _create(ctx, "agent", draft)


async def create_persona(
    ctx: Ctx,
    name: str,
    identity_prompt: Annotated[str, Field(description='Who calls, e.g. "You are a 38-year-old tenant ..."')],
    behavior_traits: Annotated[
        Draft | None,
        Field(
            description="Free-form; understood: patience, verbosity, cooperation, interruption_tendency, goal, "
            "known_info (facts it may tell), unknown_info"
        ),
    ] = None,
    model: Annotated[str | None, Field(description="As for create_agent")] = None,
    description: str | None = None,
    language: Literal["en", "he"] = "en",
) -> CallToolResult:
    """Register a simulated caller, played by a language model in every conversation. Reusable across cases."""
    draft = {
        "name": name,
        "identity_prompt": identity_prompt,
        "behavior_traits": behavior_traits or {},
        "model": model,
        "description": description,
        "language": language,
    }
    return await _create(ctx, "persona", draft)


async def create_case(
    ctx: Ctx,
    name: str,
    agent_id: Ref,
    persona_id: Ref,
    scenario: Annotated[str, Field(description="One paragraph for the persona: why this call happens")],
    success_criteria: Annotated[
        list[Assertion] | None,
        Field(
            description="Scored after the run. must_say, must_not_say: pattern, a case-insensitive regex "
            "over all the agent said. must_call_tool: tool_name and optionally args_match, equal per key, "
            '"$present" = any value. must_reach_node: node_id. custom_llm_judge: rubric'
        ),
    ] = None,
    suite_id: Annotated[str | None, Field(description="Suite to join: id or name")] = None,
    max_turns: Annotated[int, Field(ge=1, le=100, description="Spoken turns of both sides")] = 20,
    pass_threshold: Annotated[float, Field(ge=0, le=100, description="Score that passes")] = 80,
    tool_policy: Annotated[
        Literal["mock", "real", "allowlist"],
        Field(description="mock: nothing acts, results are made up. real: webhooks fire"),
    ] = "mock",
    tool_allowlist: list[str] | None = None,
    tool_mocks: Annotated[
        Draft | None, Field(description="By tool: {result}, {results: [in turn]} or {error}")
    ] = None,
    agent_overrides: Annotated[Draft | None, Field(description="Agent fields replaced in every run")] = None,
    description: str | None = None,
) -> CallToolResult:
    """Create an eval case: which persona calls which agent, why, and what must hold afterwards."""
    draft = {
        "name": name,
        "agent_id": agent_id,
        "persona_id": persona_id,
        "scenario": scenario,
        "success_criteria": [assertion.model_dump() for assertion in success_criteria or []],
        "suite_id": suite_id or None,
        "max_turns": max_turns,
        "pass_threshold": pass_threshold,
        "tool_policy": tool_policy,
        "tool_allowlist": tool_allowlist or [],
        "tool_mocks": tool_mocks or {},
        "agent_overrides": agent_overrides,
        "description": description,
    }
    return await _create(ctx, "case", draft)


async def create_suite(
    ctx: Ctx,
    name: str,
    parallelism: Annotated[int, Field(ge=1, le=16, description="Cases that run at once")] = 4,
    description: str | None = None,
    agent_id: Annotated[str | None, Field(description="What it is about: id or name")] = None,
) -> CallToolResult:
    """Create a suite: cases that run together and give one aggregate. Cases join by their suite_id."""
    draft = {
        "name": name,
        "parallelism": parallelism,
        "description": description,
        "agent_id": agent_id or None,
    }
    return await _create(ctx, "suite", draft)


_THEN: dict[Kind, str] = {
    "agent": 'create_persona, then create_case(agent_id="{id}", ...)',
    "persona": 'create_case(persona_id="{id}", ...)',
    "case": 'run_case(case_id="{id}")',
    "suite": 'create_case(suite_id="{id}", ...), then run_suite(suite_id="{id}")',
}


async def _create(ctx: Ctx, kind: Kind, draft: Json) -> CallToolResult:
    backend = (await connection(ctx)).backend
    noun = await backend.create(kind, await with_ids(backend, kind, draft))
    capabilities = await backend.capabilities()
    made = {
        f"{kind}_id": noun.id,
        "name": noun.name,
        "warnings": [*doubts(noun, capabilities), *await _taken(backend, capabilities, kind, noun)],
        "next": _THEN[kind].format(id=noun.id),
    }
    return answer(without_blanks(made), lambda _: written("get", kind=kind, id=noun.id), most=CONCISE)


async def _taken(backend: Backend, capabilities: Capabilities, kind: Kind, noun: Noun) -> list[str]:
    """A warning if another noun has the same name, which then identifies neither."""
    if capabilities.backend != "embedded":
        # Elsewhere finding a name means reading the whole list.
        return []
    try:
        await backend.find(kind, noun.name)
    except AmbiguousReference:
        return [f"Another {kind} has this name: use ids, or rename one of them."]
    return []


async def simulate_flow(
    ctx: Ctx,
    agent_id: Ref,
    says: Annotated[list[str], Field(description="What the caller says, line by line")],
    mock_tool_results: Annotated[
        Draft | None, Field(description="By tool node: {result} or {error}; else success")
    ] = None,
    flow_config: Annotated[Draft | None, Field(description="What if: another flow in its place")] = None,
    part: Part = None,
) -> CallToolResult:
    """Walk a flow agent without a model, for free: keywords decide. Shows its path, its end and every fault."""
    backend = (await connection(ctx)).backend
    agent = await backend.find("agent", agent_id)
    transcript: list[Json] = [{"role": "user", "text": line} for line in says]
    walked = await backend.simulate_flow(
        agent, transcript=transcript, mock_tool_results=mock_tool_results, flow_config=flow_config
    )

    def call(place: Place) -> str:
        return f'The same call with part="{place}"'

    shown = walked | {"trace": [flow_line(event) for event in walked["trace"]]}
    return part_answer({"agent_id": agent}, shown, part, call) if part else answer(shown, call)


async def list_nouns(
    ctx: Ctx,
    kind: NounKind,
    suite_id: Annotated[str | None, Field(description="Only cases of this suite")] = None,
    agent_id: Annotated[str | None, Field(description="Only cases of this agent")] = None,
    limit: Limit = ROWS,
    offset: Offset = 0,
) -> CallToolResult:
    """List agents, personas, tools, cases or suites: ids and names."""
    backend = (await connection(ctx)).backend
    filters = await found(backend, suite_id=suite_id, agent_id=agent_id)
    page = await backend.list(kind, limit=limit, offset=offset, **filters)
    rows = [_row(noun) for noun in page.data]
    rows = rows[: how_many(rows, MOST - AROUND)]
    following = offset + len(rows)
    shown = {
        kind + "s": rows or "none",
        "total": page.total,
        "next": written("list", kind=kind, **filters, limit=unless(limit, ROWS), offset=following)
        if following < page.total
        else None,
        "rest": list(_whole(kind, page.data))[:1],
    }
    return answer(without_blanks(shown), lambda _: written("list", kind=kind, limit=1, offset=offset))


def _row(noun: Noun) -> Json:
    row = {"id": noun.id, "name": noun.name, "description": noun.description}
    return without_blanks({key: clip(value, _LONGEST_CELL) for key, value in row.items() if value})


def _whole(kind: Kind, nouns: Sequence[Noun]) -> Iterator[str]:
    """The calls that show what was clipped in rows."""
    for noun in nouns:
        if max(len(noun.name), len(noun.description or "")) > _LONGEST_CELL:
            yield f"{written('get', kind=kind, id=noun.id)} shows one whole"


async def get_noun(ctx: Ctx, kind: NounKind, id: Ref, part: Part = None) -> CallToolResult:
    """Show one agent, persona, tool, case or suite in full."""
    backend = (await connection(ctx)).backend
    noun = await backend.get(kind, await backend.find(kind, id))
    shown = _shown(noun.model_dump(mode="json", exclude_defaults=True, exclude={"agent", "persona"}))

    def call(place: Place) -> str:
        return written("get", kind=kind, id=noun.id, part=str(place))

    return part_answer({"id": noun.id}, shown, part, call) if part else answer(shown, call)


async def update_noun(
    ctx: Ctx,
    kind: NounKind,
    id: Ref,
    changes: Annotated[Draft, Field(description="Fields to replace, whole, as in create_*")],
) -> CallToolResult:
    """Change fields of an agent, persona, tool, case or suite. Past runs keep what they ran with."""
    backend = (await connection(ctx)).backend
    found_id = await backend.find(kind, id)
    noun = await backend.update(kind, found_id, await with_ids(backend, kind, changes, but=FIXED[kind]))
    done = {
        "id": noun.id,
        "name": noun.name,
        "changed": noun.model_dump(mode="json", include=set(changes)),
        "warnings": doubts(noun, await backend.capabilities()),
    }
    return answer(without_blanks(done), lambda _: written("get", kind=kind, id=noun.id), most=_ECHO)


async def delete_noun(ctx: Ctx, kind: NounKind, id: Ref) -> CallToolResult:
    """Delete an agent, persona, tool, case or suite. Its runs and transcripts are kept."""
    backend = (await connection(ctx)).backend
    found_id = await backend.find(kind, id)
    await backend.delete(kind, found_id)
    done: Json = {"deleted": kind, "id": found_id, "warning": await left_behind(backend, kind, found_id)}
    return answer(without_blanks(done), lambda _: written("list", kind=kind))


def _shown(noun: Json) -> Json:
    return {
        key: value for key, value in noun.items() if key not in ("company_id", "created_at", "updated_at")
    }
