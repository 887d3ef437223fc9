"""Worker processes on one database: started, killed, stopped and continued."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import Process, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

ROOT = Path(__file__).resolve().parents[2]
_LET_GO = re.compile(r"run (\S+) (?:was taken over|is left to its lease)")


class Member:
    """One worker process. `name` is also its key, by which the provider knows it."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        assert process.stdout
        self.name = name
        self.process = process
        self.ready = anyio.Event()
        self.log = log
        self.was_ended = False
        self._output = BufferedByteReceiveStream(process.stdout)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def works(self) -> bool:
        """Whether it has started and was not killed."""
        return self.ready.is_set() and self.process.returncode is None

    async def greet(self) -> None:
        """Wait until it works, or is ended before.

        Raises:
            AssertionError: it died by itself.
        """
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            await self._line()
            self.ready.set()
        assert self.ready.is_set() or self.was_ended, f"{self.name} died: {self.log.read_text()}"

    async def set_clock(self, ahead: float) -> None:
        """Set its clock by so many seconds from the true time."""
        assert self.process.stdin
        await self.process.stdin.send(f"{ahead}\n".encode())
        await self._line()

    async def kill(self) -> None:
        """End it as a lost machine would."""
        self.was_ended = True
        self.process.kill()
        await self.process.wait()

    async def close(self) -> None:
        """Let it end in an orderly way."""
        self.was_ended = True
        assert self.process.stdin
        await self.process.stdin.aclose()
        await self.process.wait()

    def stop(self) -> None:
        """Let it stand still, as a sleeping laptop does."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after `stop`."""
        os.kill(self.pid, signal.SIGCONT)

    def let_go(self) -> list[str]:
        """The runs that it says it has lost, as often as it did."""
        return _LET_GO.findall(self.log.read_text())

    async def _line(self) -> bytes:
        return await self._output.receive_until(b"\n", 1000)


class Fleet:
    """The workers. Each is started with the same options of `worker` and the same settings."""

    def __init__(self, tasks: TaskGroup, folder: Path, settings: Mapping[str, str], **options: float) -> None:
        self.members: list[Member] = []
        self._tasks = tasks
        self._folder = folder
        self._env = {**_without_keys(os.environ), **settings}
        self._options = options

    async def start(self, **options: float) -> Member:
        """A new worker, which may take a while to be ready; `options` on top of the fleet's."""
        member = await self._spawn(**options)
        self._tasks.start_soon(member.greet)
        return member

    async def start_ready(self, count: int = 1, **options: float) -> list[Member]:
        """New workers, once all of them work."""
        started = [await self.start(**options) for _ in range(count)]
        for member in started:
            await member.ready.wait()
        return started

    async def start_in_vain(self) -> str:
        """What a new worker says that cannot work."""
        member = await self._spawn()
        await member.process.wait()
        return member.log.read_text()

    async def _spawn(self, **options: float) -> Member:
        name = f"worker-{len(self.members)}"
        given = [
            f"--{option.replace('_', '-')}={value}" for option, value in (self._options | options).items()
        ]
        log = self._folder / f"{name}.log"
        with log.open("wb") as errors:
            process = await anyio.open_process(
                [sys.executable, "-m", "tests.faults.worker", *given],
                cwd=ROOT,
                env=self._env | {"OPENAI_API_KEY": name},
                stderr=errors,
            )
        member = Member(name, process, log)
        self.members.append(member)
        return member

    def working(self) -> list[Member]:
        """Those that could be killed at work."""
        return [member for member in self.members if member.works]

    def let_go(self) -> list[tuple[str, str]]:
        """The names of workers with the runs that they say they have lost."""
        return [(member.name, run) for member in self.members for run in member.let_go()]

    async def clear(self) -> None:
        """Leave none."""
        for member in self.members:
            if member.process.returncode is None:
                await member.kill()
            await member.process.aclose()


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """No setting of whoever starts the harness, and no key of a real provider."""
    ours = ("AGENT_EVAL_", "OPENAI_", "ANTHROPIC_")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


@asynccontextmanager
async def fleet(folder: Path, settings: Mapping[str, str], **options: float) -> AsyncGenerator[Fleet]:
    """An empty fleet; none of its workers outlives the block."""
    async with anyio.create_task_group() as tasks:
        running = Fleet(tasks, folder, settings, **options)
        try:
            yield running
        finally:
            with anyio.CancelScope(shield=True):
                await running.clear()
            tasks.cancel_scope.cancel()
