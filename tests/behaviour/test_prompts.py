"""The prompts: short playbooks whose every call exists as it stands there, whatever is known of their arguments."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.prompts import PLAYBOOKS
from mcp_agent_eval.mcp_server.server import INSTRUCTIONS, build_server
from mcp_agent_eval.mcp_server.tools.catalogue import all_tools
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from tests.behaviour.clinic import CALLS_TOOL, SAYS_BACK, create_clinic
from tests.support import call

DOCS = Path(__file__).resolve().parents[2] / "docs"
TOOLS = {tool.name: tool.parameters for tool in all_tools()}
MOST_CHARACTERS = 1_600
"""Of a prompt: about 400 tokens."""
MOST_INSTRUCTIONS = 2_048
"""What hosts keep of a server's instructions."""


async def text_of(client: Client, prompt: str, **arguments: str) -> str:
    """A prompt as the model reads it."""
    shown = await client.get_prompt(prompt, arguments)
    [message] = shown.messages
    assert message.role == "user"
    return message.content.text  # type: ignore[union-attr]


def calls_in(text: str) -> list[ast.Call]:
    """The calls that a text has in backticks. Something else in backticks is an error."""
    parsed = [ast.parse(code, mode="eval").body for code in re.findall(r"`([^`]+)`", text)]
    assert all(isinstance(node, ast.Call) for node in parsed)
    return [node for node in parsed if isinstance(node, ast.Call)]


def problems(call: ast.Call) -> list[str]:
    """What is wrong with a call, by the schema of its tool."""
    tool = call.func.id  # type: ignore[attr-defined]
    if tool not in TOOLS:
        return [f"there is no tool {tool}"]
    properties, given = TOOLS[tool]["properties"], [str(keyword.arg) for keyword in call.keywords]
    unknown = [f"{tool} has no {name}" for name in given if name not in properties]
    missing = [f"{tool} needs {name}" for name in TOOLS[tool].get("required", []) if name not in given]
    wrong = [
        f"{tool}({keyword.arg}={keyword.value.value!r})"
        for keyword in call.keywords
        if keyword.arg in properties
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value not in properties[keyword.arg].get("enum", [keyword.value.value])
    ]
    return unknown + missing + wrong + [f"{tool} takes names only"] * len(call.args)


@pytest.mark.parametrize("prompt", [playbook.name for playbook in PLAYBOOKS])
async def test_every_call_in_a_prompt_can_be_made(client: Client, prompt: str) -> None:
    found = calls_in(await text_of(client, prompt))
    assert len(found) >= 5
    assert [problem for one in found for problem in problems(one)] == []


@pytest.mark.parametrize("prompt", [playbook.name for playbook in PLAYBOOKS])
async def test_a_prompt_is_short_and_ends_in_a_decision(client: Client, prompt: str) -> None:
    await call(client, "create_suite", name="Clinic calls")
    await create_clinic(client, suite_id="Clinic calls", success_criteria=[SAYS_BACK])
    await call(client, "run_suite", suite_id="Clinic calls")
    for arguments in (
        {},
        {"agent": "Clinic", "suite": "Clinic calls", "focus": "x " * 500, "goal": "y " * 500},
    ):
        text = await text_of(client, prompt, **arguments)
        assert len(text) <= MOST_CHARACTERS
        assert "$" not in text
        last = text.strip().rpartition("\n\n")[2]
        assert last.startswith("Decide")


async def test_the_prompts_are_listed_with_their_arguments(client: Client) -> None:
    listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert list(listed) == ["write_cases", "debug_run", "tune_prompt"]
    for prompt in listed.values():
        assert prompt.title
        assert prompt.description
        assert all(argument.description and not argument.required for argument in prompt.arguments or [])


async def test_what_was_named_is_filled_into_the_calls(client: Client) -> None:
    await call(client, "create_suite", name="Clinic calls")
    await create_clinic(client, suite_id="Clinic calls")
    text = await text_of(
        client, "write_cases", agent="clinic", suite="Clinic calls", focus=" closing\nhours "
    )
    agent_id = (await call(client, "list", kind="agent"))["agents"][0]["id"]
    assert text.startswith('Write eval cases for the agent "Clinic".')
    assert f'`get(kind="agent", id="{agent_id[:8]}")`' in text
    assert 'The cases join the suite "Clinic calls".' in text
    assert "above all closing hours." in text
    named = next(one for one in calls_in(text) if one.func.id == "get")  # type: ignore[attr-defined]
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in named.keywords}
    assert (await call(client, "get", **arguments))["name"] == "Clinic"


async def test_a_run_is_looked_up_for_what_is_to_be_done_about_it(client: Client) -> None:
    case_id = await create_clinic(client, success_criteria=[CALLS_TOOL, SAYS_BACK])
    run_id = (await call(client, "run_case", case_id=case_id))["run_id"]
    text = await text_of(client, "debug_run", run=run_id[:6])
    assert text.startswith(f'Find out why run {run_id[:8]} of "Books a visit" did not pass.')
    assert "It is completed, with score 50 of the 80 that it needs." in text
    assert f'run_case(case_id="{case_id[:8]}")' in text


async def test_without_a_run_the_newest_that_did_not_pass_is_taken(client: Client) -> None:
    failing = await create_clinic(client, success_criteria=[SAYS_BACK])
    failed = await call(client, "run_case", case_id=failing)
    await call(client, "create_case", name="Easy", agent_id="Clinic", persona_id="Maya", scenario="s")
    await call(client, "run_case", case_id="Easy")
    text = await text_of(client, "debug_run")
    assert f"run {failed['run_id'][:8]}" in text
    assert "No run was named: this is the newest that did not pass." in text


async def test_a_suite_tells_which_agent_is_tuned(client: Client) -> None:
    await call(client, "create_suite", name="By its cases")
    await create_clinic(client, suite_id="By its cases")
    await call(client, "create_suite", name="By itself", agent_id="Clinic")
    for suite in ("By its cases", "By itself"):
        text = await text_of(client, "tune_prompt", suite=suite, goal="Ask less.")
        assert text.startswith(
            f'Tune the prompt of the agent "Clinic" on the suite "{suite}". The goal: Ask less.'
        )


@pytest.mark.parametrize(
    ("prompt", "arguments", "said"),
    [
        ("write_cases", {"agent": "nobody"}, "There is no agent 'nobody'. Call list(kind=\"agent\")"),
        ("write_cases", {"agent": ""}, 'No agent was named: `list(kind="agent")` shows them'),
        ("write_cases", {"suite": "none"}, "There is no suite 'none'."),
        ("debug_run", {"run": "zzzzzz"}, "There is no run 'zzzzzz'. Call list_runs to see the newest."),
        ("debug_run", {}, "No run was named: none of the newest failed; `list_runs()` shows more."),
        ("tune_prompt", {}, 'No suite was named: `list(kind="suite")` shows them'),
        ("tune_prompt", {"suite": "s" * 50_000}, "There is no suite 'sss"),
    ],
)
async def test_an_argument_that_finds_nothing_is_told_and_the_playbook_stands(
    client: Client, prompt: str, arguments: dict[str, str], said: str
) -> None:
    text = await text_of(client, prompt, **arguments)
    assert said in text
    assert "\n1. " in text
    assert [problem for one in calls_in(text) for problem in problems(one)] == []


async def test_an_ambiguous_name_is_told_with_what_it_may_mean(client: Client) -> None:
    ids = [(await call(client, "create_suite", name="Same"))["suite_id"] for _ in range(2)]
    text = await text_of(client, "tune_prompt", suite="Same")
    assert all(id in text for id in ids)


async def test_an_agent_that_runs_elsewhere_cannot_be_tuned_by_overrides(client: Client) -> None:
    endpoint = {"protocol": "openai", "url": "https://agents.example.com/v1/chat/completions"}
    await call(client, "create_agent", name="Elsewhere", type="endpoint", endpoint=endpoint)
    await call(client, "create_suite", name="S", agent_id="Elsewhere")
    assert "its prompt is changed there" in await text_of(client, "tune_prompt", suite="S")


async def test_without_a_backend_the_playbook_stands_and_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "evals.db"
    broken.write_text("this is not a database, but a text that is long enough to look like one" * 20)
    settings = Settings.read(database_url=f"sqlite:///{broken}")
    async with Client(build_server(lambda: connect(settings))) as client:
        text = await text_of(client, "debug_run", run="abcd")
    assert "is not a database" in text or "cannot be" in text
    assert "Decide" in text


async def test_an_argument_of_another_prompt_does_no_harm(client: Client) -> None:
    assert "1. " in await text_of(client, "debug_run", agent="Clinic", nonsense="x")


def test_the_instructions_fit_and_hold_the_words_that_we_are_looked_for_by() -> None:
    assert len(INSTRUCTIONS.encode()) <= MOST_INSTRUCTIONS
    words = (
        ["evaluate", "test", "debug", "tune", "agent", "chatbot", "voice agent", "prompt", "regression"]
        + ["simulated caller", "transcript"]
        + [playbook.name for playbook in PLAYBOOKS]
    )
    assert [word for word in words if word not in INSTRUCTIONS.lower()] == []


def test_the_instructions_name_no_tool_that_is_not_there() -> None:
    named = set(re.findall(r"\b[a-z]+_[a-z_]+\b", INSTRUCTIONS)) - {"untrusted_"}
    arguments = {name for schema in TOOLS.values() for name in schema["properties"]}
    assert (
        named - TOOLS.keys() - arguments - {playbook.name for playbook in PLAYBOOKS} - {"system_prompt"}
        == set()
    )


def test_the_docs_name_every_prompt_with_its_arguments() -> None:
    text = (DOCS / "tools.md").read_text(encoding="utf-8")
    for playbook in PLAYBOOKS:
        [row] = re.findall(rf"^\| `{playbook.name}` \|.*$", text, flags=re.MULTILINE)
        listed: Json = dict.fromkeys(re.findall(r"`(\w+)`", row))
        assert list(listed) == [playbook.name, *playbook.arguments]


async def test_a_prompt_that_there_is_not_is_no_fault_of_the_server(client: Client) -> None:
    with pytest.raises(
        MCPError, match=r"no prompt 'nothing'\. The prompts are: write_cases, debug_run, tune_prompt"
    ) as caught:
        await client.get_prompt("nothing")
    assert caught.value.error.code == INVALID_PARAMS


async def test_a_run_that_passed_is_not_said_to_have_failed(client: Client) -> None:
    run_id = (await call(client, "run_case", case_id=await create_clinic(client)))["run_id"]
    text = await text_of(client, "debug_run", run=run_id)
    assert text.startswith(
        f'Find out whether run {run_id[:8]} of "Books a visit" passed for the right reason.'
    )


async def test_a_case_that_was_deleted_is_not_handed_out(client: Client) -> None:
    case_id = await create_clinic(client, success_criteria=[SAYS_BACK])
    run_id = (await call(client, "run_case", case_id=case_id))["run_id"]
    await call(client, "delete", kind="case", id=case_id)
    text = await text_of(client, "debug_run", run=run_id)
    assert "Its case was deleted" in text
    assert case_id[:8] not in text
    assert [problem for one in calls_in(text) for problem in problems(one)] == []


async def test_an_agent_that_is_known_is_filled_into_the_suite_to_make(client: Client) -> None:
    await create_clinic(client)
    agent_id = (await call(client, "get", kind="agent", id="Clinic"))["id"]
    text = await text_of(client, "write_cases", agent="Clinic")
    assert f'create_suite(name=..., agent_id="{agent_id[:8]}")' in text
