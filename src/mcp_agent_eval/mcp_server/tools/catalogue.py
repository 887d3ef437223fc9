"""Every tool of the server: its name, its title, and its effect on the world."""

from __future__ import annotations

from mcp.types import ToolAnnotations

from mcp_agent_eval.mcp_server.strict import Handler, StrictTool
from mcp_agent_eval.mcp_server.tools import authoring, reading, running

_READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
_CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)
_CALLS_MODELS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
_STOPS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

_TOOLS: tuple[tuple[str, str, Handler, ToolAnnotations], ...] = (
    ("create_case", "Create a case", authoring.create_case, _ADDS),
    ("run_case", "Run a case", running.run_case, _CALLS_MODELS),
    ("run_suite", "Run a suite", running.run_suite, _CALLS_MODELS),
    ("get_aggregate", "Get an aggregate", running.get_aggregate, _READS),
    ("get_run", "Get a run's result", running.get_run, _READS),
    ("read_transcript", "Read a transcript", reading.read_transcript, _READS),
    ("list_runs", "List runs", running.list_runs, _READS),
    ("cancel_run", "Cancel a run", running.cancel_run, _STOPS),
    ("create_agent", "Create an agent", authoring.create_agent, _ADDS),
    ("create_persona", "Create a persona", authoring.create_persona, _ADDS),
    ("create_suite", "Create a suite", authoring.create_suite, _ADDS),
    ("simulate_flow", "Simulate a flow", authoring.simulate_flow, _READS),
    ("list", "List records", authoring.list_nouns, _READS),
    ("get", "Get a record", authoring.get_noun, _READS),
    ("update", "Update a record", authoring.update_noun, _CHANGES),
    ("delete", "Delete a record", authoring.delete_noun, _CHANGES),
)


def all_tools() -> list[StrictTool]:
    """The tools in the order in which hosts list them: the main path first."""
    return [
        StrictTool.make(name, handler, title=title, annotations=annotations)
        for name, title, handler, annotations in _TOOLS
    ]
