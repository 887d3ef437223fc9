"""What is published: one version everywhere, a registry entry and a bundle of the right form, every file that is
needed at run time."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args
from zipfile import ZipFile

import pytest
from jsonschema import Draft7Validator
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from packaging.requirements import Requirement
from pydantic import SecretStr

import mcp_agent_eval
from mcp_agent_eval.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
MANIFEST: dict[str, Any] = json.loads((ROOT / "mcpb" / "manifest.json").read_text(encoding="utf-8"))
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
        "manifest.json": MANIFEST["version"],
        "CHANGELOG.md": newest_release(),
    }
    assert set(versions.values()) == {PROJECT["version"]}, versions


# --- The entry in the MCP registry


def schema(name: str) -> dict[str, Any]:
    """A schema that others publish; where it is from stands in tests/resources/README.md."""
    return json.loads((ROOT / "tests" / "resources" / name).read_text(encoding="utf-8"))


def faults(value: object, name: str) -> list[str]:
    """What a published schema has against a value."""
    validator = Draft7Validator(schema(name), format_checker=Draft7Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


REGISTRY = "mcp-registry/server.schema.json"
BUNDLE = "mcpb/manifest-v0.4.schema.json"
VARIABLES = {entry["name"]: entry for entry in SERVER["packages"][0]["environmentVariables"]}


def test_server_json_is_what_the_registry_publishes_a_schema_for() -> None:
    assert SERVER["$schema"] == schema(REGISTRY)["$id"]
    assert faults(SERVER, REGISTRY) == []


def test_the_schema_of_the_registry_would_find_a_fault() -> None:
    wrong = copy.deepcopy(SERVER)
    wrong["packages"][0]["transport"] = {"type": "telegraph"}
    assert faults(wrong, REGISTRY) != []


def test_the_registry_entry_starts_the_package_on_stdio_and_names_no_remote() -> None:
    assert "remotes" not in SERVER
    [package] = SERVER["packages"]
    assert package["registryType"] == "pypi"
    assert package["identifier"] == PROJECT["name"]
    assert package["transport"] == {"type": "stdio"}
    assert package.keys() & {"packageArguments", "registryBaseUrl"} == set()


def types() -> dict[str, Any]:
    """Every environment variable that is read, with the type of its setting."""
    return {
        str(field.validation_alias or PREFIX + name.upper()): field.annotation
        for name, field in Settings.model_fields.items()
    }


def test_the_registry_entry_asks_for_settings_that_exist_each_with_a_description() -> None:
    assert VARIABLES.keys() - types().keys() == set()
    assert all(entry["description"] for entry in VARIABLES.values())
    booleans = {name for name, entry in VARIABLES.items() if entry["format"] == "boolean"}
    assert booleans == {name for name in VARIABLES if types()[name] is bool}


def test_the_registry_entry_asks_for_keys_and_marks_them_as_secrets() -> None:
    secret = {name for name, entry in VARIABLES.items() if entry.get("isSecret")}
    assert secret == {name for name in VARIABLES if SecretStr in get_args(types()[name])}
    assert secret == {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}


def test_the_readme_carries_the_marker_by_which_the_registry_knows_the_package() -> None:
    assert f"<!-- mcp-name: {SERVER['name']} -->" in README


# --- The bundle for Claude Desktop


def test_the_manifest_is_what_bundles_have_a_published_schema_for() -> None:
    assert MANIFEST["manifest_version"] == schema(BUNDLE)["properties"]["manifest_version"]["const"]
    assert faults(MANIFEST, BUNDLE) == []


def test_the_schema_of_bundles_would_find_a_fault() -> None:
    assert faults(MANIFEST | {"author": "somebody"}, BUNDLE) != []


def test_the_bundle_asks_for_what_the_registry_entry_asks_for_and_hides_the_same() -> None:
    asked = MANIFEST["user_config"]
    environment = MANIFEST["server"]["mcp_config"]["env"]
    assert environment == {name.upper(): f"${{user_config.{name}}}" for name in asked}
    assert environment.keys() - VARIABLES.keys() == set()
    hidden = {name.upper() for name, entry in asked.items() if entry.get("sensitive")}
    assert hidden == {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}


def test_what_is_left_empty_in_the_bundle_reaches_the_server_as_nothing() -> None:
    """Without a default, hosts hand on the text of the placeholder, which would be taken for a key."""
    assert {name: entry.get("default") for name, entry in MANIFEST["user_config"].items()} == dict.fromkeys(
        MANIFEST["user_config"], ""
    )


def bundled(folder: Path, *, version: str = PROJECT["version"]) -> subprocess.CompletedProcess[str]:
    """What making a bundle around a wheel, of which only the name matters, comes to."""
    wheel = folder / f"mcp_agent_eval-{version}-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    command = [sys.executable, str(ROOT / "mcpb" / "bundle.py"), str(wheel), str(folder / "dist")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_bundle_holds_its_manifest_the_wheel_and_a_project_for_uv(tmp_path: Path) -> None:
    assert bundled(tmp_path).returncode == 0
    with ZipFile(tmp_path / "dist" / "mcp-agent-eval.mcpb") as archive:
        project = tomllib.loads(archive.read("pyproject.toml").decode())
        held = set(archive.namelist())
        assert json.loads(archive.read("manifest.json")) == MANIFEST
    wheel = project["tool"]["uv"]["sources"]["mcp-agent-eval"]["path"]
    assert held == {"manifest.json", "pyproject.toml", "LICENSE", MANIFEST["server"]["entry_point"], wheel}
    assert project["project"]["version"] == PROJECT["version"]
    assert project["project"]["requires-python"] == PROJECT["requires-python"]
    assert project["tool"]["uv"]["compile-bytecode"] is True
    assert project["tool"]["uv"]["constraint-dependencies"] == constraints()


def test_bundles_around_equal_wheels_are_equal(tmp_path: Path) -> None:
    made: list[bytes] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        bundled(tmp_path / name)
        made.append((tmp_path / name / "dist" / "mcp-agent-eval.mcpb").read_bytes())
    assert made[0] == made[1]


def test_a_wheel_of_another_version_is_not_bundled(tmp_path: Path) -> None:
    done = bundled(tmp_path, version="9.9.9")
    assert done.returncode != 0
    assert "9.9.9" in done.stderr
    assert not (tmp_path / "dist").exists()


async def test_what_the_bundle_starts_is_the_server() -> None:
    entry_point = ROOT / "mcpb" / MANIFEST["server"]["entry_point"]
    async with Client(StdioServerParameters(command=sys.executable, args=[str(entry_point)])) as client:
        assert "run_case" in {tool.name for tool in (await client.list_tools()).tools}


# --- What is installed


def constraints() -> list[str]:
    """The lines of constraints.txt."""
    return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_every_dependency_is_pinned_and_nothing_is_but_by_name_and_version() -> None:
    lines = constraints()
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
