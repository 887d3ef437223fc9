"""`offline`: a model without a model, for demos and tests. It is deterministic, free, and not an LLM.

The same request gives the same reply: nothing is random, nothing looks at a clock, nothing is remembered.
"""

from __future__ import annotations

import json

from anyio.lowlevel import checkpoint

from mcp_agent_eval.engine.llm.messages import Message, ModelReply, ModelRequest, Usage
from mcp_agent_eval.engine.llm.names import OFFLINE
from mcp_agent_eval.engine.llm.offline import agent, flow, judge, persona
from mcp_agent_eval.engine.llm.offline.shape import fill
from mcp_agent_eval.types import Json

_NOTE = "not an LLM"
_STOP = "end_turn"


class OfflineModel:
    """Plays agent, persona and judge by rules that can be read."""

    @property
    def name(self) -> str:
        """Always `offline`."""
        return OFFLINE

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Answer at once, and never fail."""
        await checkpoint()
        message = _answer(request)
        sent = _sent(request)
        return ModelReply(
            message=message,
            usage=Usage(input=_tokens(sent), output=_tokens(_as_json(message))),
            model=OFFLINE,
            stop=_STOP,
            sent=sent,
            received={"note": _NOTE, "stop": _STOP, **_as_json(message)},
        )


def _answer(request: ModelRequest) -> Message:
    if request.purpose == "judge":
        return _judged(request)
    message = _agents(request) if request.purpose == "agent" else persona.answer(request)
    if request.schema is None:
        return message
    return _shaped(request.schema, message.text, bool(message.tool_calls))


def _agents(request: ModelRequest) -> Message:
    step = flow.Step.of(request)
    return agent.answer(request) if step is None else flow.answer(step)


def _judged(request: ModelRequest) -> Message:
    verdict = judge.judge(request)
    if request.schema is None:
        return Message("assistant", verdict.reasoning)
    return _shaped(request.schema, verdict.reasoning, verdict.passed, verdict.turns)


def _shaped(schema: Json, text: str, yes: bool, numbers: tuple[int, ...] = ()) -> Message:
    return Message("assistant", json.dumps(fill(schema, text, yes, numbers), ensure_ascii=False))


def _sent(request: ModelRequest) -> Json:
    """The request as it would go over a wire, if there were one."""
    return {
        "model": OFFLINE,
        "note": _NOTE,
        "system": request.system,
        "messages": [_as_json(message) for message in request.messages],
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ],
    } | ({"schema": request.schema} if request.schema else {})


def _as_json(message: Message) -> Json:
    shown: Json = {"role": message.role, "content": message.text}
    if message.tool_calls:
        shown["tool_calls"] = [{"id": it.id, "name": it.name, "args": it.args} for it in message.tool_calls]
    if message.tool_call_id:
        shown["tool_call_id"] = message.tool_call_id
    return shown


def _tokens(value: Json) -> int:
    """An estimate: four tokens for three words."""
    return (4 * len(json.dumps(value, ensure_ascii=False).split()) + 2) // 3
