"""Tokens to money: exact, per call, and never a silent zero."""

from __future__ import annotations

import pytest

from mcp_agent_eval.engine.limits.billing import NANO, Prices
from mcp_agent_eval.engine.llm.messages import Usage
from mcp_agent_eval.settings import Price

USAGE = Usage(input=1_000_000, output=100_000)


def test_the_offline_model_is_free() -> None:
    assert Prices({}).nano("offline", USAGE) == 0


def test_an_agent_elsewhere_is_paid_for_by_others_unless_the_user_has_a_price_for_it() -> None:
    assert Prices({}).nano("endpoint:agent.example.com:8443", USAGE) == 0
    own = Prices({"endpoint:agent.example.com:8443": Price(input=1, output=0)})
    assert own.nano("endpoint:agent.example.com:8443", USAGE) == NANO


def test_a_published_price_is_found_by_provider_and_name() -> None:
    assert Prices({}).nano("openai:gpt-4.1", Usage(input=1000, output=100)) == 2_800_000


def test_cached_tokens_cost_less() -> None:
    plain = Prices({}).nano("anthropic:claude-haiku-4-5", Usage(input=10_000, output=0))
    cached = Prices({}).nano("anthropic:claude-haiku-4-5", Usage(input=10_000, output=0, cache_read=9_000))
    assert plain is not None
    assert cached is not None
    assert cached < plain


@pytest.mark.parametrize(
    "model", ["openai:llama3.2:3b", "openai:agent-x", "anthropic:nothing", "nobody:gpt-4.1"]
)
def test_an_unknown_price_is_unknown_also_the_second_time(model: str) -> None:
    prices = Prices({})
    assert prices.nano(model, USAGE) is None
    assert prices.nano(model, USAGE) is None


@pytest.mark.parametrize("key", ["openai:mine", "mine"])
def test_the_users_own_price_comes_first(key: str) -> None:
    prices = Prices({key: Price(input=2, output=10)})
    assert prices.nano("openai:mine", USAGE) == 3 * NANO


def test_a_fraction_of_a_cent_is_kept_exactly() -> None:
    prices = Prices({"mine": Price(input=0.15, output=0.6)})
    assert prices.nano("openai:mine", Usage(input=7, output=3)) == 2850
