"""What hosts are given: each way of telling them starts the same server, and docs/install.md shows them all."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest
from click.testing import CliRunner
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from mcp_agent_eval.cli.hosts import HOSTS, Launch, Way, hosts

ROOT = Path(__file__).resolve().parents[2]
INSTALL = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PATH = Launch("/path/to/.venv/bin/mcp-agent-eval")
UVX = Launch("uvx", ("mcp-agent-eval",))
SPACED = Launch("/Users/Ann Lee/bin/mcp-agent-eval")

WAYS = [(name, number) for name, host in HOSTS.items() for number, _ in enumerate(host.ways(PATH))]


def sections() -> dict[str, str]:
    """The text under each heading of docs/install.md."""
    parts = re.split(r"^## (.*)$", INSTALL, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def in_the_browser(way: Way) -> str:
    """A link that may stand on a web page, which most refuse to the hosts' own schemes."""
    if way.text.startswith("cursor:"):
        return f"https://cursor.com/en/install-mcp?{way.text.partition('?')[2]}"
    return f"https://vscode.dev/redirect?url={quote(way.text, safe='')}"


def starts(way: Way) -> list[str]:
    """The command line that a host makes of a way, once it has been told."""
    if way.kind == "sh":
        return _by_command(shlex.split(way.text))
    if way.kind == "toml":
        return _by_entry(tomllib.loads(way.text)["mcp_servers"]["agent-eval"])
    if way.kind == "link":
        return _by_entry(_linked(way.text))
    told = json.loads(way.text)
    return _by_entry(next(told[key] for key in told if key != "inputs")["agent-eval"])


def _by_command(words: list[str]) -> list[str]:
    if words[0] == "code":
        return _by_entry(json.loads(words[2]))
    assert "OPENAI_API_KEY=sk-..." in words
    after = words.index("--") if "--" in words else words.index("agent-eval")
    return words[after + 1 :]


def _by_entry(entry: dict[str, Any]) -> list[str]:
    assert entry["env"].keys() == {"OPENAI_API_KEY"}
    return [entry["command"], *entry.get("args", [])]


def _linked(link: str) -> dict[str, Any]:
    _, _, query = link.partition("?")
    if link.startswith("vscode:"):
        return json.loads(unquote(query))
    [config] = parse_qs(query, strict_parsing=True)["config"]
    return json.loads(b64decode(config))


@pytest.mark.parametrize("launch", [PATH, UVX, SPACED], ids=["path", "uvx", "a path with a space"])
@pytest.mark.parametrize(("name", "number"), WAYS)
def test_every_way_starts_the_same_command_with_a_key(name: str, number: int, launch: Launch) -> None:
    assert starts(list(HOSTS[name].ways(launch))[number]) == list(launch.words())


@pytest.mark.parametrize("name", HOSTS)
def test_install_md_shows_every_way_under_the_name_of_its_host(name: str) -> None:
    section = sections()[HOSTS[name].name]
    for way in HOSTS[name].ways(PATH):
        assert way.kind == "link" or f"```{way.kind}\n{way.text}\n```" in section


@pytest.mark.parametrize("name", ["cursor", "vs-code"])
def test_install_md_links_to_what_a_host_that_installs_by_a_click_needs(name: str) -> None:
    [link] = [way for way in HOSTS[name].ways(UVX) if way.kind == "link"]
    assert f"({in_the_browser(link)})" in sections()[HOSTS[name].name]


@pytest.mark.parametrize(("name", "number"), [("claude-code", 0), ("cursor", 0), ("codex", 1)])
def test_install_md_shows_how_uvx_is_used_in_each_form(name: str, number: int) -> None:
    assert list(HOSTS[name].ways(UVX))[number].text in sections()["With uvx"]


@pytest.mark.parametrize("name", ["claude-code", "claude-desktop"])
def test_the_readme_shows_a_command_and_a_file(name: str) -> None:
    assert next(HOSTS[name].ways(PATH)).text in README


def test_no_key_is_written_where_a_project_would_share_it() -> None:
    _, project_file = HOSTS["claude-code"].ways(PATH)
    shared = [project_file, *HOSTS["vs-code"].ways(PATH)]
    assert [way for way in shared if "sk-" in way.text] == []


def test_the_command_shows_all_hosts_or_the_one_that_is_named() -> None:
    everything, one = (CliRunner().invoke(hosts, arguments).output for arguments in ([], ["zed"]))
    assert all(host.name in everything for host in HOSTS.values())
    assert "Zed" in one
    assert "Cursor" not in one


def test_the_help_names_every_host() -> None:
    told = CliRunner().invoke(hosts, ["--help"]).output
    assert [name for name in HOSTS if not re.search(rf"\b{name}\b", told)] == []


def test_uvx_is_given_the_name_of_the_package() -> None:
    told = CliRunner().invoke(hosts, ["codex", "--uvx"]).output
    assert re.search(r'command = ".*uvx"\n +args = \["mcp-agent-eval"\]', told)


async def test_what_is_shown_for_this_installation_starts_the_server() -> None:
    told = CliRunner().invoke(hosts, ["claude-desktop"]).output
    entry = json.loads(told[told.index("{") :])["mcpServers"]["agent-eval"]
    assert Path(entry["command"]).parent == Path(sys.executable).parent
    async with Client(StdioServerParameters(**entry)) as client:
        assert "run_case" in {tool.name for tool in (await client.list_tools()).tools}
