"""Fields of the agent to replace, as JSON or in a file, for the command line."""

from __future__ import annotations

from pathlib import Path as File
from typing import cast

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.packs.files import Problem
from mcp_agent_eval.lab.packs.json_text import read_json
from mcp_agent_eval.lab.packs.located import Unreadable
from mcp_agent_eval.lab.packs.yaml_reading import read_yaml
from mcp_agent_eval.types import Json

_INLINE = "--overrides"


def read_overrides(given: str) -> Json:
    """The overrides in a JSON object, or in the YAML or JSON file of that name.

    Raises:
        InvalidInput: there is no such file, or it holds something else; names every line that is wrong.
    """
    if given.lstrip().startswith("{"):
        return _mapping(_INLINE, given)
    return _mapping(given, _text_of(given))


def _text_of(file: str) -> str:
    try:
        return File(file).read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise InvalidInput(
            f"The overrides {file} cannot be read: {exc.strerror}.",
            hint='Give a file, or JSON such as \'{"model": "openai:NAME"}\'.',
        ) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"The overrides {file} are not UTF-8.") from None


def _mapping(name: str, text: str) -> Json:
    read = read_json if text.lstrip().startswith("{") else read_yaml
    try:
        whole, faults = read(text)
    except Unreadable as exc:
        faults, whole = [exc.fault], None
    if faults:
        raise InvalidInput("\n".join(str(Problem(name, *fault)) for fault in faults))
    value = whole.value if whole else None
    if not isinstance(value, dict):
        raise InvalidInput(f"{name}: overrides are a mapping of fields of the agent.")
    return cast(Json, value)
