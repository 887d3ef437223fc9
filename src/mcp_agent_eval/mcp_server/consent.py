"""Consent for tools that really act: the user is asked if the host can ask, and otherwise the caller has to confirm
it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from mcp.server.mcpserver import AcceptedElicitation, CancelledElicitation, Elicit, ElicitationResult
from pydantic import BaseModel, Field

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import ConsentNeeded
from mcp_agent_eval.lab.acting import acting_in_case, acting_in_suite
from mcp_agent_eval.lab.fitting import clip
from mcp_agent_eval.mcp_server.app import Ctx, connection
from mcp_agent_eval.mcp_server.scopes import state_of
from mcp_agent_eval.mcp_server.tools.references import FoundCase, FoundSuite
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.lines import visible

ActingIn = Callable[[Backend], Awaitable[Sequence[str]]]
_MOST_NAMED = 10
_LONGEST_NAME = 80


class Consent(BaseModel):
    """The user's answer."""

    start: bool = Field(description="Let these tools act for real?")


Answer = ElicitationResult[Consent]


async def case_consent(
    ctx: Ctx, found_case: FoundCase, agent_overrides: Json | None, allow_real_tools: bool
) -> Consent | Elicit[Consent]:
    """Whether a run of the case may start."""
    acting = partial(acting_in_case, case_id=found_case, overrides=agent_overrides)
    return await _consent(ctx, found_case, acting, allow_real_tools)


async def suite_consent(
    ctx: Ctx, found_suite: FoundSuite, agent_overrides: Json | None, allow_real_tools: bool
) -> Consent | Elicit[Consent]:
    """Whether a run of the suite may start."""
    acting = partial(acting_in_suite, suite_id=found_suite, overrides=agent_overrides)
    return await _consent(ctx, found_suite, acting, allow_real_tools)


def require(ctx: Ctx, answer: Answer, id: str, mocked: str) -> None:
    """Raises ConsentNeeded unless the user agreed or there was nothing to ask. `mocked` is the call that lets
    nothing act."""
    if isinstance(answer, CancelledElicitation):
        _unanswered(ctx).add(_question(ctx, id))
        raise ConsentNeeded(
            "Not started: the host asked whether tools may act for real, but got no answer.",
            hint=f"{_ASK} To let nothing act: {mocked}.",
        )
    if not (isinstance(answer, AcceptedElicitation) and answer.data.start):
        raise ConsentNeeded(
            "Not started: the user was asked whether tools may act for real, and declined.",
            hint=f"Do not ask again unless the user brings it up. To run with mocked results: {mocked}.",
        )


_ASK = "Ask the user in the chat; only if they agree, call again with allow_real_tools=true."


async def _consent(ctx: Ctx, id: str, acting_in: ActingIn, vouched: bool) -> Consent | Elicit[Consent]:
    """If the user can be asked, only the user's answer counts. The caller's word counts once after a question
    without an answer, since some hosts claim that they can ask although no one is there."""
    can_ask = bool(ctx.client_capabilities and ctx.client_capabilities.elicitation)
    if vouched and (not can_ask or _was_left_open(ctx, id)):
        return Consent(start=True)
    acting = await acting_in((await connection(ctx)).backend)
    if acting and not can_ask:
        raise ConsentNeeded(
            f"Not started: this run would let {_named(acting)} act for real, and the user has not agreed to it.",
            hint=f"{_ASK} tool_policy 'mock' lets nothing act.",
        )
    return (
        Elicit(f"This run lets {_named(acting)} act for real. Start it?", Consent)
        if acting
        else _NOTHING_ACTS
    )


_NOTHING_ACTS = Consent(start=True)


def _named(tools: Sequence[str]) -> str:
    more = len(tools) - _MOST_NAMED
    named = [clip(name, _LONGEST_NAME) for name in tools[:_MOST_NAMED]]
    return visible(", ".join(named) + (f" and {more:,} more tools" if more > 0 else ""))


def _was_left_open(ctx: Ctx, id: str) -> bool:
    """Whether the last question about it got no answer. This counts for one call only."""
    questions, question = _unanswered(ctx), _question(ctx, id)
    is_open = question in questions
    questions.discard(question)
    return is_open


def _unanswered(ctx: Ctx) -> set[tuple[str, str]]:
    return ctx.request_context.lifespan_context.unanswered


def _question(ctx: Ctx, id: str) -> tuple[str, str]:
    """The key of a question: who asked, and about what."""
    request = ctx.request_context.request
    return (state_of(ctx.request_context)["caller"].name if request else "", id)
