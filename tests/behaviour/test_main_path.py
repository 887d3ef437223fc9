"""The main job: create a case, run it, read why it passed or failed, try a changed prompt."""

from __future__ import annotations

from mcp import Client

from tests.behaviour.clinic import CALLS_TOOL, PROMPT, READS_BACK, SAYS_BACK, create_clinic
from tests.support import call


async def test_a_case_that_passes_says_so_in_few_words(client: Client) -> None:
    result = await call(client, "run_case", case_id=await create_clinic(client))
    assert result["pass_fail"] is True
    assert result["score"] == 100
    assert result["assertions"] == "1 of 1 passed"
    assert "failed_assertions" not in result


async def test_a_case_that_fails_names_each_failed_assertion_with_its_reason(client: Client) -> None:
    case_id = await create_clinic(client, success_criteria=[CALLS_TOOL, SAYS_BACK])
    result = await call(client, "run_case", case_id=case_id)
    assert result["pass_fail"] is False
    assert result["score"] == 50
    [failed] = result["failed_assertions"]
    assert failed["assertion"] == "must_say /read that back/"
    assert failed["reason"].startswith("no match")
    assert result["next"].startswith("read_transcript(")


async def test_an_override_changes_the_outcome_and_not_the_agent(client: Client) -> None:
    case_id = await create_clinic(client, success_criteria=[CALLS_TOOL, SAYS_BACK])
    override = {"system_prompt": READS_BACK}
    changed = await call(client, "run_case", case_id=case_id, agent_overrides=override)
    assert changed["pass_fail"] is True
    assert changed["overrides"] == ["system_prompt"]
    agent = await call(client, "get", kind="agent", id="Clinic")
    assert agent["system_prompt"] == PROMPT
    assert (await call(client, "run_case", case_id=case_id))["pass_fail"] is False


async def test_overrides_of_the_run_lie_over_those_of_the_case(client: Client) -> None:
    case_id = await create_clinic(
        client,
        success_criteria=[SAYS_BACK],
        agent_overrides={"system_prompt": "Say nothing of use.", "greeting_message": "Case greeting."},
    )
    result = await call(client, "run_case", case_id=case_id, agent_overrides={"system_prompt": READS_BACK})
    assert result["overrides"] == ["greeting_message", "system_prompt"]
    transcript = await call(client, "read_transcript", run_id=result["run_id"])
    assert transcript["untrusted_turns"][0]["text"] == "Case greeting."
    assert result["pass_fail"] is True


async def test_the_transcript_shows_who_said_and_called_what(client: Client) -> None:
    result = await call(client, "run_case", case_id=await create_clinic(client))
    transcript = await call(client, "read_transcript", run_id=result["run_id"])
    turns = transcript["untrusted_turns"]
    assert turns[0] == {"turn": 0, "role": "agent", "text": "Clinic, how can I help?"}
    assert [turn["turn"] for turn in turns] == list(range(len(turns)))
    [called] = [use for turn in turns for use in turn.get("tools", []) if "calls" in use]
    assert called["calls"] == "bookAppointment"
    [returned] = [use for turn in turns for use in turn.get("tools", []) if "result" in use]
    assert returned == {"tool": "bookAppointment", "result": {"confirmation_number": "HD-1"}, "mocked": True}


async def test_what_was_sent_to_the_models_can_be_read_whole(client: Client) -> None:
    result = await call(client, "run_case", case_id=await create_clinic(client))
    page = await call(client, "read_transcript", run_id=result["run_id"], view="model_calls")
    first = page["untrusted_model_calls"][0]
    assert first["role"] == "persona"
    assert "You are Maya Cohen" in str(first["request"])
    assert "not an LLM" in str(first["response"])


async def test_a_suite_gives_one_aggregate_and_the_failures_with_their_reasons(client: Client) -> None:
    suite = await call(client, "create_suite", name="Clinic calls", parallelism=2)
    await create_clinic(client, suite_id=suite["suite_id"])
    await call(
        client,
        "create_case",
        name="Reads back",
        agent_id="Clinic",
        persona_id="Maya",
        scenario="You want to book an appointment.",
        success_criteria=[SAYS_BACK],
        suite_id="Clinic calls",
    )
    aggregate = await call(client, "run_suite", suite_id="Clinic calls")
    assert (aggregate["total_runs"], aggregate["passed"], aggregate["failed"]) == (2, 1, 1)
    assert aggregate["pass_rate"] == 0.5
    [failure] = aggregate["failures"]
    assert failure["case"] == "Reads back"
    assert failure["failed"][0].startswith("must_say /read that back/: no match")
    again = await call(client, "get_aggregate", suite_id="Clinic calls")
    assert again == aggregate


async def test_the_offline_model_is_labelled_wherever_it_played(client: Client) -> None:
    result = await call(client, "run_case", case_id=await create_clinic(client))
    assert result["note"] == "agent, persona played by the offline model: deterministic, not an LLM"


async def test_text_and_structured_result_say_the_same(client: Client) -> None:
    case_id = await create_clinic(client, success_criteria=[SAYS_BACK])
    result = await client.call_tool("run_case", {"case_id": case_id})
    assert result.structured_content is not None
    text = result.content[0].text
    for key in result.structured_content:
        assert f"{key}:" in text
    assert result.structured_content["run_id"] in text
