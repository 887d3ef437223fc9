"""Drives our MCP server with software that others publish, and tells what came of it.

    python -m tests.outside [--folder FOLDER] [NAME ...]

The names are conformance, hosts, inspector, typescript and clients; without any, all of them are run. What they need
is installed into the folder, a temporary one unless it is given; in one that is given it is found again. The exit
status is 1 when something failed, and 2 when something is missing. It is no part of the test suite: it installs from
npm and from a Python index. docs/compatibility.md tells what it found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import anyio

from tests.outside import clients, conformance, hosts, inspector, typescript
from tests.outside.aimock import Missing
from tests.outside.place import OURS, Finding, Place

CHECKS: Mapping[str, Callable[[Place], AsyncIterator[Finding]]] = {
    "conformance": conformance.check,
    "hosts": hosts.check,
    "inspector": inspector.check,
    "typescript": typescript.check,
    "clients": clients.check,
}
MARKS = {True: "ok  ", False: "FAIL", None: "n/a "}


async def run(names: Sequence[str], folder: Path) -> int:
    """Run and print them one after the other; how much failed. Raises Missing."""
    print(OURS)
    failed = 0
    for name in names:
        print(f"\n{name}", flush=True)
        async for finding in CHECKS[name](Place(folder)):
            print(f"{MARKS[finding.passed]}  {finding.name}  {finding.detail}", flush=True)
            failed += finding.passed is False
    return failed


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="Drives our MCP server with software that others publish.")
    parser.add_argument("names", nargs="*", help=f"what to run: {', '.join(CHECKS)} (default: all)")
    parser.add_argument(
        "--folder", type=Path, help="where to install what is needed (default: a temporary one)"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(CHECKS))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            failed = anyio.run(run, options.names or list(CHECKS), folder)
        except Missing as exc:
            print(exc, file=sys.stderr)
            return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
