"""What the engine's parts share: the database, the models and their lanes, the price list, the bell, the way to
fire tools, the record of where traced runs were started, and the signal to stop."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from mcp_agent_eval.engine.limits.billing import Prices
from mcp_agent_eval.engine.limits.lanes import Lanes
from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.running.signals import Signals
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.tools.webhooks.fire import Webhooks
from mcp_agent_eval.engine.tracing.runs import Origins
from mcp_agent_eval.settings import Settings


@dataclass(frozen=True, slots=True)
class Workshop:
    """Created once when the engine opens, and passed down."""

    settings: Settings
    database: Database
    lanes: Lanes
    models: Models
    prices: Prices
    signals: Signals
    webhooks: Webhooks
    origins: Origins = field(default_factory=Origins)
    leaving: anyio.Event = field(default_factory=anyio.Event)
