"""What every noun shares: frozen, strict about unknown fields, stamped with an id and its times."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from mcp_agent_eval.validation import quoted

LOCAL_COMPANY = "00000000-0000-4000-8000-000000000000"
"""The contract puts a company on every row; the embedded engine has only this one."""

Kind = Literal["agent", "persona", "tool", "case", "suite"]
"""The nouns that users create, change and delete."""

Json = dict[str, Any]


def not_blank(text: str) -> str:
    """The text unchanged, or a ValueError when it is blank."""
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Text = Annotated[str, AfterValidator(not_blank)]
LONGEST_NAME, LONGEST_MODEL = 400, 500
"""Names and the lanes that runs need are indexed, and PostgreSQL allows at most 2,704 bytes per index entry. Case
folding can turn one character into six bytes."""


def _is_name(name: str, info: ValidationInfo) -> str:
    if info.context != TRUSTED and len(name) > LONGEST_NAME:
        raise ValueError(f"must have at most {LONGEST_NAME} characters")
    return not_blank(name)


Name = Annotated[str, AfterValidator(_is_name), Field(json_schema_extra={"maxLength": LONGEST_NAME})]
"""The name that a user gives to something."""


def _is_model(name: str, info: ValidationInfo) -> str:
    if info.context != TRUSTED and (not name.isprintable() or len(name.encode()) > LONGEST_MODEL):
        raise ValueError(f"must be one line of at most {LONGEST_MODEL} characters (UTF-8 bytes)")
    return "offline" if name.strip().lower() == "offline" else name.strip()


ModelName = Annotated[str, AfterValidator(_is_model), Field(json_schema_extra={"maxLength": LONGEST_MODEL})]
"""A model as `provider:name`, or `offline`."""

Moment = Annotated[datetime, Field(strict=False)]
"""A point in time; in JSON, an ISO 8601 string."""
Id = Annotated[str, StringConstraints(to_lower=True)]
"""The id of something else; upper case is accepted."""
Language = Literal["en", "he"]

Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000)]

TRUSTED = "trusted"
"""The validation context for stored data, which was checked before: schemas are not checked again."""

T = TypeVar("T")


def now() -> datetime:
    """The current time in UTC, to the microsecond."""
    return datetime.now(UTC)


class Model(BaseModel):
    """Frozen; an unknown field is an error, and so is a string or a boolean in place of a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Part(Model):
    """A value that users write inside another one. An unknown field is reported together with the known ones."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_other_fields(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict) and info.context != TRUSTED:
            given = cast(Json, value)
            if unknown := sorted(given.keys() - cls.model_fields.keys()):
                fields = ", ".join(cls.model_fields)
                lacking = cls.lacking(given)
                raise ValueError(
                    f"there is no field {', '.join(map(quoted, unknown))}{lacking}. The fields are: {fields}"
                )
        return cast(object, value)

    @classmethod
    def lacking(cls, given: Json) -> str:
        """An addition to the error for unknown fields: a required field is missing, so it may be what was meant."""
        return ""


def from_text(value: object) -> object:
    """Parse a list or object from JSON text, which is how some hosts send them; return anything else unchanged."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


class Stamped(Model):
    """What the store adds to a draft."""

    id: str
    company_id: str = LOCAL_COMPANY
    created_at: Moment = Field(default_factory=now)
    updated_at: Moment = Field(default_factory=now)
    deleted_at: Moment | None = None


class Page(Model, Generic[T]):
    """One page of a list, in the contract's shape once it is rendered."""

    data: list[T]
    total: int
    limit: int
    offset: int

    @property
    def has_more(self) -> bool:
        """Whether there is a later page."""
        return self.offset + len(self.data) < self.total


def is_json_schema(schema: Json, info: ValidationInfo) -> Json:
    """The schema, if the 2020-12 meta-schema accepts it; otherwise a ValueError that says where it fails."""
    if info.context == TRUSTED:
        return schema
    if problem := _schema_problem(json.dumps(schema, sort_keys=True)):
        raise ValueError(problem)
    return schema


@lru_cache(maxsize=2048)
def _schema_problem(text: str) -> str | None:
    """What is wrong with a schema. Cached, since a check takes milliseconds and the same schemas recur."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(json.loads(text))
    except SchemaError as exc:
        where = "/".join(map(str, exc.absolute_path)) or "its top level"
        return f"not a valid JSON Schema at {where}: {exc.message}"
    return None


JsonSchema = Annotated[Json, AfterValidator(is_json_schema)]
