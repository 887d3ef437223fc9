"""A schema with what is built from it once: its validator, and what its references lead to."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


class CannotMock(ValueError):
    """No value was found for a schema. The message says where it got stuck."""


class CompiledSchema:
    """A schema with its validator, which takes two milliseconds to build, and its references."""

    def __init__(self, schema: Any) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as exc:
            raise CannotMock(f"not a valid JSON Schema: {exc.message}") from None
        self.schema = schema
        # Given a registry, jsonschema looks nothing up on the network.
        self.validator: Validator = Draft202012Validator(schema, registry=EMPTY_REGISTRY)
        self._resolver = EMPTY_REGISTRY.resolver_with_root(DRAFT202012.create_resource(schema))
        self._resolved: dict[str, Any] = {}

    def is_valid(self, value: object, part: Any) -> bool:
        """Whether a value is valid under a part of the schema."""
        return cast(Any, self.validator).evolve(schema=part).is_valid(value)

    def resolve(self, reference: str) -> Any:
        """What a `$ref` refers to, from the root's point of view."""
        if reference not in self._resolved:
            contents = self._resolver.lookup(reference).contents
            if not isinstance(contents, dict | bool):
                raise CannotMock(f"the reference {reference!r} leads to something that is not a schema")
            self._resolved[reference] = contents
        return self._resolved[reference]


@lru_cache(maxsize=256)
def compiled_schema(text: str) -> CompiledSchema:
    return CompiledSchema(json.loads(text))
