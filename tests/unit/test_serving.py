"""What lies between a socket and the surfaces: a proxy's prefix, and answers that are sent at once."""

from __future__ import annotations

import socket

import httpx2
import pytest
from click.testing import CliRunner
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mcp_agent_eval.api.prefix import Prefix, Rooted
from mcp_agent_eval.api.serve import _listening
from mcp_agent_eval.cli.main import commands
from mcp_agent_eval.errors import NotConfigured


async def shows_its_path(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse([scope["path"], scope["root_path"]])(scope, receive, send)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/eval/mcp", "/mcp"),
        ("/eval/agents/1", "/agents/1"),
        ("/eval/", "/"),
        ("/eval", "/"),
        ("/eval/eval/x", "/eval/x"),
        ("/mcp", "/mcp"),
        ("/evaluation/mcp", "/evaluation/mcp"),
        ("/", "/"),
    ],
)
async def test_a_prefix_is_taken_off_once_and_only_whole(asked: str, seen: str) -> None:
    transport = httpx2.ASGITransport(Prefix(shows_its_path, "/eval"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get(asked)).json() == [seen, ""]


async def test_without_a_prefix_paths_stay_as_they_are() -> None:
    transport = httpx2.ASGITransport(Prefix(Rooted(shows_its_path, ""), ""))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/mcp")).json() == ["/mcp", ""]
        assert (await http.get("/")).json() == ["/", ""]


async def test_rest_is_told_the_prefix_as_asgi_has_it() -> None:
    transport = httpx2.ASGITransport(Prefix(Rooted(shows_its_path, "/eval"), "/eval"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for asked in ("/eval/agents", "/agents"):
            assert (await http.get(asked)).json() == ["/eval/agents", "/eval"]


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_cannot_be_one_is_refused(port: str) -> None:
    result = CliRunner().invoke(commands, ["serve", "--port", port])
    assert result.exit_code == 2
    assert "--port" in result.output


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_here_is_told_with_its_option(host: str) -> None:
    with pytest.raises(NotConfigured) as caught, _listening(host, 0):
        pass
    assert "--host" in (caught.value.hint or "")


@pytest.mark.parametrize("path", ["a b", "/a?b", "/a//b", "https://example.com/eval", "/é"])
def test_what_is_no_path_is_no_prefix(path: str) -> None:
    result = CliRunner().invoke(commands, ["serve", "--root-path", path])
    assert result.exit_code == 2
    assert "must be a path such as /eval" in result.output


def test_no_answer_waits_for_the_network_to_ask_for_its_second_half() -> None:
    with _listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
