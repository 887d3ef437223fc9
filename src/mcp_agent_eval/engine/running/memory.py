"""What a run has used so far, and the answers that earlier attempts paid for, in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from mcp_agent_eval.engine.llm.messages import ModelReply, Usage, reply_from_json
from mcp_agent_eval.engine.store.journal import Reply
from mcp_agent_eval.engine.store.queue import Spent, Totals
from mcp_agent_eval.types import ModelRole

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Account:
    """What one role has used so far, and the models whose price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    nano: int = 0
    unpriced: set[str] = field(default_factory=set[str])

    def add(self, model: str, usage: Usage, nano: int | None) -> None:
        """Count one call."""
        self.input_tokens += usage.input
        self.output_tokens += usage.output
        if nano is None:
            self.unpriced.add(model)
        else:
            self.nano += nano

    def spent(self) -> Spent:
        """The account as it is stored."""
        return Spent(self.input_tokens, self.output_tokens, self.nano, bool(self.unpriced))


class Accounts:
    """What a run has used, by role."""

    def __init__(self) -> None:
        self._of: dict[ModelRole, Account] = {role: Account() for role in ("agent", "persona", "judge")}

    @property
    def nano(self) -> int:
        """The total cost in nano-dollars, as far as prices are known."""
        return sum(account.nano for account in self._of.values())

    def add(self, role: ModelRole, model: str, usage: Usage, nano: int | None) -> None:
        """Count one call."""
        self._of[role].add(model, usage, nano)

    def totals(self, spoken: int) -> Totals:
        """The totals as they are stored, with the number of spoken turns."""
        return Totals(
            spoken_turns=spoken,
            agent=self._of["agent"].spent(),
            persona=self._of["persona"].spent(),
            judge=self._of["judge"].spent(),
            unpriced_models={model for account in self._of.values() for model in account.unpriced},
        )


class Memory:
    """Recorded calls, each counted when its turn comes. Failed ones are skipped: they are made again."""

    def __init__(self, recorded: Iterable[Reply], accounts: Accounts) -> None:
        self._recorded = deque(recorded)
        self._accounts = accounts
        self._pass_over_failed()

    @property
    def is_empty(self) -> bool:
        """Whether no answer is left."""
        return not self._recorded

    def take(self, role: ModelRole) -> ModelReply | None:
        """The next answer, if one is left. If it was given to another role, the run has taken a different course,
        and the rest is of no use."""
        if self._recorded and self._recorded[0].call.role != role:
            logger.warning("a run differs from its recording: its %s is asked again", role)
            while self._recorded:
                self._next()
        if not self._recorded:
            return None
        recorded = self._next()
        self._pass_over_failed()
        return reply_from_json(recorded.reply or {})

    def pass_over_conversation(self) -> None:
        """Count everything before the verdicts."""
        while self._recorded and self._recorded[0].call.role != "judge":
            self._next()
        self._pass_over_failed()

    def _pass_over_failed(self) -> None:
        while self._recorded and self._recorded[0].reply is None:
            self._next()

    def _next(self) -> Reply:
        recorded = self._recorded.popleft()
        call = recorded.call
        usage = Usage(call.input_tokens, call.output_tokens)
        self._accounts.add(call.role, call.model, usage, recorded.cost_nano_usd)
        return recorded
