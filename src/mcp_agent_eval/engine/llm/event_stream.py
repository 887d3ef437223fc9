"""Reads a body, even one that came as a stream: some gateways stream without being asked to.

Pure: takes bytes and returns the body that the same answer would have had in one piece. Nothing here waits for a
stream to end or decides what the body means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mcp_agent_eval.engine.llm.wire import MalformedError, as_count, as_list, as_object, as_text
from mcp_agent_eval.types import Json

_GROWING = {
    "content",
    "reasoning",
    "reasoning_content",
    "refusal",
    "arguments",
    "thinking",
    "text",
    "summary",
    "data",
}
"""The strings of a chat completion that come in pieces. All others are whole, and the latest one counts."""


def read_body(content: bytes, content_type: str) -> Any:
    """The JSON of a body, or its text if it is not JSON."""
    try:
        if "event-stream" in content_type or content.startswith((b"data:", b"event:")):
            return _mended(assemble(content.decode()))
        body: Any = json.loads(content)
        return _mended(body) if b"\\ud" in content or b"\\uD" in content else body
    except (ValueError, RecursionError):
        return content.decode(errors="replace")


def _mended(body: Any) -> Any:
    """Join halves of a surrogate pair, or replace lone ones: neither a store nor a provider accepts them."""
    text = json.dumps(body, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return body


def assemble(text: str) -> Json:
    """Build one chat completion or one message from its events; an error event gives `{"error": ...}`.

    Raises:
        MalformedError: the stream was cut off or contains no answer.
    """
    events, ended = _events(text)
    if failed := next((event for event in events if event.get("error")), None):
        return failed
    if any(event.get("type") == "message_start" for event in events):
        return _message(events)
    return _completion(events, ended)


def _events(text: str) -> tuple[list[Json], bool]:
    """The JSON objects of the events, and whether the end marker was among them."""
    data = list(_data(text))
    ended = "[DONE]" in data
    return [_parsed(each) for each in data if each and each != "[DONE]"], ended


def _data(text: str) -> Iterator[str]:
    """The data of each event. An event ends at an empty line; its data lines belong together."""
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line.startswith("data:"):
            lines.append(line[5:].strip())
        elif not line and lines:
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)


def _parsed(data: str) -> Json:
    try:
        return as_object(json.loads(data))
    except (ValueError, RecursionError):
        raise MalformedError("an event that is not JSON") from None


def _completion(events: list[Json], ended: bool) -> Json:
    message: Json = {"role": "assistant"}
    body: Json = {}
    finish = ""
    for event in events:
        body |= {key: value for key, value in event.items() if key != "choices" and value is not None}
        for choice in map(as_object, as_list(event.get("choices"))):
            if choice.get("index") in (0, None):
                _grow(message, as_object(choice.get("delta")))
                finish = as_text(choice.get("finish_reason")) or finish
    if not (finish or ended) or not any("choices" in event for event in events):
        raise MalformedError("a stream that was cut off")
    body.setdefault("usage", as_object(body.get("x_groq")).get("usage"))
    return body | {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def _grow(whole: Json, piece: Json) -> None:
    for key, value in piece.items():
        if value is None:
            whole.setdefault(key, None)
        elif isinstance(value, str) and key in _GROWING:
            whole[key] = as_text(whole.get(key)) + value
        elif isinstance(value, dict):
            _grow(_inside(whole, key), as_object(value))
        elif isinstance(value, list):
            _grow_list(whole, key, as_list(value))
        elif value != "":
            whole[key] = value


def _inside(whole: Json, key: str) -> Json:
    if not isinstance(whole.get(key), dict):
        whole[key] = {}
    return whole[key]


def _grow_list(whole: Json, key: str, pieces: list[Any]) -> None:
    if not isinstance(whole.get(key), list):
        whole[key] = []
    entries: list[Any] = whole[key]
    for piece in pieces:
        entry = next((entry for entry in reversed(entries) if _continues(piece, entry)), None)
        if entry is None:
            entries.append(_copy(piece))
        else:
            _grow(entry, piece)


def _copy(piece: Any) -> Any:
    if not isinstance(piece, dict):
        return piece
    entry: Json = {}
    _grow(entry, as_object(piece))
    return entry


def _continues(piece: Any, entry: Any) -> bool:
    """The entry that a piece continues, by its index; some gateways number every tool call 0 but give each its own
    id."""
    new, old = as_object(piece), as_object(entry)
    same_place = new.get("index") is not None and new["index"] == old.get("index")
    return same_place and all(_may_be_one(new.get(key), old.get(key)) for key in ("id", "type"))


def _may_be_one(new: Any, old: Any) -> bool:
    return not new or not old or new == old


def _message(events: list[Json]) -> Json:
    message: Json = {}
    blocks: dict[int, Json] = {}
    for event in events:
        index = as_count(event.get("index"))
        match event.get("type"):
            case "message_start":
                message = dict(as_object(event.get("message")))
            case "content_block_start":
                blocks[index] = dict(as_object(event.get("content_block")))
            case "content_block_delta":
                _grow_block(blocks.setdefault(index, {}), as_object(event.get("delta")))
            case "message_delta":
                message |= as_object(event.get("delta"))
                message["usage"] = as_object(message.get("usage")) | as_object(event.get("usage"))
            case _:
                pass
    if not message.get("stop_reason"):
        raise MalformedError("a stream that was cut off")
    return message | {"content": [_with_input(block) for block in blocks.values()]}


_DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
"""The field that each kind of delta adds to; the delta uses the same key and is appended to what is there."""


def _grow_block(block: Json, delta: Json) -> None:
    if key := _DELTAS.get(as_text(delta.get("type"))):
        block[key] = as_text(block.get(key)) + as_text(delta.get(key))
    elif delta.get("type") == "citations_delta":
        block["citations"] = [*as_list(block.get("citations")), delta.get("citation")]


def _with_input(block: Json) -> Json:
    """The block with its input parsed, or as it was written if that is not JSON."""
    if not (written := block.pop("partial_json", "")):
        return block
    try:
        return block | {"input": json.loads(written)}
    except (ValueError, RecursionError):
        return block | {"input": written}
