"""The conversation: persona and agent in turn, until there is a reason to stop.

Pure: it is handed its participants, its tools and a journal, and knows neither a store nor a model client.
Every step ends in one commit, so what was paid for is stored before it is acted on, and a cancel is
noticed at the next turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from mcp_agent_eval.engine.farewells import parted_twice
from mcp_agent_eval.engine.llm.messages import ToolCall
from mcp_agent_eval.engine.participants.base import Agent, Journal, Persona, Said
from mcp_agent_eval.engine.tools import MockedTools, result_text
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.types import TerminationReason, ToolUse, Turn, TurnRole

_TOOL_ROUNDS = 25
_SPEAKERS = ("persona", "agent")


class ToolLoop(EvalError):
    """The agent went on calling tools without ever speaking."""

    code = "TOOL_LOOP"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a conversation stopped; `detail` is finer than the contract's reasons."""

    reason: TerminationReason
    detail: str | None = None


_CANCELLED = Ending("cancelled")


class Conversation:
    """One run's conversation. `turns` grows by a row per message, tool result or flow event."""

    def __init__(
        self,
        run_id: str,
        *,
        persona: Persona,
        agent: Agent,
        tools: MockedTools,
        journal: Journal,
        max_turns: int,
        agent_opens: bool,
    ) -> None:
        self._run = UUID(run_id)
        self._persona = persona
        self._agent = agent
        self._tools = tools
        self._journal = journal
        self._max_turns = max_turns
        self._agent_opens = agent_opens
        self._spoken: list[str] = []
        self.turns: list[Turn] = []

    async def run(self) -> Ending:
        """Talk until somebody ends it, a limit is met or it is cancelled.

        Raises:
            ModelError: a participant's model failed for good.
            Silent: a participant answered with nothing.
            ToolLoop: the agent called tools 25 times in a row without speaking.
        """
        ending = await self._open()
        while ending is None:
            ending = await self._persona_turn() or await self._agent_turn()
        return ending

    async def _open(self) -> Ending | None:
        if not self._agent_opens:
            return None
        greeting = self._agent.greet()
        if greeting is None:
            return await self._agent_turn()
        self._persona.hear(greeting.text)
        return await self._settle([self._row("agent", greeting)])

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
        rows = [self._row("agent", said)]
        results = [self._tools.use(call) for call in said.tool_calls]
        rows += [self._result_row(len(rows) + index, result) for index, result in enumerate(results)]
        if said.text:
            self._persona.hear(said.text)
        self._agent.take_results(results)
        stopped = await self._settle(rows)
        if stopped is not _CANCELLED and any(map(self._tools.ends_conversation, said.tool_calls)):
            return Ending("agent_ended", "end_tool")
        return stopped

    async def _settle(self, rows: Sequence[Turn]) -> Ending | None:
        """Commit a step, then see whether anything but the speakers themselves ends it here."""
        self.turns += rows
        self._spoken += [row.text for row in rows if row.text and row.role in _SPEAKERS]
        if await self._journal.commit(rows, len(self._spoken)):
            return _CANCELLED
        if len(self._spoken) >= self._max_turns:
            return Ending("max_turns")
        if parted_twice(self._spoken):
            return Ending("persona_goodbye", "repeated_farewell")
        return None

    def _row(self, role: TurnRole, said: Said) -> Turn:
        reply = said.reply
        return Turn(
            id=self._id(0),
            run_id=str(self._run),
            turn_number=len(self.turns),
            role=role,
            text=said.text or None,
            tool_calls=[_as_use(call) for call in said.tool_calls] or None,
            model=reply.model if reply else None,
            input_tokens=reply.usage.input if reply else 0,
            output_tokens=reply.usage.output if reply else 0,
            latency_ms=reply.latency_ms if reply else None,
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
