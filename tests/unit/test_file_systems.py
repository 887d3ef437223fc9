"""A path is told to lie on a network by what Linux says of its mounts, or by its form on Windows."""

from __future__ import annotations

import pytest

from mcp_agent_eval.engine.store.file_systems import is_network, is_share, mounted_type

LAPTOP = r"""
24 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
31 24 0:26 / /tmp rw,nosuid,nodev shared:12 - tmpfs tmpfs rw
88 24 0:50 / /home/dana/remote rw,nosuid,nodev,relatime shared:60 - fuse.sshfs dana@host:/srv rw,user_id=1000
90 24 0:52 / /mnt/my\040disk\134s rw,relatime shared:61 - nfs4 server:/export rw,vers=4.2
91 24 0:53 / /srv rw,relatime shared:70 - autofs systemd-1 rw,fd=53
92 91 0:54 / /srv rw,relatime shared:71 - cifs //server/share rw,vers=3.1.1
95 24 259:3 / /srvlocal rw,relatime master:3 propagate_from:2 - xfs /dev/sdb1 rw
"""
CONTAINER = """
1204 1010 0:281 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
1215 1204 254:1 /docker/volumes/evals/_data /data rw,relatime - ext4 /dev/vda1 rw
1216 1204 0:40 /Users/dana /project rw,relatime - virtiofs mount0 rw
"""
WSL = r"""
79 66 8:32 / / rw,relatime - ext4 /dev/sdc rw
107 79 0:60 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=1000,mmap,access=client
"""


@pytest.mark.parametrize(
    ("mounts", "path", "expected"),
    [
        (LAPTOP, "/home/dana/evals.db", "ext4"),
        (LAPTOP, "/tmp/evals.db", "tmpfs"),
        (LAPTOP, "/home/dana/remote/evals.db", "fuse.sshfs"),
        (LAPTOP, "/home/dana/remotely/evals.db", "ext4"),
        (LAPTOP, "/mnt/my disk\\s/evals.db", "nfs4"),
        (LAPTOP, "/srv/deep/down/evals.db", "cifs"),
        (LAPTOP, "/srvlocal/evals.db", "xfs"),
        (CONTAINER, "/var/lib/evals.db", "overlay"),
        (CONTAINER, "/data/evals.db", "ext4"),
        (CONTAINER, "/project/evals.db", "virtiofs"),
        (WSL, "/mnt/c/Users/dana/evals.db", "9p"),
        ("", "/evals.db", None),
        ("a line of something else - entirely\n\n", "/evals.db", None),
    ],
)
def test_the_nearest_mount_above_a_path_is_what_it_lies_on(
    mounts: str, path: str, expected: str | None
) -> None:
    assert mounted_type(mounts, path) == expected


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.rclone", "ceph", "afs"])
def test_what_is_kept_on_other_machines_is_a_network(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "btrfs", "zfs", "overlay", "tmpfs", "9p", "virtiofs", "fuseblk", "fuse.mergerfs", "nfsd"]
)
def test_disks_and_what_containers_and_virtual_machines_show_as_such_are_not(kind: str) -> None:
    assert not is_network(kind)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"\\server\share\evals.db", True),
        ("//server/share/evals.db", True),
        (r"\\?\UNC\server\share\evals.db", True),
        (r"\\wsl.localhost\Ubuntu\home\dana\evals.db", True),
        (r"C:\Users\dana\evals.db", False),
        (r"\\?\C:\Users\dana\evals.db", False),
        (r"\\.\C:\evals.db", False),
    ],
)
def test_a_share_of_windows_is_told_by_its_form(path: str, expected: bool) -> None:
    assert is_share(path) is expected
