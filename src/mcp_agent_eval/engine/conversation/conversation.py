"""The conversation: persona and agent take turns until there is a reason to stop.

Pure: it is given its participants, its tools and a journal, and knows neither a store nor a model client.
Every step ends in one commit, so what was paid for is stored before it is acted on, and a cancel is
noticed at the next turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid5

from mcp_agent_eval.engine.conversation.base import Agent, Journal, Persona, Said
from mcp_agent_eval.engine.conversation.farewells import parted_twice
from mcp_agent_eval.engine.llm.messages import ToolCall
from mcp_agent_eval.engine.tools.acting import Tools, failed, result_text
from mcp_agent_eval.engine.tracing.steps import tell_recalled, turn_span
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.types import TerminationReason, ToolUse, Turn, TurnRole

_TOOL_ROUNDS = 25
_SPEAKERS = ("persona", "agent")


class ToolLoop(EvalError):
    """The agent kept calling tools without ever speaking."""

    code = "TOOL_LOOP"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a conversation stopped; `detail` is more specific than the contract's reasons."""

    reason: TerminationReason
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier attempts have stored: the number of rows, and the outcomes of tools that acted, by turn number."""

    rows: int = 0
    outcomes: Mapping[int, ToolUse] = field(default_factory=dict[int, ToolUse])


_CANCELLED = Ending("cancelled")


class Conversation:
    """One run's conversation. `turns` gains a row per message, tool result or flow event."""

    def __init__(
        self,
        run_id: str,
        *,
        persona: Persona,
        agent: Agent,
        tools: Tools,
        journal: Journal,
        max_turns: int,
        agent_opens: bool,
        earlier: Earlier | None = None,
    ) -> None:
        self._run = UUID(run_id)
        self._persona = persona
        self._agent = agent
        self._tools = tools
        self._journal = journal
        self._max_turns = max_turns
        self._agent_opens = agent_opens
        self._earlier = earlier or Earlier()
        self._acting: ToolCall | None = None
        self._spoken: list[str] = []
        self.turns: list[Turn] = []

    async def run(self) -> Ending:
        """Talk until a participant ends it, a limit is reached or it is cancelled.

        Raises:
            ModelError: a participant's model failed for good.
            Silent: a participant gave only empty answers.
            ToolLoop: the agent called tools 25 times in a row without speaking.
        """
        ending = await self._open()
        while ending is None:
            ending = await self._turn_of("persona") or await self._turn_of("agent")
        return ending

    async def break_off(self) -> None:
        """End because time has run out. If a tool was acting, the transcript says that its result is unknown."""
        if self._acting:
            await self._keep([self._result_row(0, failed(self._acting, _BROKEN_OFF, mocked=False))])

    async def _open(self) -> Ending | None:
        if not self._agent_opens:
            return None
        greeting = self._agent.greet()
        if greeting is None:
            return await self._turn_of("agent")
        self._persona.hear(greeting.text)
        return await self._settle([*self._event_rows(greeting), *self._agent_rows(greeting)])

    async def _turn_of(self, role: Literal["persona", "agent"]) -> Ending | None:
        with turn_span(role, len(self.turns)):
            ending = await (self._persona_turn() if role == "persona" else self._agent_turn())
            if self._journal.recalled:
                tell_recalled()
        return ending

    async def _persona_turn(self) -> Ending | None:
        said = await self._persona.speak()
        rows = [self._row("persona", said)] if said.text else []
        if said.text:
            self._agent.hear(said.text)
        stopped = await self._settle(rows)
        if said.hangs_up and stopped is not _CANCELLED:
            return Ending("persona_goodbye", "end_signal")
        return stopped

    async def _agent_turn(self) -> Ending | None:
        for _ in range(_TOOL_ROUNDS):
            said = await self._agent.speak()
            ending = await self._agent_step(said)
            if ending or not said.tool_calls:
                return ending
        raise ToolLoop(f"The agent called tools {_TOOL_ROUNDS} times in a row without answering the caller.")

    async def _agent_step(self, said: Said) -> Ending | None:
        """One message of the agent, with the tools that it calls."""
        rows = [*self._event_rows(said), *self._agent_rows(said)]
        results: list[ToolUse] = []
        for call in said.tool_calls:
            if self._tools.acts(call):
                # Everything that led to it is stored first: a worker that takes the run over must not do it again.
                if await self._keep(rows):
                    return _CANCELLED
                rows = []
                outcome = await self._act(call)
            else:
                outcome = await self._tools.mock(call)
            results.append(outcome)
            rows.append(self._result_row(len(rows), outcome))
        if said.text:
            self._persona.hear(said.text)
        self._agent.take_results(results)
        stopped = await self._settle(rows)
        return stopped if stopped is _CANCELLED else self._ended_by_agent(said) or stopped

    def _ended_by_agent(self, said: Said) -> Ending | None:
        if any(map(self._tools.ends_conversation, said.tool_calls)):
            return Ending("agent_ended", "end_tool")
        return Ending("agent_ended", said.ends) if said.ends else None

    async def _act(self, call: ToolCall) -> ToolUse:
        """Make a call that acts, and put its outcome in the next row. A call that acted in an earlier attempt, or
        may have, does not act again."""
        number = len(self.turns)
        if known := self._earlier.outcomes.get(number):
            return known
        if number <= self._earlier.rows:
            return failed(call, _INTERRUPTED, mocked=False)
        self._acting = call
        outcome = await self._tools.fire(call)
        self._acting = None
        return outcome

    async def _keep(self, rows: Sequence[Turn]) -> bool:
        """Commit rows. True when a cancel was requested."""
        self.turns += rows
        self._spoken += [row.text for row in rows if row.text and row.role in _SPEAKERS]
        return await self._journal.commit(rows, len(self._spoken))

    async def _settle(self, rows: Sequence[Turn]) -> Ending | None:
        """Commit a step, then check whether anything other than the speakers ends the conversation here."""
        if await self._keep(rows):
            return _CANCELLED
        if len(self._spoken) >= self._max_turns:
            return Ending("max_turns")
        if parted_twice(self._spoken):
            return Ending("persona_goodbye", "repeated_farewell")
        return None

    def _row(self, role: TurnRole, said: Said, offset: int = 0) -> Turn:
        reply = said.reply
        uses = [*map(_as_use, said.tool_calls), *map(_as_call, said.reported)]
        return Turn(
            id=self._id(offset),
            run_id=str(self._run),
            turn_number=len(self.turns) + offset,
            role=role,
            text=said.text or None,
            tool_calls=uses or None,
            model=reply.model if reply else None,
            input_tokens=reply.usage.input if reply else 0,
            output_tokens=reply.usage.output if reply else 0,
            latency_ms=reply.latency_ms if reply else None,
        )

    def _agent_rows(self, said: Said) -> Iterator[Turn]:
        """The agent's row, with a row for each outcome that it reports; no rows when it only moved through its flow."""
        offset = len(said.events)
        if said.text or said.tool_calls or said.reported or not said.events:
            yield self._row("agent", said, offset)
            offset += 1
        told = [use for use in said.reported if use.result is not None or use.error is not None]
        for number, use in enumerate(told):
            yield self._result_row(offset + number, use.model_copy(update={"args": None}))

    def _event_rows(self, said: Said) -> Iterator[Turn]:
        for offset, event in enumerate(said.events):
            yield Turn(
                id=self._id(offset),
                run_id=str(self._run),
                turn_number=len(self.turns) + offset,
                role="flow_event",
                flow_event=event,
            )

    def _result_row(self, offset: int, result: ToolUse) -> Turn:
        return Turn(
            id=self._id(offset),
            run_id=str(self._run),
            turn_number=len(self.turns) + offset,
            role="tool_result",
            text=result_text(result),
            tool_calls=[result],
        )

    def _id(self, offset: int) -> str:
        """The same id for the same row when a run is resumed."""
        return str(uuid5(self._run, str(len(self.turns) + offset)))


def _as_use(call: ToolCall) -> ToolUse:
    return ToolUse(id=call.id, name=call.name, args=call.args, raw_args=call.raw)


def _as_call(use: ToolUse) -> ToolUse:
    """The call behind an outcome that an agent reports."""
    return ToolUse(id=use.id, name=use.name, args=use.args or {}, raw_args=use.raw_args)


_INTERRUPTED = (
    "The run was interrupted after this tool may have acted. It was not called again; its result is unknown."
)
_BROKEN_OFF = "The conversation ran out of time while this tool was acting; its result is unknown."
