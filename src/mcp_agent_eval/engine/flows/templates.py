"""`{{node_id.argument}}` and `{{metadata.key}}` in what a flow says, instructs and sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast

from mcp_agent_eval.engine.flows.paths import as_text

METADATA = "metadata"
_SLOT = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_OTHERS = ("CurrentDateTime.", "secret.")

Scopes = Mapping[str, Mapping[str, object]]
"""Values by the parts before and after the last dot of a slot."""


def fill_slots(text: str, scopes: Scopes, others: Callable[[str], str] = str) -> str:
    """The text with its slots filled; one without a value becomes empty.

    A slot that is not a flow's, such as `{{Name}}`, is passed to `others` unchanged.
    """
    return _SLOT.sub(lambda slot: _filled(slot, scopes, others), text)


def references(value: object) -> list[str]:
    """The part before the dot of every slot in a value, at any depth."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, str):
            found += [slot[1].rpartition(".")[0] for slot in _SLOT.finditer(item) if _is_ours(slot[1])]
        elif isinstance(item, dict):
            waiting += cast(dict[str, object], item).values()
        elif isinstance(item, list):
            waiting += cast(list[object], item)
    return found


def _filled(slot: re.Match[str], scopes: Scopes, others: Callable[[str], str]) -> str:
    if not _is_ours(slot[1]):
        return others(slot[0])
    scope, _, key = slot[1].rpartition(".")
    value = scopes.get(scope, {}).get(key)
    # What a caller said must not become another slot, such as one that names a secret.
    return "" if value is None else as_text(value).replace("{", " {")


def _is_ours(name: str) -> bool:
    return "." in name and not name.startswith(_OTHERS)
