"""Reads a part of a result whole, however often it is cut, as an assistant would: by following what is marked."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

ReadPart = Callable[[str], Awaitable[dict[str, Any]]]
"""From a part to the result that shows it, which may be cut."""

_CUT = re.compile(r"(.*)… \[[\d,]+ more characters?\]", re.DOTALL)
_MORE = re.compile(r"(… )?\[[\d,]+ more\]")


async def whole_part(read: ReadPart, part: str) -> Any:
    """The part, put together from as many results as it takes."""
    shown = await read(f"{part}@0")
    total, unit = shown["of"].split(" ", 1)
    if unit not in ("entry", "entries"):
        return await _text(read, part, _value(shown), unit)
    count = int(total.replace(",", ""))
    entries: list[tuple[Any, Any]] = []
    while len(entries) < count:
        entries += await _more_entries(read, part, len(entries))
    return dict(entries) if isinstance(_value(shown), dict) else [item for _, item in entries]


async def _more_entries(read: ReadPart, part: str, start: int) -> list[tuple[Any, Any]]:
    """Names or numbers with their values, as one result shows them; what is cut in it is read on its own."""
    value = _value(await read(f"{part}@{start}"))
    shown = list(value.items() if isinstance(value, dict) else enumerate(value))
    if _is_mark(shown[-1][1]):
        shown.pop()
    return [
        (name, await whole_part(read, f"{part}/{start + number}") if _is_cut(item) else item)
        for number, (name, item) in enumerate(shown)
    ]


def _value(shown: dict[str, Any]) -> Any:
    return shown["value"] if "value" in shown else shown["untrusted_value"]


def _is_mark(item: Any) -> bool:
    return isinstance(item, str) and bool(_MORE.fullmatch(item))


def _is_cut(item: Any) -> bool:
    if isinstance(item, dict):
        return any(map(_is_cut, item.values()))
    if isinstance(item, list):
        return any(map(_is_cut, item))
    return _is_mark(item) or (isinstance(item, str) and bool(_CUT.fullmatch(item)))


async def _text(read: ReadPart, part: str, value: Any, unit: str) -> Any:
    """A text, or what was shown as its JSON because it did not fit."""
    if not isinstance(value, str) or not (cut := _CUT.fullmatch(value)):
        return value
    text = ""
    while cut:
        text += cut[1]
        value = _value(await read(f"{part}@{len(text)}"))
        cut = _CUT.fullmatch(value)
    return text + value if "JSON" not in unit else json.loads(text + value)
