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
"""The contract stamps a company on every row; the embedded engine has just this one."""

Kind = Literal["agent", "persona", "tool", "case", "suite"]
"""The nouns that are created, changed and deleted by their users."""

Json = dict[str, Any]


def not_blank(text: str) -> str:
    """The text as it is, or a ValueError when there is nothing in it to see."""
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Text = Annotated[str, AfterValidator(not_blank)]
LONGEST_NAME, LONGEST_MODEL = 400, 500
"""Names are looked up by an index, and so is what runs need; PostgreSQL keeps 2,704 bytes of an entry at most. A
character may take six of them once it is folded to one case."""


def _is_name(name: str, info: ValidationInfo) -> str:
    if info.context != TRUSTED and len(name) > LONGEST_NAME:
        raise ValueError(f"must have {LONGEST_NAME} characters at most")
    return not_blank(name)


Name = Annotated[str, AfterValidator(_is_name), Field(json_schema_extra={"maxLength": LONGEST_NAME})]
"""What a user calls something."""


def _is_model(name: str, info: ValidationInfo) -> str:
    if info.context != TRUSTED and (not name.isprintable() or len(name.encode()) > LONGEST_MODEL):
        raise ValueError(f"must be one line of {LONGEST_MODEL} characters at most (bytes, in UTF-8)")
    return "offline" if name.strip().lower() == "offline" else name.strip()


ModelName = Annotated[str, AfterValidator(_is_model), Field(json_schema_extra={"maxLength": LONGEST_MODEL})]
"""A model as `provider:name`, or `offline`."""

Moment = Annotated[datetime, Field(strict=False)]
"""A point in time; in JSON, a text in the form of ISO 8601."""
Id = Annotated[str, StringConstraints(to_lower=True)]
"""The id of something else; in upper case it means the same."""
Language = Literal["en", "he"]

Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000)]

TRUSTED = "trusted"
"""The validation context of what was checked before it was stored: schemas are not checked again."""

T = TypeVar("T")


def now() -> datetime:
    """This moment in UTC, to the microsecond."""
    return datetime.now(UTC)


class Model(BaseModel):
    """Frozen; an unknown field is an error, and so is a text or a truth value where a number belongs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Part(Model):
    """What users write within something else. A field that it does not have is reported with those that it has."""

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
        """What is said besides of a value with unknown fields: that one is missing, and so may be meant."""
        return ""


def from_text(value: object) -> object:
    """The list or object that a text holds as JSON, which is how some hosts send them; anything else as it is."""
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
        """Whether a later page holds anything."""
        return self.offset + len(self.data) < self.total


def is_json_schema(schema: Json, info: ValidationInfo) -> Json:
    """A JSON Schema that the 2020-12 meta-schema accepts, or a ValueError that says where it fails."""
    if info.context == TRUSTED:
        return schema
    if problem := _schema_problem(json.dumps(schema, sort_keys=True)):
        raise ValueError(problem)
    return schema


@lru_cache(maxsize=2048)
def _schema_problem(text: str) -> str | None:
    """What is wrong with a schema. Remembered, since a check takes milliseconds and the same schemas come often."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(json.loads(text))
    except SchemaError as exc:
        where = "/".join(map(str, exc.absolute_path)) or "its top level"
        return f"not a valid JSON Schema at {where}: {exc.message}"
    return None


JsonSchema = Annotated[Json, AfterValidator(is_json_schema)]
