"""What hosts on this machine start under our name: every host's file, and every way to get the command wrong."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from mcp_agent_eval.cli.doctor.findings import Finding
from mcp_agent_eval.cli.doctor.host_files import check_host_files, host_files
from mcp_agent_eval.types import Json


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a project without any file in them, and a PATH that holds one command."""
    for name in ("home", "project", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    executable(tmp_path / "bin" / "uvx")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "home"


def executable(file: Path) -> str:
    file.write_text("#!/bin/sh\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def cursor(home: Path, entry: Json, name: str = "agent-eval") -> None:
    write(home / ".cursor" / "mcp.json", json.dumps({"mcpServers": {name: entry}}))


def only() -> Finding:
    [finding] = check_host_files()
    return finding


def test_no_file_is_no_problem() -> None:
    finding = only()
    assert finding.level == "ok"
    assert "mcp-agent-eval hosts" in finding.message


def test_a_command_that_is_there_is_fine(home: Path) -> None:
    cursor(home, {"command": executable(home / "mcp-agent-eval")})
    assert only().level == "ok"


def test_a_command_that_is_gone_is_found(home: Path) -> None:
    cursor(home, {"command": str(home / "old" / "mcp-agent-eval")})
    finding = only()
    assert finding.level == "fail"
    assert "does not exist" in finding.message
    assert (finding.fix or "").startswith("Write the full path: ")


@pytest.mark.skipif(sys.platform == "win32", reason="everything can be executed there")
def test_a_file_that_cannot_be_executed_is_found(home: Path) -> None:
    write(home / "mcp-agent-eval", "")
    cursor(home, {"command": str(home / "mcp-agent-eval")})
    assert only().level == "fail"


@pytest.mark.parametrize("command", [".venv/bin/mcp-agent-eval", "./mcp-agent-eval", "~/bin/mcp-agent-eval"])
def test_a_relative_path_is_found(home: Path, command: str) -> None:
    cursor(home, {"command": command})
    finding = only()
    assert finding.level == "fail"
    assert "relative path" in finding.message


def test_a_bare_command_depends_on_the_path_of_the_host(home: Path) -> None:
    cursor(home, {"command": "uvx", "args": ["mcp-agent-eval"]}, name="evals")
    assert only().level == "warn"
    cursor(home, {"command": "mcp-agent-eval"})
    assert only().level == "fail"
    assert "not in PATH" in only().message


def test_what_the_host_fills_in_is_left_to_it(home: Path) -> None:
    cursor(home, {"command": "${workspaceFolder}/.venv/bin/mcp-agent-eval"})
    assert only().level == "ok"


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("other", {"command": "gone", "args": ["other-server"]}),
        ("agent-eval", {"url": "https://evals.example/mcp"}),
        ("agent-eval", "text"),
        ("agent-eval", {"command": 5}),
    ],
)
def test_servers_of_others_and_servers_elsewhere_are_left_alone(home: Path, name: str, entry: Json) -> None:
    cursor(home, entry, name)
    assert "names this server yet" in only().message


def test_a_variable_that_nobody_reads_is_found_where_it_is_set(home: Path) -> None:
    entry = {"command": executable(home / "it"), "env": {"AGENT_EVAL_JUDGE_MODLE": "offline", "OTHER": "1"}}
    cursor(home, entry)
    command, variable = check_host_files()
    assert (command.level, variable.level) == ("ok", "warn")
    assert "AGENT_EVAL_JUDGE_MODLE" in variable.message
    assert variable.fix == "Did you mean AGENT_EVAL_JUDGE_MODEL?"


def test_every_host_keeps_its_servers_somewhere_else(home: Path) -> None:
    for file in host_files():
        command = str(home / "gone" / file.host.replace(" ", "-"))
        if file.path.suffix == ".toml":
            write(file.path, f'[{file.section}.agent-eval]\ncommand = "{command}"\nargs = []\n')
        else:
            write(file.path, json.dumps({file.section: {"agent-eval": {"command": command}}}))
    found = list(check_host_files())
    assert {finding.level for finding in found} == {"fail"}
    hosts = {finding.message.partition(":")[0] for finding in found}
    assert hosts == {"Claude Code", "Claude Desktop", "Codex", "VS Code", "Cursor", "Gemini CLI", "Zed"}
    assert len(found) == len(list(host_files())) == 12


@pytest.mark.parametrize(
    ("platform", "folder"), [("darwin", "Library/Application Support"), ("win32", "AppData/Roaming")]
)
def test_hosts_keep_their_files_where_each_platform_does(
    home: Path, monkeypatch: pytest.MonkeyPatch, platform: str, folder: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    paths = {file.path for file in host_files()}
    assert home / folder / "Claude" / "claude_desktop_config.json" in paths
    assert home / folder / "Code" / "User" / "mcp.json" in paths


def test_claude_code_keeps_servers_for_each_project_too(home: Path) -> None:
    projects = {
        "projects": {"/somewhere": {"mcpServers": {"agent-eval": {"command": "/gone"}}}, "/else": None}
    }
    write(home / ".claude.json", json.dumps(projects))
    assert only().level == "fail"


def test_zed_nested_a_command_once_more(home: Path) -> None:
    nested = {"agent-eval": {"command": {"path": "/gone", "args": ["x"], "env": {"AGENT_EVAL_X": "1"}}}}
    write(home / ".config" / "zed" / "settings.json", json.dumps({"context_servers": nested}))
    assert [finding.level for finding in check_host_files()] == ["fail", "warn"]


def test_files_of_editors_may_hold_comments_and_last_commas(home: Path) -> None:
    text = """\
    // Zed settings, see https://zed.dev
    {
      "theme": "One, }", /* a
      comment */
      "context_servers": {
        "agent-eval": {"command": "/gone//x", "args": ["a,]",],}, // here
      },
    }
    """
    write(home / ".config" / "zed" / "settings.json", text)
    assert "starts /gone//x, which does not exist" in only().message


@pytest.mark.parametrize("text", ["{", "[1", '{"mcpServers": {"a"}}'])
def test_a_file_that_cannot_be_read_is_told_of(home: Path, text: str) -> None:
    write(home / ".cursor" / "mcp.json", text)
    assert (only().level, "cannot be read" in only().message) == ("warn", True)


@pytest.mark.parametrize("text", ["", "\n", "{}", '{"mcpServers": null}', '{"theme": []}'])
def test_a_file_without_servers_names_nothing(home: Path, text: str) -> None:
    write(home / ".cursor" / "mcp.json", text)
    assert only().level == "ok"


@pytest.mark.parametrize("text", ["[]", '"text"', '{"mcpServers": []}', '{"mcpServers": "x"}'])
def test_a_file_of_the_wrong_shape_is_found(home: Path, text: str) -> None:
    write(home / ".cursor" / "mcp.json", text)
    assert only().level == "warn"
    assert "mcp.json" in only().message


def test_a_folder_in_the_place_of_a_file_is_found(home: Path) -> None:
    (home / ".cursor" / "mcp.json").mkdir(parents=True)
    assert (only().level, "cannot be read" in only().message) == ("warn", True)


def test_a_value_that_does_not_fit_is_found_where_it_is_set(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_EVAL_RATE_LIMIT", "the shell's own")
    wrong = {"AGENT_EVAL_WAIT_SECONDS": "abc", "AGENT_EVAL_JUDGE_MODEL": "offline"}
    cursor(home, {"command": executable(home / "it"), "env": wrong})
    command, variable = check_host_files()
    assert (command.level, variable.level) == ("ok", "fail")
    assert variable.message.startswith(f"{home / '.cursor' / 'mcp.json'}: AGENT_EVAL_WAIT_SECONDS: ")
    assert os.environ["AGENT_EVAL_RATE_LIMIT"] == "the shell's own"


def test_a_value_that_the_host_fills_in_is_left_to_it(home: Path) -> None:
    env = {"AGENT_EVAL_WAIT_SECONDS": "${env:SECONDS}"}
    cursor(home, {"command": executable(home / "it"), "env": env})
    assert only().level == "ok"
