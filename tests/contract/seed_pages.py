"""The hosted API's pages, read as what they promise: sample bodies, and fields with their types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from tests.support import shared_path

_NAME = re.compile(r"[a-z][a-z_]*")
_TYPE = re.compile(r"(string(<[a-z-]+>)?|integer|number|boolean|object|enum<string>)(\[\])?( \| null)?")


@dataclass(frozen=True)
class Field:
    """One line of a page's list of fields."""

    name: str
    type: str
    options: tuple[str, ...] = ()

    def fits(self, value: Any) -> bool:
        """Whether a value is of the documented type."""
        bare, _, null = self.type.partition(" | ")
        if value is None:
            return bool(null)
        if bare.endswith("[]"):
            return isinstance(value, list) and all(_is_a(bare.removesuffix("[]"), item) for item in value)
        return _is_a(bare, value) and (not self.options or value in self.options)


@dataclass(frozen=True)
class Page:
    """What one page shows: the sample of a request and a worked example, where it has them, the sample answer
    and its fields."""

    request: dict[str, Any]
    worked: dict[str, Any]
    answer: dict[str, Any]
    fields: tuple[Field, ...]


def read_page(name: str) -> Page:
    """One of the pages beside the checkout."""
    text = shared_path(f"seeds/{name}").read_text()
    head, _, prose = text.partition("Documentation Index")
    samples, worked = list(_samples(head)), list(_samples(prose))
    listed = text.rpartition("\nResponse\n")[2].split("\n")
    return Page(
        request=samples[0] if len(samples) > 1 else {},
        worked=worked[0] if worked else {},
        answer=samples[-1],
        fields=tuple(_fields(listed)),
    )


def _samples(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that begin at the left margin."""
    decoder, at = json.JSONDecoder(), text.find("\n{\n")
    while at >= 0:
        value, end = decoder.raw_decode(text, at + 1)
        yield value
        at = text.find("\n{\n", end)


def _fields(lines: list[str]) -> Iterator[Field]:
    for at, (name, type_) in enumerate(pairwise(lines)):
        if _NAME.fullmatch(name) and _TYPE.fullmatch(type_):
            yield Field(name, type_, _options(lines[at + 2 :]) if type_.startswith("enum") else ())


def _options(lines: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for line in lines[lines.index("Available options:") + 1 :]:
        found.append(line.removesuffix(","))
        if not line.endswith(","):
            break
    return tuple(found)


def _is_a(type_: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    checks = {
        "string": lambda: isinstance(value, str),
        "enum<string>": lambda: isinstance(value, str),
        "string<uuid>": lambda: bool(UUID(value)),
        "string<date-time>": lambda: datetime.fromisoformat(value).tzinfo is not None,
        "integer": lambda: number and isinstance(value, int),
        "number": lambda: number,
        "boolean": lambda: isinstance(value, bool),
        "object": lambda: isinstance(value, dict),
    }
    try:
        return checks[type_]()
    except (ValueError, AttributeError):
        return False


def differences(sample: Any, value: Any, nullable: frozenset[str], where: str = "") -> Iterator[str]:
    """Where a value is not shaped like a page's sample. Names in `nullable` may be null."""
    if value is None and where.rpartition(".")[2] in nullable:
        return
    if isinstance(sample, dict):
        yield from _missing_or_different(sample, value, nullable, where)
    elif isinstance(sample, list):
        if not isinstance(value, list) or (sample and not value):
            yield f"{where}: no list with something in it, but {value!r}"
        elif sample:
            for item in value:
                yield from differences(sample[0], item, nullable, f"{where}[]")
    elif not _is_a(_type_of(sample), value):
        yield f"{where}: {value!r} is no {_type_of(sample)}"


def _missing_or_different(
    sample: dict[str, Any], value: Any, nullable: frozenset[str], where: str
) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: no object, but {value!r}"
        return
    for name, inner in sample.items():
        if name not in value:
            yield f"{where}.{name}: missing"
        else:
            yield from differences(inner, value[name], nullable, f"{where}.{name}")


def _type_of(sample: object) -> str:
    if isinstance(sample, bool):
        return "boolean"
    if isinstance(sample, int | float):
        return "number"
    for type_ in ("string<uuid>", "string<date-time>"):
        if _is_a(type_, sample):
            return type_
    return "string"
