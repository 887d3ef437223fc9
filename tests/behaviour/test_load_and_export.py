"""Evals as files, into a real store and out of it: idempotent, lossless, and never half-done without saying so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import InvalidInput, NotFound, RateLimited
from mcp_agent_eval.lab.packs.export import as_text, export
from mcp_agent_eval.lab.packs.files import Pack, Source, pack_of, read_pack
from mcp_agent_eval.lab.packs.loading import Loaded, LoadFailed, load, load_pack
from mcp_agent_eval.lab.packs.patience import patiently
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Agent, Json
from mcp_agent_eval.types.nouns import NOUNS
from tests.flows import config, end, start, tool
from tests.legs import EMBEDDED, HOSTED, leg
from tests.support import shared_path
from tests.virtual_time import run_in_no_time

CLINIC = resources.files("mcp_agent_eval.samples").joinpath("clinic.yaml").read_text(encoding="utf-8")
PACK: Json = {
    "tools": [{"name": "look_up"}, {"name": "unused"}],
    "agents": [
        {"name": "A", "system_prompt": "Be brief.", "tools": [{"name": "own"}], "shared_tools": ["look_up"]},
        {"name": "B", "system_prompt": "Be long."},
    ],
    "personas": [{"name": "P", "identity_prompt": "You are Ann."}],
    "suites": [{"name": "S", "agent": "A", "parallelism": 2}, {"name": "T"}],
    "cases": [
        {"name": "C", "agent": "A", "persona": "P", "suite": "S", "scenario": "You want to know the time."},
        {"name": "D", "agent": "B", "persona": "P", "scenario": "You want to know the way."},
    ],
}
NOTHING_NEW = {"created": [], "updated": []}


@pytest.fixture(params=[EMBEDDED, HOSTED])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    async with leg(
        request.param, Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}")
    ) as backend:
        yield backend


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Backend]:
    async with leg(EMBEDDED, Settings.read(database_url=f"sqlite:///{tmp_path / 'other.db'}")) as backend:
        yield backend


def files(*texts: str, suffix: str = "yaml") -> Pack:
    return read_pack([Source(f"{n}.{suffix}", text.encode()) for n, text in enumerate(texts, 1)])


def changed(**sections: Any) -> Pack:
    return pack_of(json.loads(json.dumps(PACK | sections)))


def news(loaded: Loaded) -> dict[str, list[str]]:
    """What a load changed, in words."""
    return {
        action: [f"{one.kind} {one.name}" for one in loaded.outcomes if one.action == action]
        for action in ("created", "updated")
    }


async def failed(backend: Backend, pack: Pack) -> tuple[list[str], Loaded]:
    with pytest.raises(LoadFailed) as caught:
        await load(backend, pack)
    return [str(problem) for problem in caught.value.problems], caught.value.done


async def totals(backend: Backend) -> list[int]:
    return [(await backend.list(kind)).total for kind in NOUNS]


# --- Loading


async def test_loading_is_idempotent_and_says_what_it_did(backend: Backend) -> None:
    first = await load(backend, changed())
    assert first.names("created") == {
        "tool": ["look_up", "unused"],
        "agent": ["A", "B"],
        "persona": ["P"],
        "suite": ["S", "T"],
        "case": ["C", "D"],
    }
    again = await load(backend, changed())
    assert news(again) == NOTHING_NEW
    assert again.names("unchanged") == first.names("created")
    assert await totals(backend) == [2, 1, 2, 2, 2]


async def test_only_what_differs_is_changed_and_what_is_left_out_becomes_the_default_again(
    backend: Backend,
) -> None:
    await load(backend, changed())
    suites = [{"name": "S", "agent": "B"}, {"name": "T"}]
    cases = [PACK["cases"][0] | {"max_turns": 7, "suite": None}, PACK["cases"][1]]
    loaded = await load(backend, changed(suites=suites, cases=cases))
    assert loaded.in_words() == [
        "updated suite 'S' (agent, parallelism)",
        "updated case 'C' (max_turns, suite)",
    ]
    suite = await backend.get("suite", await backend.find("suite", "S"))
    assert suite.model_dump(include={"agent_id", "parallelism"}) == {
        "agent_id": await backend.find("agent", "B"),
        "parallelism": 1,
    }


async def test_a_dry_run_tells_the_same_and_writes_nothing(backend: Backend) -> None:
    dry = await load(backend, changed(), dry_run=True)
    assert await totals(backend) == [0] * 5
    assert dry.outcomes == (await load(backend, changed())).outcomes
    personas = [{"name": "P", "identity_prompt": "You are Eve."}]
    dry = await load(backend, changed(personas=personas), dry_run=True)
    assert dry.in_words() == ["updated persona 'P' (identity_prompt)"]
    assert news(await load(backend, changed())) == NOTHING_NEW


async def test_a_file_may_refer_to_other_files_and_to_what_is_in_the_store(backend: Backend) -> None:
    await load(backend, pack_of({"agents": PACK["agents"][1:]}))
    case = "cases:\n  - {name: D, agent: B, persona: P, scenario: Hi.}\n"
    persona = "personas:\n  - {name: P, identity_prompt: You are Ann.}\n"
    assert news(await load(backend, files(case, persona)))["created"] == ["persona P", "case D"]


async def test_packs_without_files_are_loaded_the_same_way(backend: Backend) -> None:
    ids = await load_pack(backend, PACK)
    assert ids["case"] == {name: await backend.find("case", name) for name in ("C", "D")}
    assert await load_pack(backend, PACK) == ids
    with pytest.raises(
        InvalidInput, match=r"cases\[0\]: agent: there is no agent named 'Z'. There are: 'A', 'B'."
    ):
        await load_pack(backend, {"cases": [PACK["cases"][0] | {"agent": "Z"}]})


async def test_every_error_is_told_with_its_place_and_nothing_is_written(backend: Backend) -> None:
    good = "agents:\n  - name: A\n    system_prompt: Be brief.\n"
    bad = """\
personas:
  - name: P
    identity_prompt: ' '
cases:
  - name: C
    agent: a
    persona: P
    scenario: Hi.
    max_turns: 500
    success_criteria:
      - type: must_say
  - name: C
    agent_id: A
    persona: [P]
    treshold: 1
"""
    told, done = await failed(backend, files(good, bad))
    assert told == [
        "2.yaml:3: personas[0].identity_prompt: must not be blank.",
        "2.yaml:6: cases[0].agent: there is no agent named 'a'. There are: 'A'.",
        "2.yaml:9: cases[0].max_turns: input should be less than or equal to 100.",
        "2.yaml:11: cases[0].success_criteria[0]: must_say needs 'pattern'.",
        "2.yaml:12: cases[1].scenario: is required.",
        "2.yaml:12: cases[1].name: there is another case named 'C': see 2.yaml:5.",
        "2.yaml:13: cases[1].agent_id: refer to it by its name: agent.",
        "2.yaml:14: cases[1].persona: input should be a valid string.",
        told[-1],
    ]
    assert told[-1].startswith(
        "2.yaml:15: cases[1].treshold: there is no such field. The fields are: name, agent, persona,"
    )
    assert done.outcomes == []
    assert await totals(backend) == [0] * 5


async def test_a_file_that_cannot_be_read_does_not_make_the_others_wrong(backend: Backend) -> None:
    case = "cases:\n  - {name: D, agent: B, persona: P, scenario: Hi., max_turns: 0}\n"
    told, _ = await failed(backend, files("agents: [\n", case))
    assert [one.partition(" ")[0] for one in told] == ["1.yaml:2:", "2.yaml:2:"]
    assert "max_turns" in told[1]


async def test_names_that_are_not_unique_in_the_store_are_refused_with_their_ids(backend: Backend) -> None:
    await load(backend, changed())
    twin = await backend.create("agent", PACK["agents"][1])
    told, _ = await failed(backend, changed())
    assert len(told) == 1
    assert told[0].startswith("agents[1]: name: there are 2 agents named 'B' in the store: ")
    assert twin.id in told[0]
    told, _ = await failed(backend, pack_of({"cases": PACK["cases"][1:]}))
    assert told[0].startswith("cases[0]: agent: there are 2 agents named 'B' in the store: ")


async def test_names_are_matched_exactly(backend: Backend) -> None:
    await load(backend, pack_of({"suites": [{"name": "S"}]}))
    names = ["s", "S ", " S", "\u017f"]
    loaded = await load(backend, pack_of({"suites": [{"name": name} for name in names]}))
    assert loaded.names("created") == {"suite": names}


@pytest.mark.parametrize(
    ("section", "entry", "told"),
    [
        ("cases", {"agent": "B"}, "cases[0]: agent: cannot be changed. A case keeps its agent"),
        ("agents", {"type": "endpoint", "endpoint": {"protocol": "webhook", "url": "https://a.example"}},
         "agents[0]: type: cannot be changed. An agent keeps its type"),
    ],
)  # fmt: skip
async def test_what_is_fixed_needs_another_name(
    backend: Backend, section: str, entry: Json, told: str
) -> None:
    await load(backend, changed())
    problems, _ = await failed(backend, changed(**{section: [PACK[section][0] | entry, *PACK[section][1:]]}))
    assert len(problems) == 1
    assert problems[0].startswith(told)
    assert "another name" in problems[0]


async def test_what_the_backend_refuses_is_told_at_its_place_beside_what_was_done(backend: Backend) -> None:
    text = """\
agents:
  - {name: A, system_prompt: Be brief.}
personas:
  - {name: P, identity_prompt: You are Ann.}
cases:
  - name: C
    agent: A
    persona: P
    scenario: Hi.
    success_criteria:
      - type: must_say
        pattern: fine
      - type: must_say
        pattern: "("
  - {name: D, agent: A, persona: P, scenario: Hi., tool_allowlist: [nope]}
  - {name: E, agent: A, persona: P, scenario: Hi.}
"""
    told, done = await failed(backend, files(text))
    assert [one.partition(": ")[0] for one in told] == ["1.yaml:14", "1.yaml:15"]
    assert told[0].startswith("1.yaml:14: cases[0].success_criteria[1].pattern: ")
    assert done.in_words() == ["created agent 'A'", "created persona 'P'", "created case 'E'"]
    mended = text.replace('"("', "x").replace("nope", "")
    assert news(await load(backend, files(mended)))["created"] == ["case C", "case D"]


async def test_what_depends_on_something_refused_is_not_tried(backend: Backend) -> None:
    broken = {"name": "A", "type": "flow", "system_prompt": "S", "flow_config": {"nodes": []}}
    told, done = await failed(backend, changed(agents=[broken, PACK["agents"][1]]))
    assert told[0].startswith("agents[0]: flow_config")
    assert told[-2:] == [
        "suites[0]: agent: was skipped, since the agent 'A' failed.",
        "cases[0]: agent: was skipped, since the agent 'A' failed.",
    ]
    assert done.names("created")["case"] == ["D"]


async def test_a_flow_calls_shared_tools_by_name_in_files_and_by_id_in_the_store(
    backend: Backend, other: Backend
) -> None:
    written_flow = config(start("call"), tool("call", "bye", tool_id="look_up"), end("bye"))
    agent = {"name": "F", "type": "flow", "system_prompt": "S", "flow_config": written_flow}
    pack = pack_of({"tools": PACK["tools"], "agents": [agent], "suites": [{"name": "S", "agent": "F"}]})
    await load(backend, pack)
    stored = await backend.get("agent", await backend.find("agent", "F"))
    assert isinstance(stored, Agent)
    assert await backend.find("tool", "look_up") in json.dumps(stored.flow_config)
    assert news(await load(backend, pack)) == NOTHING_NEW
    written = await export(backend, ["S"])
    assert written["tools"] == [{"name": "look_up"}]
    assert written["agents"][0]["flow_config"] == written_flow
    await load(other, pack_of(written))
    assert await export(other) == written


# --- Exporting


@pytest.mark.parametrize("format", ["yaml", "json"])
async def test_what_is_exported_loads_into_an_empty_store_and_is_exported_alike(
    backend: Backend, other: Backend, format: Any
) -> None:
    await load(backend, files(CLINIC))
    await load(backend, changed())
    text = as_text(await export(backend), format)
    assert news(await load(backend, files(text, suffix=format))) == NOTHING_NEW
    await load(other, files(text, suffix=format))
    assert as_text(await export(other), format) == text
    assert news(await load(other, files(text, suffix=format))) == NOTHING_NEW


async def test_an_export_is_sorted_and_holds_no_ids_times_or_defaults(backend: Backend) -> None:
    backwards = {section: list(reversed(entries)) for section, entries in PACK.items()}
    await load(backend, pack_of(backwards))
    assert await export(backend) == PACK


async def test_an_empty_store_is_written_as_an_empty_pack(backend: Backend) -> None:
    text = as_text(await export(backend), "yaml")
    assert text == "{}\n"
    assert (await load(backend, files(text))).outcomes == []


async def test_a_suite_is_exported_with_what_it_needs_and_nothing_else(backend: Backend) -> None:
    await load(backend, changed())
    assert await export(backend, ["S"]) == {
        "tools": PACK["tools"][:1],
        "agents": PACK["agents"][:1],
        "personas": PACK["personas"],
        "suites": PACK["suites"][:1],
        "cases": PACK["cases"][:1],
    }
    assert await export(backend, ["T"]) == {"suites": [{"name": "T"}]}
    with pytest.raises(NotFound, match=r"no suite named 's'. There are: 'S', 'T'."):
        await export(backend, ["S", "s"])


async def test_names_that_are_not_unique_are_not_exported(backend: Backend) -> None:
    await load(backend, changed())
    twins = [
        await backend.create("persona", PACK["personas"][0]),
        await backend.create("suite", {"name": "T"}),
    ]
    with pytest.raises(InvalidInput) as caught:
        await export(backend)
    lines = caught.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "There are 2 personas named 'P'",
        "There are 2 suites named 'T'",
    ]
    assert all(twin.id in line for twin, line in zip(twins, lines, strict=True))
    with pytest.raises(InvalidInput, match="personas named 'P'"):
        await export(backend, ["S"])


async def test_what_was_deleted_is_left_out_where_that_means_the_same_and_told_where_not(
    backend: Backend,
) -> None:
    await load(backend, changed())
    await backend.delete("suite", await backend.find("suite", "S"))
    await backend.delete("tool", await backend.find("tool", "look_up"))
    written = await export(backend)
    assert "suite" not in written["cases"][0]
    assert "shared_tools" not in written["agents"][0]
    assert news(await load(backend, pack_of(written))) == NOTHING_NEW
    await backend.delete("persona", await backend.find("persona", "P"))
    await backend.delete("agent", await backend.find("agent", "B"))
    with pytest.raises(InvalidInput) as caught:
        await export(backend)
    assert len(caught.value.message.splitlines()) == 3
    told, _ = await failed(backend, changed())
    assert [one.partition(". ")[0] for one in told] == ["cases[1]: agent: cannot be changed"]


async def test_more_nouns_than_fit_on_a_page_are_all_there(other: Backend) -> None:
    names = sorted(f"S {number}" for number in range(230))
    await load(other, pack_of({"suites": [{"name": name} for name in names]}))
    assert [suite["name"] for suite in (await export(other))["suites"]] == names


def test_a_limit_of_requests_is_waited_for() -> None:
    async def timed() -> tuple[str, float]:
        refusals = [RateLimited("Too many.", retry_after=30), RateLimited("Too many.")]

        async def call() -> str:
            if refusals:
                raise refusals.pop()
            return "done"

        return await patiently(call), anyio.current_time()

    assert run_in_no_time(timed) == ("done", 90)


def test_a_limit_that_others_use_up_is_not_waited_for_without_end() -> None:
    async def call() -> None:
        raise RateLimited("Too many.")

    with pytest.raises(RateLimited):
        run_in_no_time(lambda: patiently(call))


@pytest.mark.parametrize("format", ["yaml", "json"])
async def test_hostile_strings_survive_a_store_and_a_file(
    other: Backend, tmp_path: Path, format: Any
) -> None:
    naughty: list[str] = json.loads(shared_path("real/blns.json").read_text(encoding="utf-8"))
    odd = [
        "\x00",
        "\x85next",
        "\ufeffmark",
        "half \ud83d",
        "trailing \n  \n",
        "\ttab\n",
        "\u2028",
        "\r\n",
        "\x1b[2J",
    ]
    texts = [text for text in dict.fromkeys([*naughty, *odd]) if text.strip()]
    personas = [
        {
            "name": f"{text}{n}",
            "identity_prompt": text,
            "description": text,
            "behavior_traits": {"x": [text, n, n / 7]},
        }
        for n, text in enumerate(texts)
    ]
    await load(other, pack_of({"personas": personas}))
    text = as_text(await export(other), format)
    assert news(await load(other, files(text, suffix=format))) == NOTHING_NEW
    async with leg(EMBEDDED, Settings.read(database_url=f"sqlite:///{tmp_path / 'third.db'}")) as third:
        await load(third, files(text, suffix=format))
        assert as_text(await export(third), format) == text


# --- The commands


def command(folder: Path, name: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, as a shell runs it."""
    environment = os.environ | {
        "AGENT_EVAL_DATABASE_URL": f"sqlite:///{folder / 'evals.db'}",
        "PYTHONIOENCODING": "utf-8",
    }
    return subprocess.run(
        [sys.executable, "-m", "mcp_agent_eval", name, *arguments],
        input=given,
        capture_output=True,
        encoding="utf-8",
        env=environment,
        cwd=folder,
        check=False,
    )


def test_the_commands_load_and_export(tmp_path: Path) -> None:
    (tmp_path / "clinic.yaml").write_text(CLINIC, encoding="utf-8")
    dry = command(tmp_path, "load", "clinic.yaml", "--dry-run")
    assert dry.stdout.endswith(
        "13 created, 0 updated, 0 unchanged. This was a dry run: nothing was written.\n"
    )
    loaded = command(tmp_path, "load", "clinic.yaml")
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert loaded.stdout.splitlines()[0] == "created agent 'Harbour Dental reception'"
    assert loaded.stdout.splitlines()[-1] == "13 created, 0 updated, 0 unchanged."
    exported = command(tmp_path, "export", "--suite", "Harbour Dental calls")
    assert exported.returncode == 0
    assert len(yaml.safe_load(exported.stdout)["cases"]) == 8
    again = command(tmp_path, "load", "-", given=exported.stdout)
    assert again.stdout == "0 created, 0 updated, 13 unchanged.\n"
    assert command(tmp_path, "export", "--output", "all.json").stderr == (
        "Exported 1 agent, 3 personas, 1 suite, 8 cases.\n"
    )
    assert len(json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["cases"]) == 8


def test_the_load_command_tells_every_error_and_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("cases:\n  - name: C\n")
    (tmp_path / "b.json").write_text('{"suites": [\n{}]}')
    result = command(tmp_path, "load", ".")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "a.yaml:2: cases[0].agent: is required.",
        "a.yaml:2: cases[0].persona: is required.",
        "a.yaml:2: cases[0].scenario: is required.",
        "b.json:2: suites[0].name: is required.",
    ]


def test_the_export_command_says_what_keeps_it_from_writing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("personas: [{name: Maya, identity_prompt: You are Maya.}]")
    command(tmp_path, "load", "a.yaml")
    result = command(tmp_path, "export", "--output", "a.yaml/x.yaml")
    assert result.returncode == 1
    assert "a.yaml/x.yaml" in result.stderr
    assert "Traceback" not in result.stderr
    assert command(tmp_path, "export", "--output", "none/x.yaml").returncode == 0
    assert (tmp_path / "none" / "x.yaml").exists()
    result = command(tmp_path, "export", "--suite", "S")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "mcp-agent-eval: There is no suite named 'S'. There are: none.\n"


def test_looking_makes_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("personas: [{name: Maya, identity_prompt: You are Maya.}]")
    result = command(tmp_path, "load", "a.yaml", "--dry-run")
    assert (result.returncode, result.stdout.splitlines()[0]) == (0, "created persona 'Maya'")
    assert result.stderr.startswith("There is no database at sqlite:///")
    result = command(tmp_path, "export")
    assert (result.returncode, result.stdout) == (1, "")
    assert "AGENT_EVAL_DATABASE_URL" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize("arguments", [["load", ""], ["export", "--output", ""], ["export", "--suite", " "]])
def test_an_empty_argument_is_a_mistake(tmp_path: Path, arguments: list[str]) -> None:
    result = command(tmp_path, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "is empty; leave it out if there is none." in result.stderr


def test_what_is_loaded_gives_no_orders_to_a_build(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("personas: [{name: '##[error]x', identity_prompt: You are Maya.}]")
    (tmp_path / "b.yaml").write_text("personas: [{name: '##[error]x', colour: red}]")
    assert command(tmp_path, "load", "a.yaml").stdout.startswith("created persona '# #[error]x'")
    assert "##[" not in command(tmp_path, "load", "b.yaml").stderr
