"""`doctor` on machines with every common mistake, and on one that is well."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_agent_eval.cli.doctor import installation, storage
from mcp_agent_eval.cli.doctor.findings import Finding
from mcp_agent_eval.cli.doctor.models import check_models
from mcp_agent_eval.cli.doctor.server import check_server
from mcp_agent_eval.cli.doctor.variables import known_variables, read_settings
from mcp_agent_eval.cli.hosts import Launch
from mcp_agent_eval.cli.main import commands
from mcp_agent_eval.settings import Settings
from tests.legs import served
from tests.running import running
from tests.support import OFFLINE, free_port

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
ABOUT = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, flags=re.MULTILINE))
"""What the page says that is looked at."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, in which no host has a file."""
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("CODEX_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offline(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    for name, value in (OFFLINE | more).items():
        monkeypatch.setenv(f"AGENT_EVAL_{name.upper()}", value)


async def found(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


# --- As a whole


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["doctor", *arguments])


def test_a_machine_that_is_well_is_told_so(folder: Path) -> None:
    settings = {f"AGENT_EVAL_{name.upper()}": value for name, value in OFFLINE.items()}
    command = [sys.executable, "-m", "mcp_agent_eval", "doctor", "--no-network", "--json"]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], done.stderr) == (0, True, "")
    about = {finding["about"]: finding for finding in report["findings"]}
    assert about.keys() >= {
        "packages",
        "command",
        "settings",
        "database",
        "disk",
        "models",
        "server",
        "hosts",
    }
    assert "tools in" in about["server"]["message"]
    assert all(("fix" in finding) == (finding["level"] != "ok") for finding in report["findings"])
    assert list(folder.iterdir()) == [], "looking changes nothing"


def test_what_fails_is_told_with_its_fix_and_by_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch, wait_seconds="soon")
    result = doctor("--no-network")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    place = next(
        n for n, line in enumerate(lines) if line.startswith("fail  settings    AGENT_EVAL_WAIT_SECONDS: ")
    )
    assert lines[place + 1].strip().startswith("-> Correct the variable")
    assert " checks: 1 failed, " in lines[-1]


# --- Settings


def test_every_setting_that_does_not_fit_is_told_and_the_others_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch, wait_seconds="soon", max_concurrency="-1", prices="{no json", persona_end_marker=" ")
    settings, findings = read_settings()
    assert levels(findings) == ["fail"] * 4
    told = " ".join(finding.message for finding in findings)
    for name in ("WAIT_SECONDS", "MAX_CONCURRENCY", "PRICES", "PERSONA_END_MARKER"):
        assert f"AGENT_EVAL_{name}: " in told
    assert (settings.agent_model, settings.wait_seconds) == ("offline", 45)
    assert os.environ["AGENT_EVAL_WAIT_SECONDS"] == "soon"


def test_settings_that_do_not_fit_together_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_WAIT_SECONDS", "90")
    [finding] = read_settings()[1]
    assert (finding.level, "above AGENT_EVAL_WAIT_CAP" in finding.message) == ("fail", True)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AGENT_EVAL_AGENT_MODL", "AGENT_EVAL_AGENT_MODEL"),
        ("AGENT_EVAL_DB_URL", "AGENT_EVAL_DATABASE_URL"),
        ("agent_eval_tokn", "AGENT_EVAL_TOKEN"),
        ("AGENT_EVAL_OPENAI_API_KEY", "OPENAI_API_KEY"),
    ],
)
def test_a_variable_that_nobody_reads_is_told_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "x")
    [finding] = read_settings()[1]
    assert (finding.level, finding.fix) == ("warn", f"Did you mean {nearest}?")
    assert name in finding.message


def test_secrets_and_the_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_SECRET_CRM", "x")
    monkeypatch.setenv("OPENAI_ORGANIZATION", "x")
    assert levels(read_settings()[1]) == ["ok"]


def test_a_variable_that_is_like_no_other_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_QQQQ", "x")
    [finding] = read_settings()[1]
    assert (finding.level, "docs/settings.md" in (finding.fix or "")) == ("warn", True)


def test_no_value_of_a_variable_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_variables():
        monkeypatch.setenv(name, "sk-hidden")
    settings, findings = read_settings()
    assert "sk-hidden" not in repr(findings)
    assert settings.wait_cap == 55


# --- The database


async def database(where: Path | str) -> list[Finding]:
    return await found(storage.check_database(Settings.read(database_url=str(where))))


async def test_a_database_that_was_never_used_is_not_made_by_looking(folder: Path) -> None:
    findings = await database(folder / "deep" / "evals.db")
    assert levels(findings) == ["ok", "ok"]
    assert not (folder / "deep").exists()


async def test_a_database_that_can_be_used_is_fine(folder: Path) -> None:
    sqlite3.connect(folder / "evals.db").close()
    findings = await database(folder / "evals.db")
    assert levels(findings) == ["ok", "ok"]
    assert "schema is the one of this version" in findings[0].message


async def test_a_database_of_a_newer_version_is_found(folder: Path) -> None:
    file = folder / "evals.db"
    file.touch()
    await database(file)
    with sqlite3.connect(file) as newer:
        newer.execute("INSERT INTO schema_steps (name, sha256) VALUES ('9999_later', 'x')")
    newer.close()
    [finding] = await database(file)
    assert (finding.level, finding.fix) == ("fail", "Upgrade mcp-agent-eval, or choose another database.")


@pytest.mark.parametrize("where", ["mysql://db/evals", ":memory:"])
async def test_an_address_that_is_none_is_found(where: str) -> None:
    assert levels(await database(where)) == ["fail"]


async def test_a_file_that_is_no_database_is_found(folder: Path) -> None:
    (folder / "evals.db").write_text("this is a text\n" * 500)
    [finding] = await database(folder / "evals.db")
    assert "is not a database" in finding.message


async def test_a_place_where_nothing_can_be_made_is_found(folder: Path) -> None:
    (folder / "file").touch()
    assert levels(await database(folder / "file" / "evals.db")) == ["fail", "ok"]


@pytest.mark.parametrize(
    ("free", "level"), [(2_000_000_000, "ok"), (900_000_000, "warn"), (1_000_000, "fail")]
)
async def test_a_disk_that_is_nearly_full_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    class Usage:
        def __init__(self, _: object) -> None:
            self.free = free

    monkeypatch.setattr("shutil.disk_usage", Usage)
    assert levels(await database(folder / "evals.db")) == ["ok", level]


# --- The API elsewhere


async def test_an_api_that_takes_the_key_is_fine_and_one_that_refuses_it_is_found(folder: Path) -> None:
    theirs = Settings.read(database_url=str(folder / "theirs.db"), token="right", rate_limit=1000)
    async with served(theirs) as address:
        given = {"backend": "hosted", "api_url": address}
        assert levels(await found(storage.check_api(Settings.read(**given, api_key="right")))) == ["ok"]
        for key in ("wrong", None):
            [finding] = await found(storage.check_api(Settings.read(**given, api_key=key)))
            assert finding.level == "fail"
            assert finding.fix


# --- Models and their providers


@asynccontextmanager
async def lists(answer: Response) -> AsyncIterator[tuple[str, list[Request]]]:
    """A provider that answers a request for its models like this; its address and what it was asked."""
    asked: list[Request] = []

    async def models(request: Request) -> Response:
        asked.append(request)
        return answer

    async with running(Starlette(routes=[Route("/v1/models", models)])) as address:
        yield address, asked


def listing(*names: str) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


async def ask(url: str, **settings: Any) -> list[Finding]:
    """What is said of the provider, the roles being left out."""
    given = {"persona_model": "offline", "judge_model": "offline", "agent_model": "openai:mini"} | settings
    read = Settings.read(
        model_base_url=f"{url}/v1", OPENAI_API_KEY="sk-hidden", ANTHROPIC_API_KEY="ant-hidden", **given
    )
    findings = await found(check_models(read, ask=True))
    assert "hidden" not in repr(findings)
    return findings[3:]


@pytest.mark.parametrize("listed", ["mini", "mini-2026-01-01", "mini:latest", "models/mini", "vendor/mini"])
async def test_a_provider_that_lists_the_model_is_fine(listed: str) -> None:
    async with lists(listing("other", listed)) as (url, asked):
        assert levels(await ask(url)) == ["ok"]
        assert asked[0].headers["authorization"] == "Bearer sk-hidden"


async def test_anthropic_is_asked_in_its_own_way() -> None:
    async with lists(listing("claude-x-20260101")) as (url, asked):
        assert levels(await ask(url, agent_model="anthropic:claude-x")) == ["ok"]
        assert asked[0].headers["x-api-key"] == "ant-hidden"
        assert asked[0].query_params["limit"] == "1000"


async def test_a_model_that_is_not_listed_is_told_with_those_that_are_near() -> None:
    async with lists(listing("maxi", "minni")) as (url, _):
        [finding] = await ask(url)
        assert finding.level == "warn"
        assert "minni" in (finding.fix or "")


async def test_a_provider_is_asked_once_for_all_of_its_models() -> None:
    async with lists(listing("mini")) as (url, asked):
        assert levels(await ask(url, persona_model="openai:maxi")) == ["warn", "ok"]
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "level"),
    [
        (401, {"error": {"message": "Incorrect API key provided: sk-hidden"}}, "fail"),
        (403, {"error": "no"}, "fail"),
        (402, {"error": "no credit"}, "fail"),
        (404, {"detail": "Not Found"}, "warn"),
        (429, {"error": "slow down"}, "warn"),
        (503, {"error": "later"}, "warn"),
        (200, {"models": []}, "warn"),
        (200, {"data": []}, "warn"),
    ],
)
async def test_what_a_provider_answers_is_told_for_what_it_is(status: int, body: Any, level: str) -> None:
    async with lists(JSONResponse(body, status_code=status)) as (url, _):
        [finding] = await ask(url)
        assert (finding.level, bool(finding.fix)) == (level, True)


async def test_a_provider_that_is_not_there_is_found() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    [finding] = await ask(url)
    assert finding.level == "fail"
    assert "could not be reached" in finding.message
    assert f"at {url}/v1." in finding.message


async def test_a_base_url_that_is_none_is_found() -> None:
    assert levels(await ask("http://")) == ["fail"]


async def test_roles_without_a_model_are_found_and_a_judge_is_not_always_needed() -> None:
    findings = await found(check_models(Settings.read(), ask=True))
    assert levels(findings) == ["fail", "fail", "warn"]
    assert all(finding.fix for finding in findings)


async def test_a_name_that_is_no_model_is_found() -> None:
    findings = await found(check_models(Settings.read(**OFFLINE | {"agent_model": "gpt-5"}), ask=True))
    assert levels(findings) == ["fail", "ok", "ok"]


async def test_over_an_api_only_a_judge_of_ones_own_needs_a_model() -> None:
    assert await found(check_models(Settings.read(backend="hosted"), ask=True)) == []
    judging = Settings.read(backend="hosted", judge_model="offline")
    assert levels(await found(check_models(judging, ask=True))) == ["ok"]


# --- What is installed


def launching(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    for module in ("server", "installation"):
        monkeypatch.setattr(
            f"mcp_agent_eval.cli.doctor.{module}.this_installation", lambda: Launch(words[0], words[1:])
        )


async def test_a_server_that_does_not_start_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launching(monkeypatch, sys.executable, "-c", "raise SystemExit('no module of that name')")
    finding = await check_server()
    assert finding.level == "fail"
    assert "no module of that name" in finding.message


async def test_a_server_that_is_not_there_is_found(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    launching(monkeypatch, str(folder / "gone"))
    assert (await check_server()).level == "fail"


def test_a_command_that_hosts_could_not_find_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    launching(monkeypatch, "mcp-agent-eval")
    [finding] = installation.check_command()
    assert finding.level == "fail"
    assert sys.executable in (finding.fix or "")


@pytest.mark.skipif(sys.platform == "win32", reason="commands end in .exe there")
def test_another_installation_that_comes_first_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("ours", "theirs"):
        (folder / name).mkdir()
        (folder / name / "mcp-agent-eval").write_text("#!/bin/sh\n")
        (folder / name / "mcp-agent-eval").chmod(0o755)
    launching(monkeypatch, str(folder / "ours" / "mcp-agent-eval"))
    monkeypatch.setenv("PATH", str(folder / "ours"))
    assert levels(list(installation.check_command())) == ["ok"]
    monkeypatch.setenv("PATH", f"{folder / 'theirs'}{os.pathsep}{folder / 'ours'}")
    assert levels(list(installation.check_command())) == ["ok", "warn"]


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("mcp>=2.3,<3", None),
        ("mcp>=99", "has to be >=99"),
        ("mcp<2", "has to be <2"),
        ("no-such-package>=1", "is not installed"),
        ('no-such-package>=1; extra == "dev"', None),
    ],
)
def test_packages_that_do_not_fit_are_found(
    monkeypatch: pytest.MonkeyPatch, requirement: str, problem: str | None
) -> None:
    monkeypatch.setattr(installation, "requires", lambda _: [requirement])
    [finding] = installation.check_packages()
    assert finding.level == ("fail" if problem else "ok")
    assert (problem or "Python") in finding.message


def test_byte_code_that_is_not_kept_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(installation, "_cached_files", lambda: [("mcp_agent_eval.x", str(folder / "gone"))])
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    [finding] = installation.check_bytecode()
    assert finding.level == "warn"
    assert "PYTHONDONTWRITEBYTECODE" in (finding.fix or "")
    assert "-m compileall" in (finding.fix or "")
