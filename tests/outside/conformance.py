"""The official conformance suite of MCP against our server, in both protocol eras.

Every scenario runs against a server with the suite's fixtures (`fixture_server.py`), and those that need none against
`serve` as users start it. The suite speaks Streamable HTTP only.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.outside.place import Finding, Json, Place

PACKAGE, VERSION = "@modelcontextprotocol/conformance", "0.2.0-alpha.12"
ERAS = ("2025-11-25", "2026-07-28")
EXTENSION = "tasks-"

_SESSION = "over HTTP a server without sessions cannot ask an older client in the middle of a call; on stdio ours does"
_STREAM = "needs a session with a stream of its own, and ours keeps none"
_LOGGING = "logging by protocol is deprecated, and ours does not offer it"
NOT_OURS: Mapping[str, Mapping[str, str]] = {
    "2025-11-25": {
        "server-session-lifecycle": "is about sessions, and ours keeps none",
        "logging-set-level": _LOGGING,
        "tools-call-with-logging": _LOGGING,
        "tools-call-sampling": _SESSION,
        "tools-call-elicitation": _SESSION,
        "elicitation-sep1034-defaults": _SESSION,
        "elicitation-sep1330-enums": _SESSION,
        "server-sse-polling": _STREAM,
        "server-sse-multiple-streams": _STREAM,
        "resources-subscribe": _STREAM,
        "resources-unsubscribe": _STREAM,
    },
    "2026-07-28": {
        "tasks-mrtr-input": "our tasks ask nothing: tools ask before a task is made",
        "tasks-mrtr-composition": "our tools ask for consent, not for a name; our own tests have this order of things",
        "tasks-required-task-error": "no tool of ours can be called as a task only",
        "tasks-status-notifications": "the suite skips it itself",
    },
}
"""Scenarios that do not apply, and why."""

CHECKS_NOT_OURS: Mapping[str, str] = {
    "sep-2663-tool-error-uses-completed-status": "a run that fails is a result of `run_case`, and no error of it",
    "sep-2663-tasks-get-status-failed": "a run always comes to a result, so no task fails by an error of the protocol",
}
"""Single checks of scenarios that apply for the rest."""

NEEDS_NOTHING = (
    "server-initialize",
    "ping",
    "completion-complete",
    "tools-list",
    "resources-list",
    "prompts-list",
    "sep-2164-resource-not-found",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
    "input-required-result-unsupported-methods",
)
"""Scenarios without fixtures."""


async def check(place: Place) -> AsyncIterator[Finding]:
    """A finding for each scenario and era."""
    suite = Suite(place, await place.npm(f"{PACKAGE}@{VERSION}"))
    scenarios = await suite.scenarios()
    async with place.serve("fixtures", ("tests.outside.fixture_server",)) as address:
        for era, name in scenarios:
            yield await suite.finding(address, era, name, "with fixtures")
    async with place.serve("plain") as address:
        for era, name in scenarios:
            if name in NEEDS_NOTHING:
                yield await suite.finding(address, era, name, "serve")


class Suite:
    """The suite as npm installed it."""

    def __init__(self, place: Place, modules: Path) -> None:
        self._place = place
        self._script = modules / PACKAGE / "dist" / "index.js"

    async def scenarios(self) -> list[tuple[str, str]]:
        """Every scenario for servers with the era that it belongs to; those of tasks belong to the newer one."""
        listed = await self._place.run("node", self._script, "list", env=await self._place.node())
        servers = listed.out.partition("Client scenarios")[0]
        named = re.findall(r"^  - (\S+) \[(.*)\]$", servers, flags=re.MULTILINE)
        return [
            (era, name)
            for era in ERAS
            for name, eras in named
            if era in eras.split(",") or (name.startswith(EXTENSION) and era == ERAS[-1])
        ]

    async def finding(self, address: str, era: str, scenario: str, where: str) -> Finding:
        """What comes of one scenario."""
        name = f"{era}, {where}: {scenario}"
        reason = NOT_OURS[era].get(scenario)
        if reason:
            return Finding(name, None, reason)
        checks = await self._checks(address, era, scenario)
        excused = {each["id"] for each in checks if each["id"] in CHECKS_NOT_OURS and not is_fine(each)}
        failed = [each for each in checks if not is_fine(each) and each["id"] not in excused]
        counted = [each for each in checks if each["status"] in ("SUCCESS", "FAILURE", "WARNING")]
        detail = f"{sum(map(is_fine, counted))} of {len(counted)} checks"
        said = [f"{each['id']}: {each.get('errorMessage', each['status'])}" for each in failed]
        remarks = [f"{each} does not apply: {CHECKS_NOT_OURS[each]}" for each in sorted(excused)]
        return Finding(name, bool(counted) and not failed, "; ".join([detail, *said, *remarks]))

    async def _checks(self, address: str, era: str, scenario: str) -> list[Json]:
        """The checks that the scenario made, none where it could not."""
        out = self._place.folder / "conformance" / f"{address.rpartition(':')[2]}-{era}-{scenario}"
        options = ["--url", f"{address}/mcp", "--scenario", scenario, "--spec-version", era, "-o", out]
        if scenario.startswith(EXTENSION):
            options.append("--force")
        await self._place.run("node", self._script, "server", *options, env=await self._place.node())
        return [
            each
            for path in out.glob("*/checks.json")
            for each in json.loads(path.read_text(encoding="utf-8"))
        ]


def is_fine(check: Json) -> bool:
    """Whether a check found nothing wrong. A warning is a SHOULD that was not kept."""
    return check["status"] not in ("FAILURE", "WARNING")
