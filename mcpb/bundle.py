"""Makes the bundle that Claude Desktop installs from one file: our wheel, and what uv needs to run it.

    python mcpb/bundle.py WHEEL FOLDER

`scripts/bundle` builds the wheel and calls this. The dependencies are not inside: the host's uv fetches them when
the bundle is installed, in the versions that are pinned here and for the platform that it is on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NAME = "mcp-agent-eval"
# A zip file cannot hold a time before 1980. One time for all makes equal bundles of equal contents.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    """Write FOLDER/mcp-agent-eval.mcpb."""
    if len(sys.argv) != 3:
        sys.exit("Usage: python mcpb/bundle.py WHEEL FOLDER")
    write_bundle(Path(sys.argv[1]), Path(sys.argv[2]))


def write_bundle(wheel: Path, folder: Path) -> Path:
    """The bundle around `wheel`, in `folder`, which is made where missing.

    Exits with a message when the wheel is not of the manifest's version.
    """
    manifest = (HERE / "manifest.json").read_text(encoding="utf-8")
    version = json.loads(manifest)["version"]
    if not wheel.name.startswith(f"mcp_agent_eval-{version}-"):
        sys.exit(f"{wheel.name} is not a wheel of version {version}, which mcpb/manifest.json names.")
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / f"{NAME}.mcpb"
    with ZipFile(bundle, "w", compression=ZIP_DEFLATED) as archive:
        _add(archive, "manifest.json", manifest.encode())
        _add(archive, "pyproject.toml", _project(version, wheel.name).encode())
        _add(archive, "server.py", (HERE / "server.py").read_bytes())
        _add(archive, "LICENSE", (ROOT / "LICENSE").read_bytes())
        _add(archive, wheel.name, wheel.read_bytes())
    return bundle


def _add(archive: ZipFile, name: str, content: bytes) -> None:
    entry = ZipInfo(name, _EPOCH)
    entry.compress_type = archive.compression
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _project(version: str, wheel: str) -> str:
    """What uv reads. It leaves byte-code to the first start unless told otherwise, which then takes twice as long."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return f"""\
[project]
name = "{NAME}-bundle"
version = "{version}"
requires-python = ">=3.11"
dependencies = ["{NAME}"]

[tool.uv]
package = false
compile-bytecode = true
constraint-dependencies = {json.dumps(pins, indent=4)}

[tool.uv.sources]
{NAME} = {{ path = "{wheel}" }}
"""


if __name__ == "__main__":
    main()
