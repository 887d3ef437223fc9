"""Reads a webhook's answer with care: a server may send anything, for as long as it is allowed to."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from mcp_agent_eval.engine.secrets import hidden
from mcp_agent_eval.engine.tools.arguments import is_plain_json
from mcp_agent_eval.types import Json

MOST_BYTES = 1024 * 1024
"""Most bytes of a body, both as sent and after decompression; the rest is not read."""
PREVIEW = 2_000
"""Most characters of a body to keep for the record."""

_EITHER_FORMAT = zlib.MAX_WBITS | 32
_COMPRESSED = ("gzip", "x-gzip", "deflate")


@dataclass(slots=True)
class Answer:
    """An answer as far as it arrived: the connection may break, or time may run out, at any byte."""

    status: int | None = None
    content: bytearray = field(default_factory=bytearray)
    encoding: str = ""
    charset: str = "utf-8"

    async def read(self, response: httpx2.Response) -> None:
        """Take in the status and at most `MOST_BYTES` of the body."""
        self.status = response.status_code
        self.encoding = response.headers.get("content-encoding", "").strip().lower()
        self.charset = response.charset_encoding or self.charset
        async for chunk in response.aiter_raw():
            self.content += chunk[: MOST_BYTES - len(self.content)]
            if len(self.content) >= MOST_BYTES:
                return

    def result(self, secrets: Mapping[str, str]) -> object:
        """The result of the tool's call: the body as JSON, as text if it is not JSON, or None if it is empty."""
        body = self._text()
        return hidden(_as_json(body), secrets) if body else None

    def record(self, secrets: Mapping[str, str]) -> Json | None:
        """`{status, body_preview}`, or None if there was no answer at all."""
        if self.status is None:
            return None
        return {"status": self.status, "body_preview": self._preview(secrets)[:PREVIEW]}

    def _preview(self, secrets: Mapping[str, str]) -> str:
        body = self._text()
        parsed = _as_json(body)
        safe = hidden(parsed, secrets)
        # Serialised again if there was something to hide: JSON has many ways to write the same text.
        if safe != parsed and not isinstance(safe, str):
            return json.dumps(safe, ensure_ascii=False)
        return str(hidden(body, secrets))

    def _text(self) -> str:
        content = _inflated(bytes(self.content)) if self.encoding in _COMPRESSED else bytes(self.content)
        try:
            return content.decode(self.charset, errors="replace")
        except LookupError:
            return content.decode(errors="replace")


def _inflated(content: bytes) -> bytes:
    """Decompress the body of a server that compresses although it was asked not to."""
    try:
        return zlib.decompressobj(_EITHER_FORMAT).decompress(content, MOST_BYTES)
    except zlib.error:
        return content


def _as_json(text: str) -> object:
    """The text parsed as JSON, or the text itself, also if other JSON libraries would not accept it."""
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return text
    return _mended(value) if is_plain_json(value) else text


def _mended(value: object) -> object:
    """Replace lone surrogates, which JSON can express but neither a store nor a provider accepts."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode(errors="replace"))
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a number of JSON")
    return number
