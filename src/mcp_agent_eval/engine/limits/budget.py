"""Ceilings on the costs of runs, enforced by reserving the most that a call can cost before it is made.

The most a call can cost is known without a tokenizer: no token is shorter than a byte, and no answer is longer than
the limit sent with the request. The actual cost of a call then replaces its reservation.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import anyio

from mcp_agent_eval.engine.limits.billing import NANO, Prices
from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, Usage
from mcp_agent_eval.engine.store import spending
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.queue import Claim
from mcp_agent_eval.errors import BudgetExceeded, NotConfigured, StoreError
from mcp_agent_eval.settings import PREFIX, Settings
from mcp_agent_eval.types import now

logger = logging.getLogger(__name__)

LONGEST_ANSWER = 4096
"""Most tokens in an answer when a budget applies and the request sets no limit of its own."""

_AROUND = 64
"""Bytes to allow for what a provider adds to each message and to the request."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A limit in nano-dollars; `scope` is None for the run itself, whose spending is not shared."""

    of: str
    setting: str
    nano_usd: int
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that a call may cost, and the scopes in which that is reserved."""

    nano_usd: int = 0
    scopes: tuple[str, ...] = ()


_AGAIN = 0.25
"""Seconds between two checks whether other calls have left enough."""


class Budget:
    """The ceilings that apply to one claimed run."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        prices: Prices,
        claim: Claim,
        suite_run_id: str | None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._settings = settings
        self._database = database
        self._prices = prices
        self._claim = claim
        self._suite_run_id = suite_run_id
        self._clock = clock
        self._lost = 0

    def bounded(self, request: ModelRequest) -> ModelRequest:
        """The request, with a limit on its answer if a ceiling applies."""
        if not self._ceilings():
            return request
        return replace(request, max_tokens=request.max_tokens or LONGEST_ANSWER, is_capped=True)

    async def reserve(self, model: str, request: ModelRequest, spent: int) -> Reservation:
        """Reserve what the call may cost; `spent` is what the run has cost so far. If only calls in progress
        elsewhere stand in the way, wait for them: most of them cost less than they might.

        Raises:
            BudgetExceeded: a ceiling could be exceeded; nothing is reserved.
            NotConfigured: the model's price is unknown.
        """
        ceilings = self._ceilings()
        if not ceilings:
            return Reservation()
        most = self._most(model, request)
        shared: dict[str, Ceiling] = {}
        for ceiling in ceilings:
            if ceiling.scope:
                shared[ceiling.scope] = ceiling
            elif spent + self._lost + most > ceiling.nano_usd:
                raise _exceeded(ceiling, most)
        if not (shared and most):
            return Reservation(most)
        while True:
            if await self._database.write(lambda connection: self._set_aside(connection, shared, most)):
                return Reservation(most, tuple(shared))
            await anyio.sleep(_AGAIN)

    async def settle(self, reservation: Reservation, nano_usd: int, lost: int = 0) -> None:
        """Replace a call's reservation by its actual cost. Each attempt without an answer may have cost the same
        again."""
        unknown = lost * reservation.nano_usd
        self._lost += unknown

        def work(connection: Connection) -> None:
            for scope in reservation.scopes:
                spending.settle(connection, scope, self._claim, nano_usd + unknown)

        if not reservation.scopes:
            return
        try:
            await self._database.write(work)
        except StoreError as exc:
            # The answer matters more: a reservation that stays counts as spent.
            logger.warning("a reservation was not settled: %s", exc.message)

    def _set_aside(self, connection: Connection, ceilings: Mapping[str, Ceiling], most: int) -> bool:
        """False, with nothing reserved, as long as other calls may still leave enough."""
        has_room = True
        for scope, ceiling in ceilings.items():
            spending.settle_lost(connection, scope, self._claim)
            spent, reserved = spending.standing(connection, scope)
            if spent + most > ceiling.nano_usd:
                raise _exceeded(ceiling, most)
            has_room = has_room and spent + reserved + most <= ceiling.nano_usd
        for scope in ceilings if has_room else ():
            spending.reserve(connection, scope, self._claim, most)
        return has_room

    def _ceilings(self) -> list[Ceiling]:
        """The ceilings, smallest scope first: that is the one to name when several are exhausted."""
        settings = self._settings
        if not any((settings.max_cost_usd, settings.run_budget, settings.suite_budget, settings.day_budget)):
            return []
        whole = {"max_cost_usd": settings.max_cost_usd}
        found = [
            _ceiling("run", None, run_budget=settings.run_budget, **({} if self._suite_run_id else whole))
        ]
        if self._suite_run_id:
            scope = f"suite run {self._suite_run_id}"
            found.append(_ceiling("suite run", scope, suite_budget=settings.suite_budget, **whole))
        found.append(_ceiling("day", f"day {self._clock():%Y-%m-%d}", day_budget=settings.day_budget))
        return [ceiling for ceiling in found if ceiling]

    def _most(self, model: str, request: ModelRequest) -> int:
        usage = Usage(input=_most_input(request), output=request.max_tokens or LONGEST_ANSWER)
        nano = self._prices.nano(model, usage)
        if nano is None:
            raise NotConfigured(
                f"A budget is set, but the price of {model} is unknown.",
                hint=f"Set its price in {PREFIX}PRICES, or remove the budget.",
            )
        return nano


def _ceiling(of: str, scope: str | None, **settings: float | None) -> Ceiling | None:
    """The lowest of the limits that are set, in dollars."""
    given = [(dollars, name) for name, dollars in settings.items() if dollars is not None]
    if not given:
        return None
    dollars, name = min(given)
    return Ceiling(of, f"{PREFIX}{name.upper()}", round(dollars * NANO), scope)


def _exceeded(ceiling: Ceiling, most: int) -> BudgetExceeded:
    return BudgetExceeded(
        f"The budget of this {ceiling.of}, ${ceiling.nano_usd / NANO:g}, is used up: "
        f"the next call may cost ${most / NANO:.4f}, which is more than is left.",
        scope=ceiling.of,
        hint=f"Raise {ceiling.setting}, or run less.",
    )


def _most_input(request: ModelRequest) -> int:
    """An upper bound on the tokens of a request, from its size in bytes."""
    texts = [request.system, *(_text(message) for message in request.messages)]
    texts += [json.dumps([tool.name, tool.description, tool.parameters]) for tool in request.tools]
    texts.append(json.dumps(request.schema))
    return sum(len(text.encode("utf-8", "replace")) + _AROUND for text in texts)


def _text(message: Message) -> str:
    calls = [[call.id, call.name, call.args, call.raw] for call in message.tool_calls]
    return message.text + json.dumps([calls, message.tool_call_id, message.native], ensure_ascii=False)
