"""Converts tokens to money, exactly for each call, in nano-dollars. The store rounds up to whole cents per role and
run.

An unknown price is None and stays None: it never silently becomes zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from mcp_agent_eval.engine.llm.messages import Usage
from mcp_agent_eval.engine.llm.names import ELSEWHERE, OFFLINE, split
from mcp_agent_eval.settings import Price

NANO = 1_000_000_000
NANO_PER_CENT = NANO // 100
_FREE = (OFFLINE, ELSEWHERE)
"""Providers that cost us nothing: rules in this process, and agents that someone else pays for."""

_PROTOCOL = "-responses"
"""Suffixes that pydantic-ai adds to a provider's name for its second protocol."""


class Prices:
    """Prices calls. `table` holds the user's own prices by model; all others come from genai-prices, which ships
    its data and uses no network."""

    def __init__(self, table: Mapping[str, Price]) -> None:
        self._table = table
        self._unknown: set[str] = set()

    def nano(self, model: str, usage: Usage) -> int | None:
        """The cost of one call to `provider:name` in nano-dollars, or None when its price is unknown.

        Long-context tiers apply per request, so call this for each call and never for a sum.
        """
        provider, name = split(model)
        own = self._table.get(model) or self._table.get(name)
        if own is not None:
            return _by_own_table(own, usage)
        if model.partition(":")[0] in _FREE:
            return 0
        return None if model in self._unknown else self._published(model, provider, name, usage)

    def _published(self, model: str, provider: str, name: str, usage: Usage) -> int | None:
        # Loading the price data takes a sixth of a second, so only calls that cost money wait for it.
        from genai_prices import Usage as Tokens
        from genai_prices import calc_price

        tokens = Tokens(
            input_tokens=usage.input,
            output_tokens=usage.output,
            cache_read_tokens=usage.cache_read or None,
            cache_write_tokens=usage.cache_write or None,
        )
        try:
            price = calc_price(tokens, name, provider_id=provider.removesuffix(_PROTOCOL))
        except (LookupError, ValueError):
            self._unknown.add(model)
            return None
        return int(price.total_price * NANO)


def _by_own_table(own: Price, usage: Usage) -> int:
    return int((Decimal(str(own.input)) * usage.input + Decimal(str(own.output)) * usage.output) * 1000)
