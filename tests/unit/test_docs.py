"""The docs and the code name the same things, in both directions: settings, tools, resources, errors, commands.

A heading in backticks (### `NAME`) in docs/settings.md, docs/tools.md or docs/errors.md stands for a thing in the code.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

import pytest
from mcp import Client
from pydantic.fields import FieldInfo

import mcp_agent_eval
from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.cli.main import commands
from mcp_agent_eval.engine.conversation.persona_prompt import _BEHAVIOUR, _OWN_SECTION
from mcp_agent_eval.errors import EvalError, FailureKind
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.mcp_server.tools.catalogue import all_tools
from mcp_agent_eval.settings import PREFIX, Settings
from mcp_agent_eval.types import AssertionType, RunStatus, TerminationReason
from mcp_agent_eval.types.key import SCOPES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
EVERYTHING = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def sections(page: str) -> dict[str, str]:
    """The text under each heading in backticks of a page in docs/."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)[1:]
    named = zip(parts[::2], parts[1::2], strict=True)
    return {heading.strip("`"): body for heading, body in named if heading.startswith("`")}


# --- Settings


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    return str(field.validation_alias) if field.validation_alias else PREFIX + name.upper()


SETTINGS = {variable(name, field): field for name, field in Settings.model_fields.items()}


def default_in_words(field: FieldInfo) -> str:
    """A default as docs/settings.md writes it."""
    if field.default in (None, ()):
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def test_settings_md_has_a_section_for_every_setting_and_for_nothing_else() -> None:
    assert sections("settings.md").keys() == SETTINGS.keys()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_settings_section_begins_with_its_default(name: str) -> None:
    begins = sections("settings.md")[name].strip()
    if SETTINGS[name].default_factory:
        assert begins.startswith("Default: ")
    else:
        assert begins.startswith(f"Default: {default_in_words(SETTINGS[name])}.")


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    server = (ROOT / "server.json").read_text(encoding="utf-8")
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", EVERYTHING + server))
    assert named - SETTINGS.keys() == set()


# --- Tools and resources

TOOLS = {tool.name: tool for tool in all_tools()}


async def templates() -> set[str]:
    """Every resource template that the server lists."""
    async with Client(build_server()) as client:
        return {
            template.uri_template for template in (await client.list_resource_templates()).resource_templates
        }


async def test_tools_md_has_a_section_for_every_tool_and_resource_and_for_nothing_else() -> None:
    assert sections("tools.md").keys() == TOOLS.keys() | await templates()


@pytest.mark.parametrize("name", list(TOOLS))
def test_a_tools_section_lists_its_arguments_and_shows_a_result(name: str) -> None:
    section = sections("tools.md")[name]
    listed = re.findall(r"^\| `(\w+)`(\*?) \|", section, flags=re.MULTILINE)
    schema = TOOLS[name].parameters
    required = schema.get("required", [])
    assert dict(listed) == {key: "*" if key in required else "" for key in schema["properties"]}
    assert "```" in section


def test_every_type_of_assertion_and_every_end_of_a_run_is_explained() -> None:
    text = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    words = get_args(AssertionType) + get_args(TerminationReason) + get_args(RunStatus)
    assert [word for word in words if f"`{word}`" not in text] == []


def test_every_trait_that_the_simulator_understands_is_explained() -> None:
    text = (ROOT / "docs" / "personas.md").read_text(encoding="utf-8")
    words = {*_OWN_SECTION, *_BEHAVIOUR, *(value for trait in _BEHAVIOUR.values() for value in trait)}
    assert [word for word in sorted(words) if f"`{word}`" not in text] == []


# --- REST


def endpoints() -> dict[str, str | None]:
    """Every request that the REST API answers, with the last word of the scope that it takes."""
    document = build_api(cast(Backend, None)).openapi()
    found: dict[str, str | None] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scopes = [scope for one in operation.get("security", []) for scope in one["bearer"]]
            found[f"{method.upper()} {path}"] = scopes[0].partition(":")[2] if scopes else None
    return found


def test_rest_md_has_a_row_for_every_endpoint_with_its_scope_and_for_nothing_else() -> None:
    text = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z]+ /\S*)` \| (\w*) ?\|", text, flags=re.MULTILINE)
    assert dict(rows) == {request: scope or "" for request, scope in endpoints().items()}


def test_rest_md_names_every_scope() -> None:
    text = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")
    assert [scope for scope in SCOPES if f"`{scope}`" not in text] == []


# --- Errors


def errors() -> Iterator[type[EvalError]]:
    """The root and every error class of the package, wherever it is defined."""
    for module in pkgutil.walk_packages(mcp_agent_eval.__path__, "mcp_agent_eval."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting: list[type[EvalError]] = [EvalError]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("mcp_agent_eval."):
            yield cls


def test_errors_md_has_a_section_with_its_status_for_every_code_and_for_nothing_else() -> None:
    codes = {cls.code: cls.status for cls in errors()}
    documented = sections("errors.md")
    assert documented.keys() == codes.keys()
    wrong = [
        code for code, text in documented.items() if not text.strip().startswith(f"Status {codes[code]}.")
    ]
    assert wrong == []


def test_every_way_in_which_a_model_fails_is_explained() -> None:
    text = sections("errors.md")["MODEL_FAILED"]
    assert [kind for kind in get_args(FailureKind) if f"`{kind}`" not in text] == []


# --- Commands, links


def test_the_readme_names_every_command_and_no_page_names_another() -> None:
    named = set(re.findall(r"[`/]mcp-agent-eval ([a-z][a-z-]*)", EVERYTHING))
    assert named - commands.commands.keys() == set()
    assert [name for name in commands.commands if f"mcp-agent-eval {name}" not in README] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    inside = [target for target in targets if target and "://" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []
