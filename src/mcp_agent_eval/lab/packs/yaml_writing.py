"""JSON values as YAML that people like to read, and that reads back to the same values to the last character.

Texts of several lines become block scalars; what an editor or another reader of YAML could mistake, control
characters and the rarer line breaks among it, becomes escapes in double quotes.
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
    """A value as YAML, ending in a line break; between the fields of a mapping stands an empty line."""
    parts = list(cast(dict[str, object], value).items()) if isinstance(value, dict) else []
    return "\n".join(_dumped({name: part}) for name, part in parts) if parts else _dumped(cast(object, value))


def _dumped(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """A value that stands in two places is written twice."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists stand deeper than the field that they belong to."""
        super().increase_indent(flow, False)

    def analyze_scalar(self, scalar: str) -> ScalarAnalysis:
        """Tabs, and spaces before the end of a line, are safe in a block, which PyYAML is shy of."""
        analysis = super().analyze_scalar(scalar)
        if _block_holds(scalar):
            analysis.allow_block = True
        return analysis


def _style(text: str) -> str | None:
    """A block for several lines, a folded one for a long line, quotes with escapes where there is doubt."""
    if _block_holds(text):
        return "|"
    if "\n" in text or (text and not _PLAIN.fullmatch(text)):
        return '"'
    return ">" if len(text) > _LONG and text.split() == text.split(" ") else None


def _block_holds(text: str) -> bool:
    """Whether a block keeps the text, for every reader of YAML and through an editor: neither a tab in its
    indentation nor empty lines at its end would be safe."""
    is_plain = "\n" in text and _PLAIN.fullmatch(text) is not None
    return is_plain and text.lstrip(" \n")[:1] not in ("", "\t") and not text.endswith("\n\n")


def _represent_text(dumper: _Dumper, text: str) -> ScalarNode:
    return cast(Any, dumper).represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


_Dumper.add_representer(str, _represent_text)
# Anything that looks like a number to some reader of YAML is put in quotes.
cast(Any, _Dumper).add_implicit_resolver("tag:yaml.org,2002:number", _NUMBER, list("-+.0123456789"))
