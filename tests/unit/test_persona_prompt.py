"""The persona's prompt: concrete behaviour, known facts, a way to end."""

from __future__ import annotations

import pytest

from mcp_agent_eval.engine.conversation.persona_prompt import persona_prompt
from mcp_agent_eval.types import Persona


def prompt(traits: dict[str, object] | None = None, *, tool: bool = True, language: str = "en") -> str:
    persona = Persona.model_validate(
        {"id": "p", "name": "Ann", "identity_prompt": "You are Ann.", "language": language}
        | {"behavior_traits": traits or {}}
    )
    return persona_prompt(persona, "You broke a tooth.", end_marker="<END>", end_tool=tool)


def test_identity_and_scenario_come_first() -> None:
    text = prompt()
    assert text.startswith("# Who you are\nYou are Ann.\n\n# Why you are calling\nYou broke a tooth.")


def test_a_section_without_content_is_left_out() -> None:
    assert "# What you know" not in prompt()
    assert "# How you behave" not in prompt()


def test_facts_are_listed_whatever_their_form() -> None:
    assert "# What you know\n- name: Ann\n- age: 38" in prompt({"known_info": {"name": "Ann", "age": 38}})
    assert "# What you do not know\n- Your number" in prompt({"unknown_info": ["Your number"]})
    assert "# What you want\nA visit today." in prompt({"goal": "A visit today."})


@pytest.mark.parametrize(
    ("trait", "value", "sentence"),
    [
        ("patience", "low", "give up after two unhelpful answers"),
        ("Patience".lower(), "LOW", "give up after two unhelpful answers"),
        ("verbosity", "chatty", "small personal detail"),
        ("cooperation", "low", "only after you were told"),
        ("interruption_tendency", "occasional", "change the subject"),
    ],
)
def test_a_known_trait_becomes_behaviour(trait: str, value: str, sentence: str) -> None:
    assert sentence in prompt({trait: value})


def test_an_unknown_trait_or_value_is_passed_on_in_its_own_words() -> None:
    assert "- accent: Scottish" in prompt({"accent": "Scottish"})
    assert "- patience: saintly" in prompt({"patience": "saintly"})


def test_the_end_is_signalled_by_a_tool_or_else_by_the_marker() -> None:
    assert "end_conversation" in prompt(tool=True)
    assert '"<END>"' in prompt(tool=True)
    assert "end_conversation" not in prompt(tool=False)
    assert 'Write "<END>" at the very end' in prompt(tool=False)


def test_the_persona_speaks_its_language() -> None:
    assert "in Hebrew" in prompt(language="he")
