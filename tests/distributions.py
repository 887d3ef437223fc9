"""Whether what was built is whole: nothing missing from wheel and sdist, and metadata that an index will take.

    python -m tests.distributions FOLDER

Run from the root of a git checkout, on a folder with one wheel and one sdist.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from packaging.metadata import Metadata
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def main() -> None:
    """Tell every problem, or how much was found."""
    folder = Path(sys.argv[1])
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    problems = [*in_wheel(wheel), *in_sdist(sdist)]
    if problems:
        sys.exit("\n".join(problems))
    print(f"{wheel.name} and {sdist.name} are whole")


def in_wheel(path: Path) -> Iterator[str]:
    """What is wrong with the wheel."""
    with ZipFile(path) as archive:
        held = set(archive.namelist())
        [described] = [name for name in held if name.endswith(".dist-info/METADATA")]
        metadata = Metadata.from_email(archive.read(described), validate=True)
        commands = archive.read(described.replace("METADATA", "entry_points.txt")).decode()
    package = {name.removeprefix("src/") for name in kept("src")}
    yield from (f"{path.name} lacks {name}" for name in sorted(package - held))
    extra = {name for name in held if ".dist-info/" not in name} - package
    yield from (f"{path.name} holds {name}, which is not in src" for name in sorted(extra))
    if described.replace("METADATA", "licenses/LICENSE") not in held:
        yield f"{path.name} lacks the licence"
    if f"{PROJECT['name']} = " not in commands:
        yield f"{path.name} installs no command"
    yield from in_metadata(metadata)


def in_metadata(metadata: Metadata) -> Iterator[str]:
    """Where the metadata says something else than the project."""
    written = (
        Requirement(PROJECT["name"]).name,
        PROJECT["version"],
        PROJECT["description"],
        PROJECT["license"],
    )
    if (metadata.name, str(metadata.version), metadata.summary, metadata.license_expression) != written:
        yield "The metadata has another name, version, summary or licence."
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if metadata.description_content_type != "text/markdown" or (metadata.description or "") != readme:
        yield "The metadata does not carry the README as Markdown."
    if str(metadata.requires_python) != PROJECT["requires-python"]:
        yield f"The metadata asks for Python {metadata.requires_python}."
    if set(metadata.provides_extra or ()) != PROJECT["optional-dependencies"].keys():
        yield f"The metadata has the extras {metadata.provides_extra}."
    if set(metadata.requires_dist or ()) != set(required()):
        differing = set(metadata.requires_dist or ()) ^ set(required())
        yield f"The metadata differs in {', '.join(sorted(map(str, differing)))}."


def required() -> Iterator[Requirement]:
    """What the project depends on, with its extras, in the form of metadata."""
    yield from map(Requirement, PROJECT["dependencies"])
    for extra, entries in PROJECT["optional-dependencies"].items():
        yield from (Requirement(f"{entry}; extra == '{extra}'") for entry in entries)


def in_sdist(path: Path) -> Iterator[str]:
    """What is in the checkout and not in the sdist, which therefore could not be tested or built from."""
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    yield from (f"{path.name} lacks {name}" for name in sorted(kept() - held))


def kept(folder: str = ".") -> set[str]:
    """What is committed or about to be, below a folder."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}


if __name__ == "__main__":
    main()
