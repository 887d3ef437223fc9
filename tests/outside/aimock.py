"""Endpoint agents beside a mock server that others publish: the npm package `@copilotkit/aimock`.

    python -m tests.outside.aimock [--node PATH] [--npm PATH] [--installed FOLDER] [--only WORDS]

Installs the package into a temporary folder, starts it with the fixtures of all scenarios, and runs each of them
through the real MCP server over stdio, with `offline` as the persona. A run has to end completed, with what aimock
was told to say and to call, or failed, with a reason that names the endpoint's host. The exit status is 1 when one
does not, and 2 when something is missing. It is no part of the test suite: it needs Node 20 and npm with a registry.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client

from tests.support import OFFLINE, call, free_port, stdio_server

Json = dict[str, Any]

PACKAGE = "@copilotkit/aimock"
VERSION = "1.43.0"
KEY = "a-key-that-must-not-be-seen"
SIGNED = {"Authorization": "Bearer {{secret.AIMOCK}}"}
HANG = 30_000
"""Milliseconds: the longest that aimock waits, and longer than any endpoint here is given."""


class Missing(Exception):
    """Something that this script needs is not there."""


@dataclass(frozen=True)
class Scenario:
    """What aimock does, and what has to come of it: `fails` is a piece of the reason, "" where nothing may fail.

    `tools` is how the tool shows in the transcript, and `requests` how often aimock is asked.
    """

    name: str
    fixtures: Sequence[Json]
    says: str = ""
    fails: str = ""
    tools: Sequence[Json] = ()
    requests: int = 1
    stream: bool = False
    declares: bool = False
    timeout: int = 20
    headers: dict[str, str] = field(default_factory=lambda: SIGNED)

    @property
    def model(self) -> str:
        """The model by which aimock tells the scenarios apart."""
        return "-".join(self.name.replace(",", "").split())


HOURS = "We are open from nine to five. Goodbye."
PARTY = "You are booked \U0001f389\U0001f44d\U0001f3fd. Goodbye."
BOOKED = "Booked for Tuesday. Goodbye."
USE: Json = {"name": "book", "arguments": {"day": "Tuesday"}}
RESULT: Json = {"number": "HD-7"}
REPORTED: list[Json] = [{"calls": "book", "args": {"day": "Tuesday"}}]
LEFT: list[Json] = [*REPORTED, {"tool": "book", "result": RESULT, "mocked": True}]
TOOL: Json = {
    "name": "book",
    "description": "Books an appointment.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
}


def fixture(response: Json, match: Json | None = None, **options: Any) -> Json:
    """One entry of a fixture file; the model is added to what it matches."""
    return {"match": match or {}, "response": response, **options}


def text(content: str, match: Json | None = None, **options: Any) -> Json:
    """A fixture that says something."""
    return fixture({"content": content}, match, **options)


def error(status: int, message: str, match: Json | None = None, **more: Any) -> Json:
    """A fixture that answers with an error; `more` goes beside it, such as `retryAfter`."""
    return fixture({"error": {"message": message, "type": "of_aimock"}, "status": status, **more}, match)


def once(status: int, message: str, **more: Any) -> list[Json]:
    """An error for the first request, and an answer from then on."""
    return [error(status, message, {"sequenceIndex": 0}, **more), text(HOURS)]


def chaos(**rates: float) -> list[Json]:
    """An answer that one of aimock's own faults keeps from coming."""
    return [text(HOURS, chaos=rates)]


def left_to_us(**beside: str) -> list[Json]:
    """A call that waits for its result, and then an answer that only this result brings about."""
    asks = fixture({"toolCalls": [USE], **beside}, {"hasToolResult": False})
    return [text(BOOKED, {"toolResultContains": "HD-7"}), asks]


def answers(stream: bool) -> list[Scenario]:
    """Everything that has to come out the same in one piece and as a stream."""
    how = "streamed" if stream else "plain"
    turns = [text("On which day?", {"turnIndex": 0}), text(BOOKED, {"turnIndex": 1})]
    beside = fixture({"content": BOOKED, "toolCalls": [USE], "finishReason": "stop"})
    first = fixture({"blocks": [{"type": "toolCall", **USE}, {"type": "text", "text": BOOKED}]})
    unasked = [fixture({"toolCalls": [USE]})]
    talk: Json = {"says": BOOKED, "stream": stream}
    waits: Json = talk | {"tools": LEFT, "requests": 2, "declares": True}
    return [
        Scenario(f"{how}, a text", [text(HOURS)], HOURS, stream=stream),
        Scenario(f"{how}, a text in single UTF-16 units", [text(PARTY, chunkSize=1)], PARTY, stream=stream),
        Scenario(f"{how}, two turns", turns, requests=2, **talk),
        Scenario(f"{how}, reported call beside a text", [beside], tools=REPORTED, declares=True, **talk),
        Scenario(f"{how}, reported call before a text", [first], tools=REPORTED, **talk),
        Scenario(f"{how}, call left to us", left_to_us(), **waits),
        Scenario(f"{how}, call left to us with a text", left_to_us(content="One moment."), **waits),
        Scenario(f"{how}, call of an undeclared tool", unasked, fails="does not declare", stream=stream),
        Scenario(f"{how}, nothing said", [text("")], fails="answered 200 with no text", stream=stream),
    ]


def recoveries() -> list[Scenario]:
    """Faults that pass."""
    return [
        Scenario("429 once", once(429, "slow down", retryAfter=1), HOURS, requests=2),
        Scenario("503 once", once(503, "starting"), HOURS, requests=2, stream=True),
        Scenario("user is refused", once(400, "user: Extra inputs are not permitted"), HOURS, requests=2),
        Scenario("latency", chaos(latencyMs=300), HOURS),
    ]


def refusals() -> list[Scenario]:
    """Statuses that stay."""
    quota = fixture({"error": {"message": "no credit", "code": "insufficient_quota"}, "status": 429})
    audio = fixture({"audio": "AAAA"})
    return [
        Scenario("429 by chaos", chaos(rateLimitRate=1), fails="answered 429 (3 attempts)", requests=3),
        Scenario("429 for longer than there is", [error(429, "later", retryAfter=60)], fails="answered 429"),
        Scenario("429 for want of credit", [quota], fails="answered 429"),
        Scenario("500 by chaos", chaos(dropRate=1), fails="answered 500 (3 attempts)", requests=3),
        Scenario("500, streamed", chaos(dropRate=1), fails="500 (3 attempts)", requests=3, stream=True),
        Scenario("503", [error(503, "down")], fails="answered 503 (3 attempts)", requests=3),
        Scenario("400", [error(400, "no")], fails="answered 400"),
        Scenario("403", [error(403, "not for you")], fails="answered 403"),
        Scenario("422 for an audio fixture", [audio], fails="answered 422"),
        Scenario("404 for want of a fixture", [], fails="answered 404"),
        Scenario("401 for want of a key", [text(HOURS)], fails="answered 401", requests=0, headers={}),
    ]


def breakages() -> list[Scenario]:
    """Answers that never come, or not whole. What hangs by chaos is not in aimock's journal."""
    slow = [text(HOURS, streamingProfile={"ttft": 10, "tps": 1})]
    late = [text(HOURS, streamingProfile={"ttft": HANG})]
    cut = [text(HOURS, chunkSize=4, truncateAfterChunks=4)]
    cut_call = [fixture({"toolCalls": [USE]}, chunkSize=4, truncateAfterChunks=3)]
    timed = [text(HOURS, chunkSize=4, latency=100, disconnectAfterMs=350)]
    whole = "closed the connection before its answer was complete"
    in_time = "gave no complete answer within 1 s"
    return [
        Scenario("bad JSON", chaos(malformedRate=1), fails="a body that is not JSON"),
        Scenario("bad JSON, streamed", chaos(malformedRate=1), fails="a body that is not JSON", stream=True),
        Scenario("connection dropped", chaos(disconnectRate=1), fails=whole),
        Scenario("connection dropped, streamed", chaos(disconnectRate=1), fails=whole, stream=True),
        Scenario("hang", chaos(latencyMs=HANG), fails=in_time, requests=0, timeout=1),
        Scenario("hang, streamed", chaos(latencyMs=HANG), fails=in_time, requests=0, timeout=1, stream=True),
        Scenario("first event too late", late, fails=in_time, timeout=1, stream=True),
        Scenario("events too slow", slow, fails=in_time, timeout=1, stream=True),
        Scenario("stream cut after four events", cut, fails=whole, stream=True),
        Scenario("stream cut in a call", cut_call, fails=whole, stream=True, declares=True),
        Scenario("stream cut after a while", timed, fails=whole, stream=True),
    ]


SCENARIOS = [*answers(stream=False), *answers(stream=True), *recoveries(), *refusals(), *breakages()]


def fixture_file(folder: Path) -> Path:
    """All fixtures, each for the model of its scenario."""
    fixtures = [
        each | {"match": each["match"] | {"model": scenario.model}}
        for scenario in SCENARIOS
        for each in scenario.fixtures
    ]
    path = folder / "fixtures.json"
    path.write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
    return path


def tool_path(given: str | None, name: str) -> str:
    """Where a program is. Raises Missing."""
    found = shutil.which(given or name)
    if found is None:
        raise Missing(
            f"{given or name} was not found: install Node 20 or newer with npm, or give --{name} PATH."
        )
    return os.path.abspath(found)


def install(node: str, npm: str, folder: Path) -> None:
    """Put aimock into a folder. Raises Missing: npm could not."""
    command = [npm, "install", "--prefix", str(folder), "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
    path = os.pathsep.join([os.path.dirname(node), os.environ.get("PATH", "")])
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"npm could not install {PACKAGE}@{VERSION}:\n{done.stderr.strip()}")


@contextmanager
def aimock(node: str, installed: Path, folder: Path) -> Iterator[str]:
    """aimock with the fixtures of all scenarios, asking for a key; yields its address. Raises Missing."""
    script = installed / "node_modules" / PACKAGE / "dist" / "cli.js"
    if not script.exists():
        raise Missing(
            f"{PACKAGE} is not in {installed}: leave --installed out, and it is put into a folder of its own."
        )
    port = str(free_port())
    command = [
        node,
        str(script),
        "--port",
        port,
        "--fixtures",
        str(fixture_file(folder)),
        "--log-level",
        "warn",
    ]
    log = folder / "aimock.log"
    environment = os.environ | {"AIMOCK_API_KEYS": KEY}
    with log.open("w") as lines:
        process = subprocess.Popen(
            command, env=environment, stdout=lines, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_it_answers(process, f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started: a `node` that comes with a Python package is a launcher of another."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_it_answers(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Raises Missing: it ended, or said nothing in time."""
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        try:
            journal(address)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise Missing(f"{PACKAGE} did not start:\n{log.read_text(encoding='utf-8')}")


def journal(address: str) -> list[Json]:
    """The requests that aimock has noted."""
    found = httpx2.get(
        f"{address}/__aimock/journal", headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
    )
    return found.raise_for_status().json()


def agent_of(scenario: Scenario, address: str) -> Json:
    """The agent as `create_agent` takes it."""
    endpoint = {
        "protocol": "openai",
        "url": f"{address}/v1",
        "model": scenario.model,
        "stream": scenario.stream,
        "timeout_seconds": scenario.timeout,
        "headers": scenario.headers,
    }
    tools = [TOOL] if scenario.declares else []
    return {"type": "endpoint", "endpoint": endpoint, "tools": tools, "agent_speaks_first": False}


def case_of(scenario: Scenario) -> Json:
    """The case as `create_case` takes it."""
    return {
        "agent_id": scenario.name,
        "persona_id": "Maya",
        "scenario": "You want an appointment on Tuesday.",
        "max_turns": 6,
        "tool_mocks": {"book": {"result": RESULT}} if scenario.declares else {},
        "success_criteria": [{"type": "must_call_tool", "tool_name": "book"}] if scenario.tools else [],
    }


async def run(client: Client, scenario: Scenario, address: str) -> tuple[Json, list[Json]]:
    """The result of a scenario's run, and its transcript."""
    await call(client, "create_agent", name=scenario.name, **agent_of(scenario, address))
    case = await call(client, "create_case", name=scenario.name, **case_of(scenario))
    result = await call(client, "run_case", case_id=case["case_id"])
    shown = await call(client, "read_transcript", run_id=result["run_id"], max_characters=20_000)
    turns = shown["untrusted_turns"]
    return result, turns if isinstance(turns, list) else []


def problems(
    scenario: Scenario, result: Json, turns: list[Json], asked: list[Json], host: str
) -> Iterator[str]:
    """What is not as it has to be."""
    if scenario.fails:
        yield from wrong_failure(scenario, result, host)
    else:
        yield from wrong_ending(scenario, result, turns)
    if len(asked) != scenario.requests:
        yield f"aimock was asked {len(asked)} times, not {scenario.requests}"
    if any(message["role"] == "system" for each in asked for message in each["body"]["messages"]):
        yield "a system prompt was sent"
    if KEY in json.dumps([result, turns]):
        yield "the key is shown"


def wrong_failure(scenario: Scenario, result: Json, host: str) -> Iterator[str]:
    """A failure has to name the host and the cause."""
    reason = str(result.get("error", ""))
    if result["status"] != "failed":
        yield f"it is {result['status']}, not failed"
    elif host not in reason or scenario.fails not in reason or "Traceback" in reason:
        yield f"the reason is: {reason}"


def wrong_ending(scenario: Scenario, result: Json, turns: list[Json]) -> Iterator[str]:
    """A completed run has to hold what aimock was told to say and to call, and to pass."""
    if result["status"] != "completed" or result.get("pass_fail") is False:
        yield f"it is {result['status']}: {result.get('error') or result.get('failed_assertions') or result}"
    said = [turn.get("text") for turn in turns if turn["role"] == "agent"]
    if scenario.says not in said:
        yield f"the agent said {said}"
    used = [tool for turn in turns for tool in turn.get("tools", [])]
    if used != list(scenario.tools):
        yield f"the tools used are {used}"


async def run_all(scenarios: list[Scenario], address: str, folder: Path) -> int:
    """Run and print them one after the other; how many were not as they have to be."""
    failed = 0
    async with Client(stdio_server(folder, secret_aimock=KEY, **OFFLINE)) as client:
        await call(
            client, "create_persona", name="Maya", identity_prompt="You are Maya. You are free on Tuesday."
        )
        for scenario in scenarios:
            result, turns = await run(client, scenario, address)
            asked = [
                each
                for each in journal(address)
                if each["headers"].get("x-conversation-id") == result["run_id"]
            ]
            found = list(problems(scenario, result, turns, asked, address.removeprefix("http://")))
            print(
                f"{'FAIL' if found else 'ok  '}  {scenario.name}: {'; '.join(found) or outcome(result)}",
                flush=True,
            )
            failed += bool(found)
    return failed


def outcome(result: Json) -> str:
    """How a run ended, in a line."""
    return str(result.get("error") or f"{result['status']}, {result.get('termination_reason')}")


def check(options: argparse.Namespace) -> int:
    """How many scenarios failed. Raises Missing."""
    node = tool_path(options.node, "node")
    scenarios = [each for each in SCENARIOS if options.only in each.name]
    if not scenarios:
        raise Missing(f"No scenario has {options.only!r} in its name.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.installed is None:
            install(node, tool_path(options.npm, "npm"), folder)
        with aimock(node, options.installed or folder, folder) as address:
            failed = anyio.run(run_all, scenarios, address, folder)
    print(f"{len(scenarios) - failed} passed, {failed} failed")
    return failed


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="Runs endpoint agents against aimock.")
    parser.add_argument("--node", help="the program node (default: the one on the PATH)")
    parser.add_argument("--npm", help="the program npm (default: the one on the PATH)")
    parser.add_argument("--installed", type=Path, help="a folder into which npm has installed aimock already")
    parser.add_argument("--only", default="", help="only scenarios with these words in their names")
    try:
        return 1 if check(parser.parse_args()) else 0
    except Missing as exc:
        print(exc, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
