"""What is published: one version everywhere, a registry entry of the right form, every file needed at run time."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import mcp_agent_eval

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def newest_release() -> str:
    """The version of the first release heading of the changelog."""
    found = re.search(
        r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, "CHANGELOG.md has no release heading such as ## [0.1.0]"
    return found[1]


def test_the_version_is_the_same_everywhere() -> None:
    versions = {
        "pyproject.toml": PROJECT["version"],
        "__init__.py": mcp_agent_eval.__version__,
        "server.json": SERVER["version"],
        "server.json, package": SERVER["packages"][0]["version"],
        "CHANGELOG.md": newest_release(),
    }
    assert set(versions.values()) == {PROJECT["version"]}, versions


def test_server_json_has_the_form_that_the_registry_asks_for() -> None:
    assert SERVER["$schema"].endswith("/schemas/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert 0 < len(SERVER["description"]) <= 100
    assert 0 < len(SERVER["title"]) <= 100
    [package] = SERVER["packages"]
    assert package["registryType"] == "pypi"
    assert package["identifier"] == PROJECT["name"]
    assert package["transport"] == {"type": "stdio"}
    assert package.keys() & {"packageArguments", "registryBaseUrl"} == set()


def test_the_registry_entry_asks_for_keys_as_secrets() -> None:
    variables = {entry["name"]: entry for entry in SERVER["packages"][0]["environmentVariables"]}
    secret = {name for name, entry in variables.items() if entry.get("isSecret")}
    assert secret == {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
    assert all(entry["description"] for entry in variables.values())


def test_the_readme_carries_the_marker_by_which_the_registry_knows_the_package() -> None:
    assert f"<!-- mcp-name: {SERVER['name']} -->" in README


def test_every_dependency_is_pinned_and_nothing_is_but_by_name_and_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line)] == []
    assert lines == sorted(lines)
    pinned = {line.partition("==")[0] for line in lines}
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {Requirement(entry).name for entry in wanted} - pinned == set()


@pytest.mark.parametrize(
    "path",
    [
        "py.typed",
        "engine/store/sql/queue.sql",
        "engine/store/migrations/0001_initial.sql",
        "samples/clinic.yaml",
        "samples/overrides.yaml",
    ],
)
def test_the_installed_package_holds_its_data(path: str) -> None:
    assert files("mcp_agent_eval").joinpath(path).is_file()


def kept_files() -> list[str]:
    """What is committed or about to be; skips where this is no checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """Where a pattern is found in the kept files."""
    return [
        f"{name}:{number}"
        for name in kept_files()
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


# Both patterns are put together from pieces, or they would find themselves.
_HOSTS = re.compile(
    "|".join(("py" + r"pi\.org", "python" + "hosted", r"registry\." + "npm", "npm" + r"js\.com"))
)
_HERE = re.compile(r"(?<![\w.])/(" + "|".join(("wo" + "rk", "fa" + "rm", "ro" + "ot")) + ")/")


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert lines_with(_HOSTS) == []


def test_no_file_holds_a_path_of_the_machine_on_which_it_was_written() -> None:
    assert lines_with(_HERE) == []
