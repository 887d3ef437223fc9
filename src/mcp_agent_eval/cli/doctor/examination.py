"""All checks, each after those that it depends on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mcp_agent_eval.cli.doctor.findings import Finding
from mcp_agent_eval.cli.doctor.host_files import check_host_files
from mcp_agent_eval.cli.doctor.installation import check_bytecode, check_command, check_packages
from mcp_agent_eval.cli.doctor.models import check_models
from mcp_agent_eval.cli.doctor.server import check_server
from mcp_agent_eval.cli.doctor.storage import check_api, check_database
from mcp_agent_eval.cli.doctor.variables import read_settings


async def examine(network: bool) -> AsyncIterator[Finding]:
    """What every check finds. Without `network`, no API or provider is contacted."""
    for finding in (*check_packages(), *check_command()):
        yield finding
    settings, found = read_settings()
    for finding in found:
        yield finding
    if settings.backend == "embedded":
        async for finding in check_database(settings):
            yield finding
    elif network:
        async for finding in check_api(settings):
            yield finding
    async for finding in check_models(settings, ask=network):
        yield finding
    yield await check_server()
    for finding in (*check_bytecode(), *check_host_files()):
        yield finding
