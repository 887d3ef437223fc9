"""The `keys` commands, as they are called from a shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcp_agent_eval.cli.keys import keys
from mcp_agent_eval.errors import InvalidInput, NotConfigured, NotFound


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "evals.db"
    monkeypatch.setenv("AGENT_EVAL_DATABASE_URL", f"sqlite:///{file}")
    return file


def run(*arguments: str) -> Result:
    return CliRunner().invoke(keys, arguments)


def succeed(*arguments: str) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def test_a_new_secret_is_all_of_standard_output() -> None:
    result = succeed("create", "ci")
    assert result.stdout.startswith("aek_")
    assert result.stdout == result.stdout.split()[0] + "\n"


def test_the_secret_is_shown_once_and_how_to_use_it_beside_it() -> None:
    result = succeed("create", "ci")
    assert result.output.count(result.stdout.strip()) == 1
    assert "Authorization: Bearer" in result.stderr
    assert "AGENT_EVAL_API_KEY" in result.stderr
    assert result.stdout.strip() not in succeed("list").output


def test_a_list_tells_keys_apart_newest_first() -> None:
    assert "no keys" in succeed("list").stderr
    first = succeed("create", "old").stdout
    second = succeed("create", "new", "--scope", "agent_eval:read", "--scope", "agent_eval:run").stdout
    lines = succeed("list").stdout.splitlines()
    assert len(lines) == 2
    assert second[:8] in lines[0]
    assert "agent_eval:read,agent_eval:run  new" in lines[0]
    assert first[:8] in lines[1]
    assert "all scopes  old" in lines[1]


def test_a_key_may_be_made_to_end() -> None:
    succeed("create", "short", "--expires", "30")
    assert "expires 2" in succeed("list").stdout


def test_a_revoked_key_is_listed_as_such() -> None:
    succeed("create", "ci")
    assert "revoked 2" in succeed("revoke", "ci").stdout
    assert "revoked 2" in succeed("list").stdout
    assert isinstance(run("revoke", "ci").exception, NotFound)


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "ci", "--scope", "everything"],
        ["create", "ci", "--expires", "0"],
        ["create", "ci", "--expires", "99999999"],
        ["revoke"],
    ],
)
def test_a_mistake_in_the_arguments_is_one_of_usage(arguments: list[str], database: Path) -> None:
    assert run(*arguments).exit_code == 2
    assert not database.exists()


def test_a_name_that_would_not_show_is_refused() -> None:
    result = run("create", "a\tb")
    assert isinstance(result.exception, InvalidInput)
    assert result.stdout == ""


def test_keys_are_not_for_the_hosted_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_BACKEND", "hosted")
    assert isinstance(run("list").exception, NotConfigured)
