"""Measures how runs cover a flow: its nodes and transitions, how often, and what was never reached.

Pure: it reads the flow's config and the events in the turns, and knows neither a store nor an engine. Events of
nodes missing from the config, for example because a run overrode it, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mcp_agent_eval.types import Json, Turn
from mcp_agent_eval.types.flow import GLOBAL_PREFIX, TERMINALS, Wire, raw_nodes, wires

_LONGEST_LABEL = 40
_PLAIN = frozenset(" .,:!?/()+=_-'…")


@dataclass(frozen=True, slots=True)
class NodeVisits:
    """A node, how often it was entered, and in how many runs."""

    id: str
    name: str
    type: str
    visits: int
    runs: int


@dataclass(frozen=True, slots=True)
class TransitionUse:
    """A transition between nodes, and how often it was taken. Jumps are listed if they were taken."""

    source: str
    id: str
    label: str
    target: str
    taken: int

    @property
    def is_jump(self) -> bool:
        """Whether it is a jump to a global node."""
        return self.id.startswith(GLOBAL_PREFIX)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Nodes and transitions in the order of the config; `runs` is the number of runs examined."""

    runs: int
    nodes: tuple[NodeVisits, ...]
    transitions: tuple[TransitionUse, ...]

    @property
    def never_visited(self) -> list[str]:
        """The ids of nodes that no run entered."""
        return [node.id for node in self.nodes if not node.visits]

    @property
    def never_taken(self) -> list[TransitionUse]:
        """The transitions that no run took."""
        return [transition for transition in self.transitions if not transition.taken]

    def as_dict(self) -> Json:
        """The figures: how much was covered, what was not, and how often each node was entered."""
        visited = len(self.nodes) - len(self.never_visited)
        taken = len(self.transitions) - len(self.never_taken)
        return {
            "runs": self.runs,
            "nodes": f"{visited} of {len(self.nodes)} visited",
            "transitions": f"{taken} of {len(self.transitions)} taken",
            "visits": {node.id: node.visits for node in self.nodes if node.visits},
            "never_visited": self.never_visited,
            "never_taken": [f"{one.source} -> {one.target} ({one.id})" for one in self.never_taken],
        }


@dataclass(frozen=True, slots=True)
class _Step:
    """A node that was entered, with the transition that led there if known."""

    node: str
    source: str | None
    via: str | None


def coverage(flow_config: Json, runs: Iterable[Sequence[Turn]]) -> Coverage:
    """How the turns of some runs cover a flow. An unchecked config is read as far as possible."""
    flow = {node["id"]: node for node in raw_nodes(flow_config)}
    walks = [list(_steps(flow, turns)) for turns in runs]
    visits = Counter(step.node for walk in walks for step in walk)
    in_runs = Counter(node for walk in walks for node in {step.node for step in walk})
    taken = Counter((step.source, step.via) for walk in walks for step in walk if step.via)
    nodes = [_visits(node, visits[id], in_runs[id]) for id, node in flow.items()]
    return Coverage(len(walks), tuple(nodes), tuple(_uses(flow, taken)))


def _visits(node: Json, visits: int, runs: int) -> NodeVisits:
    return NodeVisits(node["id"], str(node.get("name") or node["id"]), str(node.get("type")), visits, runs)


def _uses(flow: dict[str, Json], taken: Counter[tuple[str | None, str]]) -> Iterator[TransitionUse]:
    for id, node in flow.items():
        for wire in wires(node):
            yield TransitionUse(id, wire.id, wire.label, wire.target, taken[id, wire.id])
    for (source, via), times in taken.items():
        if source and via.startswith(GLOBAL_PREFIX):
            yield TransitionUse(source, via, "", via.removeprefix(GLOBAL_PREFIX), times)


def _steps(flow: dict[str, Json], turns: Sequence[Turn]) -> Iterator[_Step]:
    before: str | None = None
    for event in (turn.flow_event or {} for turn in turns):
        node = event.get("step_id")
        if event.get("type") == "flow_node_entered" and isinstance(node, str) and node in flow:
            yield _Step(node, before, _via(flow[before], node, event) if before else None)
            before = node


def _via(source: Json, node: str, event: Json) -> str | None:
    """The transition by which a node was entered: from the event, or from its reason."""
    named, reason = event.get("via_transition_id"), str(event.get("reason"))
    if isinstance(named, str):
        return named
    if reason.startswith("global jump"):
        return GLOBAL_PREFIX + node
    there = [wire for wire in wires(source) if wire.target == node]
    meant = [wire for wire in there if _is_meant(wire, reason)]
    return next((wire.id for wire in meant + there), None)


def _is_meant(wire: Wire, reason: str) -> bool:
    """The label or id at the end of a reason; `tool error: ` is followed by a message instead."""
    return reason.endswith((f": {wire.id}", f": {wire.label}")) or reason.startswith(f"tool {wire.label}")


# --- As a picture


def mermaid(found: Coverage) -> str:
    """A Mermaid flowchart: visited nodes with their counts, all others with the class `never`."""
    numbers = {node.id: number for number, node in enumerate(found.nodes)}
    drawn = [one for one in found.transitions if one.target in numbers]
    return "\n".join(
        [
            "flowchart TD",
            *(f"  {_box(numbers[node.id], node, found.runs)}" for node in found.nodes),
            *(f"  n{numbers[one.source]} {_arrow(one)} n{numbers[one.target]}" for one in drawn),
            "  classDef visited fill:#d9f2d9,stroke:#2e7d32,color:#000",
            "  classDef never fill:#f5f5f5,stroke:#999,stroke-dasharray:4 3,color:#666",
        ]
    )


def _box(number: int, node: NodeVisits, runs: int) -> str:
    count = f"{node.visits}x in {node.runs} of {_runs(runs)}" if node.visits else "never"
    text = f'"{_safe(node.name)}<br/>{count}"'
    shape = f"([{text}])" if node.type in {"start", *TERMINALS} else f"[{text}]"
    return f"n{number}{shape}:::{'visited' if node.visits else 'never'}"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _arrow(one: TransitionUse) -> str:
    """The arrow: thick for a jump, dotted if never taken."""
    line = "==>" if one.is_jump else "-->" if one.taken else "-.->"
    label = f"{_safe(one.label)} {one.taken}x".strip() if one.taken else _safe(one.label)
    return f'{line}|"{label}"|' if label else line


def _safe(text: str) -> str:
    """A quoted Mermaid text, cut short; characters with a meaning there are written as numeric entities."""
    flat = " ".join(text.split())
    short = flat if len(flat) <= _LONGEST_LABEL else f"{flat[: _LONGEST_LABEL - 1]}…"
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{_number(char)};" for char in short)


def _number(char: str) -> int:
    """A code point that a page can show; lone surrogates cannot be sent in any text."""
    return 0xFFFD if "\ud800" <= char <= "\udfff" else ord(char)
