"""What the engine's parts share: one database, one set of models and of the lanes to them, one price list, one
bell, one way to fire tools, one memory of where traced runs were started, one word that it is time to leave."""

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
    """Made once when the engine opens, and handed down."""

    settings: Settings
    database: Database
    lanes: Lanes
    models: Models
    prices: Prices
    signals: Signals
    webhooks: Webhooks
    origins: Origins = field(default_factory=Origins)
    leaving: anyio.Event = field(default_factory=anyio.Event)
