"""Writes JSON values as readable YAML that reads back to exactly the same values.

Multi-line strings become block scalars; strings that an editor or another YAML reader could mistake, for example
with control characters or rare line breaks, are escaped in double quotes.
"""

from __future__ import annotations

import re
from typing import Any, cast

import yaml
from yaml.emitter import ScalarAnalysis
from yaml.nodes import ScalarNode

_WIDTH = 110
_LONG = 80
_PLAIN = re.compile("[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe]+")
_NUMBER = re.compile(r"[-+.0-9][-+._0-9a-zA-Z:]*\Z")


def write_yaml(value: object) -> str:
    """A value as YAML, ending in a line break, with an empty line between the fields of a mapping."""
    parts = list(cast(dict[str, object], value).items()) if isinstance(value, dict) else []
    return "\n".join(_dumped({name: part}) for name, part in parts) if parts else _dumped(cast(object, value))


def _dumped(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """Write a repeated value twice, without an alias."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below the field that they belong to."""
        super().increase_indent(flow, False)

    def analyze_scalar(self, scalar: str) -> ScalarAnalysis:
        """Allow tabs and trailing spaces in blocks, where they are safe although PyYAML avoids them."""
        analysis = super().analyze_scalar(scalar)
        if _block_holds(scalar):
            analysis.allow_block = True
        return analysis


def _style(text: str) -> str | None:
    """A block for several lines, a folded one for a long line, quotes with escapes in case of doubt."""
    if _block_holds(text):
        return "|"
    if "\n" in text or (text and not _PLAIN.fullmatch(text)):
        return '"'
    return ">" if len(text) > _LONG and text.split() == text.split(" ") else None


def _block_holds(text: str) -> bool:
    """Whether a block preserves the string, for every YAML reader and through an editor: a tab in its indentation
    or empty lines at its end would not be safe."""
    is_plain = "\n" in text and _PLAIN.fullmatch(text) is not None
    return is_plain and text.lstrip(" \n")[:1] not in ("", "\t") and not text.endswith("\n\n")


def _represent_text(dumper: _Dumper, text: str) -> ScalarNode:
    return cast(Any, dumper).represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


_Dumper.add_representer(str, _represent_text)
# Anything that looks like a number to some YAML reader is quoted.
cast(Any, _Dumper).add_implicit_resolver("tag:yaml.org,2002:number", _NUMBER, list("-+.0123456789"))
