"""Detects whether a file would be on another machine, where SQLite cannot keep it safe.

Processes share a file in WAL mode through memory that all of them map, so they must run on one machine, with a file
system that allows it. File systems that are networks by nature are refused. Those that containers and virtual
machines show as their own disks (overlay, 9p, virtiofs and most of FUSE) are not: if one cannot map memory, SQLite
itself says so when the file is opened.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
_WINDOWS_SHARE = "Windows share"

_NETWORK = re.compile(
    r"acfs|afs|beegfs|ceph|cifs|coda|davfs|glusterfs|gpfs|lustre|ncpfs|nfs4?|orangefs|panfs|smb3|smbfs"
    r"|fuse\.(blobfuse2?|ceph(-fuse)?|curlftpfs|davfs2?|gcsfuse|glusterfs|goofys|gvfsd-fuse|juicefs|moosefs"
    r"|mount-s3|rclone|s3fs|seaweedfs|smbnetfs|sshfs)"
)


def network_of(path: Path) -> str | None:
    """The kind of network that the path leads to; None if it is local or cannot be determined."""
    real = os.path.realpath(path)  # unlike `Path.resolve`, this accepts links that form a loop
    if sys.platform == "win32":
        return _WINDOWS_SHARE if is_share(real) else None
    kind = mounted_type(_mounts(), real)
    return kind if kind and is_network(kind) else None


def mounted_type(mountinfo: str, path: str) -> str | None:
    """The file system type of an absolute path, according to Linux's `mountinfo`: that of the longest mount point
    above it, and the last one mounted there."""
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        fields, after = mount.split(), rest.split()
        if len(fields) < 5 or not after:
            continue
        point = PurePosixPath(_unescaped(fields[4]))
        depth = len(point.parts)
        if PurePosixPath(path).is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, after[0]
    return found[1] if found else None


def is_network(kind: str) -> bool:
    """Whether a file system of this type keeps its files on other machines."""
    return _NETWORK.fullmatch(kind) is not None


def is_share(path: str) -> bool:
    """Whether an absolute path of Windows names another machine: `\\\\server\\share`, but not `\\\\?\\C:`."""
    drive = PureWindowsPath(path).drive.replace("/", "\\").lower()
    return drive.startswith("\\\\?\\unc\\") or (
        drive.startswith("\\\\") and not drive.startswith(("\\\\?\\", "\\\\.\\"))
    )


def _mounts() -> str:
    """What is mounted where; empty on systems that do not say."""
    with suppress(OSError):
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    return ""


def _unescaped(point: str) -> str:
    """A mount point, unescaped: `mountinfo` writes whitespace and backslashes as three octal digits."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), point)
