"""Ceilings on what runs may cost, kept by reserving the most that a call can cost before it is made.

A call is bound from above without a tokenizer: no token is shorter than a byte, and no answer longer than the
limit that is sent with the request. What a call really cost then takes the place of its reservation.
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
    """What a call may cost at most, and the scopes in which it is set aside."""

    nano_usd: int = 0
    scopes: tuple[str, ...] = ()


_AGAIN = 0.25
"""Seconds between two looks at whether calls of others have left enough."""


class Budget:
    """The ceilings that hold for one claimed run."""

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
        """The request, with a limit to its answer where a ceiling has to hold."""
        if not self._ceilings():
            return request
        return replace(request, max_tokens=request.max_tokens or LONGEST_ANSWER, is_capped=True)

    async def reserve(self, model: str, request: ModelRequest, spent: int) -> Reservation:
        """Set aside what the call may cost; `spent` is what the run has cost so far. Where only calls that others are
        making stand in the way, they are waited for: most of them cost less than they might.

        Raises:
            BudgetExceeded: a ceiling could be passed; nothing is set aside.
            NotConfigured: nobody knows what the model costs.
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
        """Put what a call has cost in the place of what was set aside for it. Attempts of which nothing came may have
        cost the same again, each."""
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
            # The answer is worth more: what stays set aside counts as spent.
            logger.warning("a reservation was not settled: %s", exc.message)

    def _set_aside(self, connection: Connection, ceilings: Mapping[str, Ceiling], most: int) -> bool:
        """False, and nothing set aside, as long as others may leave enough."""
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
        """The smallest scope first: it is the one to name when several are used up."""
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
                f"There is a budget, and nobody knows what {model} costs.",
                hint=f"Set its price in {PREFIX}PRICES, or take the budget away.",
            )
        return nano


def _ceiling(of: str, scope: str | None, **settings: float | None) -> Ceiling | None:
    """The lowest of those that are set, in dollars."""
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
    """No request of so many bytes has more tokens."""
    texts = [request.system, *(_text(message) for message in request.messages)]
    texts += [json.dumps([tool.name, tool.description, tool.parameters]) for tool in request.tools]
    texts.append(json.dumps(request.schema))
    return sum(len(text.encode("utf-8", "replace")) + _AROUND for text in texts)


def _text(message: Message) -> str:
    calls = [[call.id, call.name, call.args, call.raw] for call in message.tool_calls]
    return message.text + json.dumps([calls, message.tool_call_id, message.native], ensure_ascii=False)
