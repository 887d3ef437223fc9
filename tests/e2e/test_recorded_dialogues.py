"""Real conversations, played back: what was recorded is what comes out, turn for turn and verdict for verdict."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.support import call, replayed_dialogues, shared_path, stdio_server

MARKER = "[END OF CALL]"
TRANSFER = "transfer_to_human_agents"
_STOP = re.compile(r"\s*###(STOP|TRANSFER|OUT-OF-SCOPE)###\s*")


def dialogues() -> list[dict[str, Any]]:
    text = shared_path("real/dialogues_dev.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def recorded_turns(dialogue: dict[str, Any]) -> list[dict[str, Any]]:
    """The record in the shape of `read_transcript`, without tool results, which are mocked."""
    turns: list[dict[str, Any]] = []
    for message in dialogue["messages"]:
        if message["role"] == "user" and message.get("content"):
            turns.append({"role": "persona", "text": _STOP.sub(" ", message["content"]).strip()})
        if message["role"] == "assistant":
            calls = [
                {"calls": use["name"], "args": use["arguments"]} for use in message.get("tool_calls") or []
            ]
            turns.append({"role": "agent", "text": message.get("content") or "", "tools": calls})
    return [turn for turn in turns if turn["text"] or turn.get("tools")]


def told_turns(transcript: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Our transcript in the same shape."""
    turns: list[dict[str, Any]] = []
    for turn in transcript:
        if turn["role"] == "persona":
            turns.append({"role": "persona", "text": turn["text"]})
        if turn["role"] == "agent":
            calls = [{"calls": use["calls"], "args": use.get("args", {})} for use in turn.get("tools", [])]
            turns.append({"role": "agent", "text": turn.get("text", ""), "tools": calls})
    return turns


def tools_of(dialogue: dict[str, Any], context: dict[str, Any]) -> list[dict[str, Any]]:
    """The context's tools. Where the recorded system ended with a transfer, that tool is one that hangs up."""
    tools = [dict(tool["function"]) for tool in context["tools"]]
    for tool in tools:
        if tool["name"] == TRANSFER and dialogue["termination_reason"] == "transfer":
            tool["type"] = "system"
    return tools


ELSEWHERE = {"elsewhere": False, "elsewhere, streamed": True}
"""The same dialogues with an agent that runs behind an OpenAI-compatible endpoint."""


def player(dialogue: dict[str, Any], context: dict[str, Any], wire: str) -> dict[str, Any]:
    """Who plays the agent: a prompt on one of the wires, or an endpoint."""
    name = f"{dialogue['id']}#agent"
    if wire not in ELSEWHERE:
        return {"system_prompt": context["policy"], "model": f"{wire}:{name}"}
    endpoint = {"protocol": "openai", "url": context["address"], "model": name, "stream": ELSEWHERE[wire]}
    return {"type": "endpoint", "endpoint": endpoint}


async def create(client: Client, dialogue: dict[str, Any], context: dict[str, Any], wire: str) -> str:
    """Agent, persona and case of a dialogue; the case's id."""
    opening = dialogue["messages"][0] if dialogue["agent_speaks_first"] else {}
    agent = await call(
        client,
        "create_agent",
        name=dialogue["id"],
        tools=tools_of(dialogue, context),
        agent_speaks_first=dialogue["agent_speaks_first"],
        greeting_message=opening.get("content"),
        **player(dialogue, context, wire),
    )
    persona = await call(
        client,
        "create_persona",
        name=dialogue["id"],
        identity_prompt=json.dumps(dialogue["persona"]),
        model=f"{'openai' if wire in ELSEWHERE else wire}:{dialogue['id']}#persona",
    )
    case = await call(
        client,
        "create_case",
        name=dialogue["id"],
        agent_id=agent["agent_id"],
        persona_id=persona["persona_id"],
        scenario=json.dumps(dialogue["persona"]["instructions"]),
        success_criteria=[item["criterion"] for item in dialogue["assertions"]],
        max_turns=100,
    )
    return case["case_id"]


async def transcript_of(client: Client, run_id: str) -> list[dict[str, Any]]:
    """The whole transcript, page by page."""
    turns: list[dict[str, Any]] = []
    following: int | None = 0
    while following is not None:
        page = await call(
            client, "read_transcript", run_id=run_id, from_turn=following, max_characters=20_000
        )
        turns += page["untrusted_turns"]
        found = re.search(r"from_turn=(\d+)", page.get("next", ""))
        following = int(found[1]) if found else None
    return turns


def verdicts(dialogue: dict[str, Any]) -> list[bool]:
    """What the benchmark recorded, or, where it recorded nothing, what the contract's semantics give."""
    return [item.get("benchmark_verdict", item["docs_semantics_verdict"]) for item in dialogue["assertions"]]


@pytest.mark.shared
@pytest.mark.parametrize("wire", ["openai", "anthropic", *ELSEWHERE])
async def test_every_recorded_dialogue_comes_out_as_it_was_recorded(wire: str, tmp_path: Path) -> None:
    contexts = json.loads(shared_path("real/contexts.json").read_text(encoding="utf-8"))
    with replayed_dialogues("--strict", "--stop", MARKER) as address:
        server = stdio_server(tmp_path, model_base_url=f"{address}/v1", judge_model="offline")
        async with Client(server) as client:
            for dialogue in dialogues():
                case_id = await create(
                    client, dialogue, contexts[dialogue["context"]] | {"address": f"{address}/v1"}, wire
                )
                result = await call(client, "run_case", case_id=case_id)
                await check(client, dialogue, result)


async def check(client: Client, dialogue: dict[str, Any], result: dict[str, Any]) -> None:
    where = dialogue["id"]
    assert "error" not in result, (where, result)
    told = told_turns(await transcript_of(client, result["run_id"]))
    assert told == recorded_turns(dialogue), where
    hung_up = "agent_ended" if dialogue["termination_reason"] == "transfer" else "persona_goodbye"
    assert result["termination_reason"] == hung_up, (where, result)
    expected = verdicts(dialogue)
    evaluation = await client.read_resource(f"eval://runs/{result['run_id']}/evaluation")
    marks = re.findall(r"^- \*\*(PASS|FAIL)\*\*", evaluation.contents[0].text, re.MULTILINE)
    assert [mark == "PASS" for mark in marks] == expected, where
    score = 100 * sum(expected) / len(expected) if expected else 100
    assert result["score"] == round(score, 2), where
