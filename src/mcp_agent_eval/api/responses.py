"""Serialises answers: nouns and errors in the contract's JSON, with any strings in them."""

from __future__ import annotations

import json

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError
from starlette.responses import Response

from mcp_agent_eval.errors import EvalError, RateLimited, Unauthorized

_ANY: TypeAdapter[object] = TypeAdapter(object)


def answer(value: BaseModel | dict[str, object], status: int = 200) -> Response:
    """A successful answer."""
    return Response(_encode(value), status, media_type="application/json")


def refusal(error: EvalError) -> Response:
    """An error as in the contract, `{"error": message, "code": code}`, with our hint."""
    response = Response(_encode(error.as_dict()), error.status, media_type="application/json")
    if isinstance(error, RateLimited) and error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _encode(value: object) -> bytes:
    try:
        return _ANY.dump_json(value)
    except PydanticSerializationError:
        # A model may write a lone surrogate, which JSON can only express in ASCII.
        return json.dumps(_ANY.dump_python(value, mode="json")).encode()
