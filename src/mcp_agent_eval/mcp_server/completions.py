"""Completes what a user types into a prompt's argument or a resource's address: names and id prefixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from mcp.server.mcpserver import MCPServer
from mcp.types import Completion, PromptReference, ResourceTemplateReference

from mcp_agent_eval.backend.base import Backend, Reference
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.mcp_server.app import App
from mcp_agent_eval.types import Kind, RunFilter

_MOST = 100
"""Most values that the protocol allows in one answer."""
_PAGE = 100
_MOST_PAGES = 5
_LONGEST_NAME = 80
_SHORTEST_PREFIX = 4

Entry = tuple[str, str]
"""An id, and the name if there is one."""
Ref = PromptReference | ResourceTemplateReference


class Argument(Protocol):
    """What is being typed: the argument's name and its value so far."""

    name: str
    value: str


def add_completions(server: MCPServer[App], app: App) -> None:
    """Register completion with a server."""
    server.completion()(completer(app))


def completer(app: App) -> Callable[[Ref, Argument, object], Awaitable[Completion | None]]:
    """Completes arguments that name something; offers nothing for any other, or without a backend."""

    async def complete(ref: Ref, argument: Argument, _: object) -> Completion | None:
        entries = _ENTRIES.get(argument.name.removesuffix("_id"))
        if entries is None:
            return None
        try:
            found = await entries((await app.connection()).backend, argument.value)
        except EvalError:
            return None
        # An address takes only ids: a name would have to be escaped.
        values = matching(found, argument.value, by_name=isinstance(ref, PromptReference))
        return Completion(values=values[:_MOST], total=len(values), has_more=len(values) > _MOST)

    return complete


def matching(entries: Sequence[Entry], typed: str, *, by_name: bool) -> list[str]:
    """What to offer for the typed text: first entries that begin with it, then names that contain it. A name is
    offered if it is unique and can be typed, else the id."""
    key = typed.strip().casefold()
    named = Counter(name.casefold() for _, name in entries)
    begins, holds = list[str](), list[str]()
    for id, name in entries:
        folded = name.casefold()
        usable = by_name and name.isprintable() and 0 < len(name) <= _LONGEST_NAME and named[folded] == 1
        value = name if usable and not (key and id.startswith(key)) else id
        if id.startswith(key) or folded.startswith(key):
            begins.append(value)
        elif key in folded:
            holds.append(value)
    return begins + holds


def _nouns(kind: Kind) -> Callable[[Backend, str], Awaitable[list[Entry]]]:
    async def entries(backend: Backend, _: str) -> list[Entry]:
        found: list[Entry] = []
        for number in range(_MOST_PAGES):
            page = await backend.list(kind, limit=_PAGE, offset=number * _PAGE)
            found += [(noun.id, noun.name) for noun in page.data]
            if not page.has_more:
                break
        return found

    return entries


async def _runs(backend: Backend, typed: str) -> list[Entry]:
    newest = (await backend.runs(RunFilter(limit=_PAGE))).data
    return await _or_older(backend, "run", typed, [run.id for run in newest])


async def _suite_runs(backend: Backend, typed: str) -> list[Entry]:
    newest = (await backend.runs(RunFilter(limit=_PAGE))).data
    ids = dict.fromkeys(run.suite_run_id for run in newest if run.suite_run_id)
    return await _or_older(backend, "suite_run", typed, ids)


async def _or_older(backend: Backend, kind: Reference, typed: str, newest: Iterable[str]) -> list[Entry]:
    """The newest entries, or, if none of them matches, the one entry of all that does."""
    ids = list(newest)
    if len(typed) >= _SHORTEST_PREFIX and not any(id.startswith(typed.casefold()) for id in ids):
        ids.append(await backend.find(kind, typed))
    return [(id, "") for id in ids]


_ENTRIES = {
    "agent": _nouns("agent"),
    "case": _nouns("case"),
    "suite": _nouns("suite"),
    "run": _runs,
    "suite_run": _suite_runs,
}
