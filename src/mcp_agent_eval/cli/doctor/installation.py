"""Checks the installation: versions, the command for hosts, compiled byte-code."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from mcp_agent_eval import __version__
from mcp_agent_eval.cli.doctor.findings import Finding, fail, ok, warn
from mcp_agent_eval.cli.hosts import COMMAND, this_installation

_NAMED = ("mcp", "httpx2", "pydantic")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)([^;]*)(;.*)?")
_BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")
_FEW = 0.1
_PACKAGES = ("mcp_agent_eval", "mcp", "pydantic")


def check_packages() -> Iterator[Finding]:
    """Whether every required package is installed in a suitable version."""
    try:
        wanted = requires(COMMAND) or []
    except PackageNotFoundError:
        yield warn("packages", f"{COMMAND} is not installed, but run from its sources.", "pip install it.")
        return
    problems = [problem for requirement in wanted if (problem := _unmet(requirement))]
    for problem in problems:
        yield fail("packages", problem, f"pip install --upgrade {COMMAND}")
    if not problems:
        named = ", ".join(f"{name} {version(name)}" for name in _NAMED)
        yield ok("packages", f"{COMMAND} {__version__}, Python {platform.python_version()}, {named}")


def check_command() -> Iterator[Finding]:
    """Whether there is a command that a host can start, and whether a shell starts the same one."""
    launch = this_installation()
    if not Path(launch.command).is_absolute():
        fix = f"Give hosts {sys.executable} with the arguments -m mcp_agent_eval, or reinstall the package."
        yield fail("command", f"The command {COMMAND} is not where this Python puts commands.", fix)
        return
    yield ok("command", f"Hosts should start {' '.join(launch.words())}")
    first = shutil.which(COMMAND)
    if first and not Path(first).samefile(launch.command):
        fix = f"Call {launch.command}, or put its folder first in PATH."
        yield warn("command", f"A shell starts another one: {first} comes first in PATH.", fix)


def check_bytecode() -> Iterator[Finding]:
    """Whether the imported modules are stored in compiled form: a start without it takes twice as long."""
    files = list(_cached_files())
    missing = [name for name, cached in files if not Path(cached).exists()]
    if len(missing) < _FEW * len(files):
        yield ok("byte-code", "Compiled, so that the server starts quickly.")
        return
    packages = sorted(set(map(_top, missing)))
    unset = "Unset PYTHONDONTWRITEBYTECODE, and call: " if sys.dont_write_bytecode else ""
    message = f"Not compiled: {', '.join(packages)}. Every start takes longer than necessary."
    yield warn("byte-code", message, unset + _compile(packages))


def _unmet(requirement: str) -> str | None:
    """The problem with one of our requirements; those of extras are ignored."""
    found = _REQUIREMENT.fullmatch(requirement.strip())
    if not found or "extra" in (found[3] or ""):
        return None
    try:
        have = version(found[1])
    except PackageNotFoundError:
        return f"{found[1]} is not installed."
    fits = all(_fits(have, bound, limit) for bound, limit in _BOUND.findall(found[2]))
    return None if fits else f"{found[1]} is {have}, but has to be {found[2].strip()}."


def _fits(have: str, bound: str, limit: str) -> bool:
    return (_numbers(have) >= _numbers(limit)) == (bound == ">=")


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, which is all that our limits use."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+-]", text)[0]))


def _cached_files() -> Iterator[tuple[str, str]]:
    for name, module in list(sys.modules.items()):
        cached: object = getattr(module, "__cached__", None)
        if _top(name) in _PACKAGES and isinstance(cached, str):
            yield name, cached


def _top(module: str) -> str:
    return module.partition(".")[0]


def _compile(packages: list[str]) -> str:
    folders = [str(Path(str(sys.modules[name].__file__)).parent) for name in packages]
    return f"{sys.executable} -m compileall -q {' '.join(folders)}"
