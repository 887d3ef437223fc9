"""A schema with what is built from it once: its validator and its resolved references."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mcp_agent_eval.engine.matching.schemas import Uncheckable, validator_of


class CannotMock(ValueError):
    """No value was found for a schema. The message says where the search got stuck."""


class CompiledSchema:
    """A schema with its validator and its references."""

    def __init__(self, text: str) -> None:
        from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

        try:
            self.validator = validator_of(text)
        except Uncheckable as exc:
            raise CannotMock(str(exc)) from None
        self.schema = self.validator.schema
        self._resolver = EMPTY_REGISTRY.resolver_with_root(DRAFT202012.create_resource(self.schema))
        self._resolved: dict[str, Any] = {}

    def is_valid(self, value: object, part: Any) -> bool:
        """Whether a value is valid under a part of the schema."""
        return self.validator.evolve(schema=part).is_valid(value)

    def resolve(self, reference: str) -> Any:
        """The schema that a `$ref` refers to, resolved from the root."""
        if reference not in self._resolved:
            contents = self._resolver.lookup(reference).contents
            if not isinstance(contents, dict | bool):
                raise CannotMock(f"the reference {reference!r} leads to something that is not a schema")
            self._resolved[reference] = contents
        return self._resolved[reference]


@lru_cache(maxsize=256)
def compiled_schema(text: str) -> CompiledSchema:
    """Cached, like its validator."""
    return CompiledSchema(text)
