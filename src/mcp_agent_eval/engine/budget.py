"""Ceilings on what runs may cost, kept by reserving the most that a call can cost before it is made.

A call is bound from above without a tokenizer: no token is shorter than a byte, and no answer longer than the
limit that is sent with the request. What a call really cost then takes the place of its reservation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from mcp_agent_eval.engine.billing import NANO, Prices
from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, Usage
from mcp_agent_eval.engine.store import spending
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.errors import BudgetExceeded, NotConfigured
from mcp_agent_eval.settings import PREFIX, Settings
from mcp_agent_eval.types import now

LONGEST_ANSWER = 4096
"""Tokens that an answer may have where a budget has to hold and the request sets no limit of its own."""

_AROUND = 64
"""Bytes that stand for what a provider adds to each message and to the request."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """So many nano-dollars at most; `scope` is None for the run itself, whose spending nobody shares."""

    of: str
    setting: str
    nano_usd: int
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call may cost at most."""

    nano_usd: int
    scopes: tuple[str, ...]


class Budget:
    """The ceilings that hold for one run."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        prices: Prices,
        suite_run_id: str | None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._settings = settings
        self._database = database
        self._prices = prices
        self._suite_run_id = suite_run_id
        self._clock = clock

    def bounded(self, request: ModelRequest) -> ModelRequest:
        """The request, with a limit to its answer where a ceiling has to hold."""
        if not self._ceilings() or request.max_tokens is not None:
            return request
        return replace(request, max_tokens=LONGEST_ANSWER)

    async def reserve(self, model: str, request: ModelRequest, spent: int) -> Reservation | None:
        """Set aside what the call may cost; `spent` is what the run has cost so far. None: nothing limits it.

        Raises:
            BudgetExceeded: a ceiling could be passed; nothing is set aside.
            NotConfigured: nobody knows what the model costs.
        """
        ceilings = self._ceilings()
        if not ceilings:
            return None
        most = self._most(model, request)
        for ceiling in ceilings:
            if ceiling.scope is None and spent + most > ceiling.nano_usd:
                raise _exceeded(ceiling, most)
        shared = [ceiling for ceiling in ceilings if ceiling.scope]
        if shared and most:
            await self._database.write(lambda connection: _reserve(connection, shared, most))
        return Reservation(most, tuple(ceiling.scope for ceiling in shared if ceiling.scope))

    async def settle(self, reservation: Reservation | None, nano_usd: int) -> None:
        """Put what a call has cost in the place of what was set aside for it."""
        if reservation and (left := reservation.nano_usd - nano_usd) and reservation.scopes:
            await self._database.write(lambda connection: _give_back(connection, reservation.scopes, left))

    def _ceilings(self) -> list[Ceiling]:
        """The smallest scope first: it is the one to name when several are used up."""
        found = [_ceiling("run", self._settings.run_budget, None)]
        if self._suite_run_id:
            found.append(_ceiling("suite", self._settings.suite_budget, f"suite run {self._suite_run_id}"))
        found.append(_ceiling("day", self._settings.day_budget, f"day {self._clock():%Y-%m-%d}"))
        return [ceiling for ceiling in found if ceiling]

    def _most(self, model: str, request: ModelRequest) -> int:
        usage = Usage(input=_most_input(request), output=request.max_tokens or LONGEST_ANSWER)
        nano = self._prices.nano(model, usage)
        if nano is None:
            raise NotConfigured(
                f"There is a budget, and nobody knows what {model} costs.",
                hint=f"Set its price in {PREFIX}PRICES, or take the budget away.",
            )
        return nano


def _ceiling(name: str, dollars: float | None, scope: str | None) -> Ceiling | None:
    if dollars is None:
        return None
    return Ceiling(_WHOSE[name], f"{PREFIX}{name.upper()}_BUDGET", round(dollars * NANO), scope)


_WHOSE = {"run": "run", "suite": "suite run", "day": "day"}


def _reserve(connection: Connection, ceilings: list[Ceiling], most: int) -> None:
    for ceiling in ceilings:
        if not spending.reserve(connection, ceiling.scope or "", most, ceiling.nano_usd):
            raise _exceeded(ceiling, most)


def _give_back(connection: Connection, scopes: tuple[str, ...], nano_usd: int) -> None:
    for scope in scopes:
        spending.give_back(connection, scope, nano_usd)


def _exceeded(ceiling: Ceiling, most: int) -> BudgetExceeded:
    return BudgetExceeded(
        f"The budget of this {ceiling.of}, ${ceiling.nano_usd / NANO:g}, is used up: "
        f"the next call may cost ${most / NANO:.4f}, which is more than is left.",
        scope=ceiling.of,
        hint=f"Raise {ceiling.setting}, or run less.",
    )


def _most_input(request: ModelRequest) -> int:
    """No request of so many bytes has more tokens."""
    texts = [request.system, *(_text(message) for message in request.messages)]
    texts += [json.dumps([tool.name, tool.description, tool.parameters]) for tool in request.tools]
    texts.append(json.dumps(request.schema))
    return sum(len(text.encode("utf-8", "replace")) + _AROUND for text in texts)


def _text(message: Message) -> str:
    calls = [[call.id, call.name, call.args, call.raw] for call in message.tool_calls]
    return message.text + json.dumps([calls, message.tool_call_id, message.native], ensure_ascii=False)
