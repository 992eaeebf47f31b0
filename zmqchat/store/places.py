"""Which file systems SQLite may not live on.

Its write-ahead log is shared memory: nodes on two machines that open the same file over a network
do not see each other's, and the file breaks. Locks are often not true there, either.
"""

from __future__ import annotations

from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")  # of Linux; elsewhere nothing is known

_NETWORK = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb2",
        "smb3",
        "smbfs",
        "fuse.ceph",
        "fuse.curlftpfs",
        "fuse.davfs2",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.smbnetfs",
        "fuse.sshfs",
    }
)


def network_file_system(path: Path, mounts: str) -> str | None:
    """Name the network file system that a path is on, or answer None.

    ``mounts`` is a text in the form of /proc/self/mountinfo. Later mounts cover earlier ones.
    """
    longest, kind = -1, ""
    for line in mounts.splitlines():
        mount, found, end = line.partition(" - ")
        words = mount.split(" ")
        if not found or len(words) < 5:
            continue
        point = Path(_unescaped(words[4]))
        if path.is_relative_to(point) and len(point.parts) >= longest:
            longest, kind = len(point.parts), end.split(" ")[0]
    return kind if kind in _NETWORK else None


def _unescaped(point: str) -> str:
    r"""Read a path in which the kernel has written spaces and the like as ``\040``."""
    for code in (" ", "\t", "\n", "\\"):
        point = point.replace(f"\\{ord(code):03o}", code)
    return point


def read_mounts() -> str:
    """Read what is mounted where; nothing where the system does not tell."""
    try:
        return MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""
