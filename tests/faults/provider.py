"""A model provider that answers by the script, counts what it was asked, and has every fault that it is told to have.

It lives in the harness: whoever kills workers does not kill it. A worker is known by its key.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Literal

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.faults.script import FOUND, Call, Json, Step, answer, call_of, step_of, usage

Outcome = Literal["answered", "cut", "dropped", "patience", "failed"]


@dataclass(frozen=True, slots=True)
class Faults:
    """How likely each fault is, and how many seconds an answer takes on average."""

    patience: float = 0.0
    """Status 429, with a time to come back at."""
    failed: float = 0.0
    """Status 500 or 503."""
    dropped: float = 0.0
    """The connection is lost before there is an answer."""
    cut: float = 0.0
    """The connection is lost in the middle of an answer, which is paid for."""
    slow: float = 0.0
    """The answer takes a second more."""
    latency: float = 0.1


NO_FAULTS = Faults(latency=0.0)
USUAL_FAULTS = Faults(patience=0.02, failed=0.02, dropped=0.01, cut=0.01, slow=0.02)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that arrived, and what became of it. An answer carries the request's number."""

    number: int
    step: Step
    worker: str
    outcome: Outcome


class Provider:
    """What it was asked is in `requests`, and how many requests there were at once in `most`: of each model, and of
    each suite by its number. While it `is_down` it answers 503, and while it `is_silent` nothing.

    The tool of those runs that use it for real is here, too; `used` is how often, by call.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self.url = ""
        self.is_down = False
        self.is_silent = False
        self.requests: list[Request] = []
        self.most: Counter[str | int] = Counter()
        self.used: Counter[Call] = Counter()
        self._open: Counter[str | int] = Counter()
        self._faults = faults
        self._random = Random(seed)

    def open_requests(self, worker: str) -> int:
        """How many requests of a worker wait for their answer."""
        return self._open[f"key {worker}"]

    async def converse(self, stream: SocketStream) -> None:
        """Answer the requests of one connection, for as long as it lasts."""
        received = BufferedByteReceiveStream(stream)
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, _Lost):
            async with stream:
                while True:
                    path, worker, body = await _read(received)
                    if path.endswith(_TOOL):
                        await self._use(stream, call_of(body))
                    else:
                        await self._serve(stream, worker, step_of(body))

    @property
    def tool_url(self) -> str:
        """Where the tool is used."""
        return self.url + _TOOL

    async def _use(self, stream: SocketStream, call: Call) -> None:
        self.used[call] += 1
        await anyio.sleep(self._seconds())
        await stream.send(_response(200, FOUND))

    async def _serve(self, stream: SocketStream, worker: str, step: Step) -> None:
        request = Request(len(self.requests), step, worker, self._draw())
        self.requests.append(request)
        with self._counted(f"key {worker}", step.role, step.call.suite):
            await anyio.sleep(self._seconds())
            if self.is_silent:
                await anyio.sleep_forever()
            await _send(stream, request, self._random)

    def _draw(self) -> Outcome:
        if self.is_down:
            return "failed"
        chances: dict[Outcome, float] = {
            "patience": self._faults.patience,
            "failed": self._faults.failed,
            "dropped": self._faults.dropped,
            "cut": self._faults.cut,
        }
        chances["answered"] = 1 - sum(chances.values())
        return self._random.choices(list(chances), list(chances.values()))[0]

    def _seconds(self) -> float:
        is_slow = self._random.random() < self._faults.slow
        return self._random.uniform(0, 2 * self._faults.latency) + is_slow

    @contextmanager
    def _counted(self, *names: str | int) -> Generator[None]:
        self._open.update(names)
        for name in names:
            self.most[name] = max(self.most[name], self._open[name])
        try:
            yield
        finally:
            self._open.subtract(names)


@asynccontextmanager
async def provider(faults: Faults = NO_FAULTS, seed: int = 0) -> AsyncGenerator[Provider]:
    """A running provider; it stops with the block."""
    running = Provider(faults, seed)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    running.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, running.converse)
        yield running
        tasks.cancel_scope.cancel()


_TOOL = "/tool"


class _Lost(Exception):
    """The connection was given up on purpose."""


async def _read(received: BufferedByteReceiveStream) -> tuple[str, str, Json]:
    """The path of a request, whose it is, and its body."""
    head = (await received.receive_until(b"\r\n\r\n", 10_000)).decode()
    headers = {
        name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n"))
    }
    body = await received.receive_exactly(int(headers["content-length"]))
    return head.split()[1], headers.get("authorization", "").removeprefix("Bearer "), json.loads(body)


async def _send(stream: SocketStream, request: Request, random: Random) -> None:
    if request.outcome == "answered":
        await stream.send(_response(200, _completion(request)))
    elif request.outcome == "patience":
        wait = random.randint(20, 200)
        await stream.send(_response(429, _error("Not so fast."), f"retry-after-ms: {wait}\r\n"))
    elif request.outcome == "failed":
        await stream.send(_response(random.choice((500, 503)), _error("Out of order.")))
    else:
        if request.outcome == "cut":
            await stream.send(_response(200, _completion(request))[:-20])
        raise _Lost


def _completion(request: Request) -> Json:
    tokens_in, tokens_out = usage(request.step)
    choice = {"index": 0, "message": answer(request.step), "finish_reason": "stop"}
    tokens = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return {"id": str(request.number), "model": request.step.role, "choices": [choice], "usage": tokens}


def _error(message: str) -> Json:
    return {"error": {"message": message}}


def _response(status: int, body: object, headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    kind = "content-type: application/json\r\n"
    return f"HTTP/1.1 {status} -\r\n{kind}{headers}content-length: {len(content)}\r\n\r\n".encode() + content
