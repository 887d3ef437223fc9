"""`{{Name}}` in a prompt or a greeting, filled as the contract specifies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_SLOT = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[\w+/-]+)?)\s*\}\}")
_CLOCKED = "CurrentDateTime."


def fill(text: str, variables: Mapping[str, str | None], at: datetime) -> str:
    """The text with its variables filled in; one without a value becomes empty."""
    values = _built_in(at) | dict(variables)
    return _SLOT.sub(lambda slot: _value(slot[1], values, at), text)


def unfilled(text: str, variables: Mapping[str, str | None]) -> list[str]:
    """The variables in a text that have no value, in order of appearance."""
    known = _built_in(datetime.now(UTC)).keys() | variables.keys()
    names = [name for name in _SLOT.findall(text) if name not in known and not name.startswith(_CLOCKED)]
    return list(dict.fromkeys(names))


def _value(name: str, values: Mapping[str, str | None], at: datetime) -> str:
    if name.startswith(_CLOCKED):
        return _clock(at, name.removeprefix(_CLOCKED))
    return values.get(name) or ""


def _built_in(at: datetime) -> dict[str, str | None]:
    return {
        "CurrentDate": f"{at:%Y-%m-%d}",
        "CurrentTime": f"{at:%H:%M}",
        "CurrentDateTime": f"{at:%Y-%m-%d %H:%M}",
        "CallDirection": "inbound",
        "CallerPhone": "",
        "Timezone": "UTC",
    }


def _clock(at: datetime, zone: str) -> str:
    try:
        return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    except (KeyError, ValueError, OSError):
        return ""
