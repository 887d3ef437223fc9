"""Reads overrides of the agent's fields from command line arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path as File
from typing import Any, cast

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.packs.files import Problem
from mcp_agent_eval.lab.packs.json_text import read_json
from mcp_agent_eval.lab.packs.located import Fault, Unreadable
from mcp_agent_eval.lab.packs.yaml_reading import read_yaml
from mcp_agent_eval.types import Json

_INLINE = "--override"
_FIELD = re.compile(r"(\w+)=(.*)", re.DOTALL)


def read_overrides(given: Iterable[str]) -> Json:
    """Merge all overrides, later ones over earlier ones. Each is `FIELD=VALUE`, `FIELD=@FILE` for the text of a
    file, a JSON object, or the name of a YAML or JSON file with a mapping.

    Raises:
        InvalidInput: a file cannot be read or has other content; names every line that is wrong.
    """
    fields: Json = {}
    for one in given:
        fields.update(_fields(one))
    return fields


def _fields(given: str) -> Json:
    if given.lstrip().startswith("{"):
        return _mapping(_INLINE, given)
    if field := _FIELD.fullmatch(given):
        return {field[1]: _value(field[2])}
    return _mapping(given, _text_of(given))


def _value(written: str) -> Any:
    """Parse JSON, such as numbers and lists; everything else is text."""
    if written.startswith("@"):
        return _text_of(written[1:])
    try:
        whole, faults = read_json(written)
    except Unreadable:
        return written
    _refuse(_INLINE, faults)
    return whole.value


def _text_of(file: str) -> str:
    try:
        return File(file).read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise InvalidInput(
            f"The overrides {file} cannot be read: {exc.strerror}.",
            hint="Give FIELD=VALUE, FIELD=@FILE, or a YAML or JSON file with fields of the agent.",
        ) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"The overrides {file} are not UTF-8.") from None


def _mapping(name: str, text: str) -> Json:
    read = read_json if text.lstrip().startswith("{") else read_yaml
    try:
        whole, faults = read(text)
    except Unreadable as exc:
        faults, whole = [exc.fault], None
    _refuse(name, faults)
    value = whole.value if whole else None
    if not isinstance(value, dict):
        raise InvalidInput(f"{name}: overrides must be a mapping of the agent's fields.")
    return cast(Json, value)


def _refuse(name: str, faults: Sequence[Fault]) -> None:
    if faults:
        raise InvalidInput("\n".join(str(Problem(name, *fault)) for fault in faults))
