"""What an assistant reads all the time is pinned: one file per result, as the offline model makes it come about.

`UPDATE_SNAPSHOTS=1` rewrites the files, but deletes none. Ids, times and durations are masked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import CallToolResult

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.lab.fitting import CONCISE
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import BOOK, CALLS_TOOL, PROMPT, READS_BACK, SAYS_BACK
from tests.support import OFFLINE

SNAPSHOTS = Path(__file__).resolve().parents[1] / "snapshots" / "results"
UPDATES = bool(os.environ.get("UPDATE_SNAPSHOTS"))

CASE = {
    "agent_id": "Clinic",
    "persona_id": "Maya",
    "suite_id": "Clinic calls",
    "scenario": "You want to book an appointment for a check-up.",
}
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "create_agent",
        "create_agent",
        {
            "name": "Clinic",
            "system_prompt": PROMPT,
            "tools": [BOOK],
            "greeting_message": "Clinic, how can I help?",
        },
    ),
    (
        "create_agent_with_doubts",
        "create_agent",
        {"name": "A", "system_prompt": "{{Who}}", "tools": [{"name": "t"}]},
    ),
    (
        "create_persona",
        "create_persona",
        {
            "name": "Maya",
            "identity_prompt": "You are Maya Cohen, a nurse.",
            "behavior_traits": {"known_info": ["You can come on Tuesday."], "goal": "Get an appointment."},
        },
    ),
    ("create_suite", "create_suite", {"name": "Clinic calls", "parallelism": 1}),
    (
        "create_case",
        "create_case",
        CASE | {"name": "Books a visit", "success_criteria": [CALLS_TOOL, SAYS_BACK]},
    ),
    ("create_another_case", "create_case", CASE | {"name": "Books", "success_criteria": [CALLS_TOOL]}),
    ("run_case_passed", "run_case", {"case_id": "Books"}),
    ("run_case_failed", "run_case", {"case_id": "Books a visit"}),
    (
        "run_case_what_if",
        "run_case",
        {"case_id": "Books a visit", "agent_overrides": {"system_prompt": READS_BACK}},
    ),
    ("get_run_full", "get_run", {"run_id": "{failed}", "detail": "full"}),
    ("read_transcript", "read_transcript", {"run_id": "{failed}"}),
    (
        "read_transcript_part",
        "read_transcript",
        {"run_id": "{failed}", "from_turn": 4, "part": "tools/0/args"},
    ),
    ("run_suite", "run_suite", {"suite_id": "Clinic calls"}),
    ("get_aggregate_full", "get_aggregate", {"suite_id": "Clinic calls", "detail": "full"}),
    ("list_runs", "list_runs", {"case_id": "Books a visit", "limit": 2}),
    ("list", "list", {"kind": "case"}),
    ("get", "get", {"kind": "case", "id": "Books a visit"}),
    ("update", "update", {"kind": "case", "id": "Books", "changes": {"pass_threshold": 50}}),
    (
        "update_cut",
        "update",
        {"kind": "persona", "id": "Maya", "changes": {"description": "Calls from the ward. " * 200}},
    ),
    ("delete", "delete", {"kind": "case", "id": "Books"}),
    ("error", "run_case", {"case_id": "Nobody's"}),
]
READ_ON_PURPOSE = {"get_run_full", "get_aggregate_full"}
"""Results that are asked for in full."""

_MASKS: list[tuple[str, Callable[[re.Match[str]], str]]] = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", lambda _: "<time>"),
    (r"(?<=^seconds: )[\d.]+", lambda _: "<seconds>"),
]


class Masks:
    """Puts the same short word in the place of the same id."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        for pattern, mask in [(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", self._id), *_MASKS]:
            text = re.sub(pattern, mask, text, flags=re.MULTILINE)
        return text

    def _id(self, match: re.Match[str]) -> str:
        return self._known.setdefault(match[0], f"<id {len(self._known) + 1}>")


@asynccontextmanager
async def results(folder: Path) -> AsyncIterator[dict[str, CallToolResult]]:
    """The result of every step, each on what the steps before it made."""
    settings = Settings.read(database_url=f"sqlite:///{folder / 'evals.db'}", **OFFLINE)
    found: dict[str, CallToolResult] = {}
    async with Client(build_server(lambda: connect(settings))) as client:
        for name, tool, arguments in STEPS:
            if arguments.get("run_id") == "{failed}":
                arguments = arguments | {"run_id": found["run_case_failed"].structured_content["run_id"]}
            found[name] = await client.call_tool(tool, arguments)
        yield found


def test_there_is_a_snapshot_for_every_result_and_for_nothing_else() -> None:
    stored = {path.stem for path in SNAPSHOTS.glob("*.txt")}
    names = {name for name, _, _ in STEPS}
    assert stored - names == set()
    assert UPDATES or names - stored == set()


async def test_every_result_reads_as_its_snapshot_has_it(tmp_path: Path) -> None:
    mask = Masks()
    async with results(tmp_path) as found:
        for name, result in found.items():
            path, text = SNAPSHOTS / f"{name}.txt", mask(result.content[0].text) + "\n"  # type: ignore[union-attr]
            if UPDATES:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            stored = path.read_text(encoding="utf-8") if path.exists() else None
            assert stored == text, (
                f"{name} is not as its snapshot: look at the difference, then UPDATE_SNAPSHOTS=1"
            )


async def test_a_common_result_is_short_in_both_of_its_channels(tmp_path: Path) -> None:
    async with results(tmp_path) as found:
        for name, result in found.items():
            value = json.dumps(result.structured_content, ensure_ascii=False)
            longest = max(len(value), len(result.content[0].text))  # type: ignore[union-attr]
            assert longest <= CONCISE or name in READ_ON_PURPOSE, f"{name} has {longest} characters"


async def test_only_the_refusal_is_an_error(tmp_path: Path) -> None:
    async with results(tmp_path) as found:
        assert [name for name, result in found.items() if result.is_error] == ["error"]
