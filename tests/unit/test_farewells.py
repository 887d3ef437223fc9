"""A farewell that both sides repeat ends a call, and nothing else does."""

from __future__ import annotations

import json

import pytest

from mcp_agent_eval.engine.conversation.farewells import is_farewell, parted_twice
from tests.support import shared_path


@pytest.mark.parametrize(
    "text",
    [
        "Goodbye!",
        "Thanks, bye.",
        "Have a great day!",
        "Take care now.",
        "Enjoy the rest of your evening.",
        "להתראות",
    ],
)
def test_these_are_farewells(text: str) -> None:
    assert is_farewell(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hello.",
        "Goodbye? I have not finished.",
        "I will have the fish.",
        "Could you say bye to him for me?",
        "The standby light is on.",
        "Have a look at the invoice. " + "It lists every item. " * 12 + "Goodbye.",
    ],
)
def test_these_are_not(text: str) -> None:
    assert not is_farewell(text)


def test_both_sides_have_to_repeat_it() -> None:
    assert parted_twice(["Bye.", "Goodbye.", "Bye!", "Take care."])
    assert not parted_twice(["Goodbye.", "Bye!", "Take care."])
    assert not parted_twice(["Thanks.", "Goodbye.", "Bye!", "Take care."])


@pytest.mark.shared
def test_no_recorded_conversation_would_have_been_cut_short() -> None:
    for name in ("dialogues_dev.jsonl", "dialogues_sgd.jsonl"):
        for line in shared_path(f"real/{name}").read_text("utf-8").splitlines():
            messages = json.loads(line)["messages"]
            said = [m["content"] for m in messages if m["role"] in ("user", "assistant") and m.get("content")]
            assert not any(parted_twice(said[:end]) for end in range(len(said)))
