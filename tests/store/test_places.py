"""Where SQLite's file may not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqchat.errors import StartError
from zmqchat.store import places
from zmqchat.store.dialect import dialect_of
from zmqchat.store.migrate import migrate
from zmqchat.store.places import network_file_system

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /mnt/shared rw,relatime shared:1 master:2 - nfs4 server:/export rw,vers=4.2
31 30 8:1 / /mnt/shared/local rw - xfs /dev/sda1 rw
32 22 0:41 / /mnt/two\040words rw - cifs //server/share rw
33 22 0:42 / /home/me/far rw,nosuid - fuse.sshfs me@server:/ rw
34 22 0:43 / /covered rw - nfs server:/old rw
35 22 8:2 / /covered rw - ext4 /dev/sdb rw
a line that nobody understands
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/chat.db", None),
        ("/mnt/shared/chat.db", "nfs4"),
        ("/mnt/shared", "nfs4"),
        ("/mnt/sharedness/chat.db", None),
        ("/mnt/shared/local/chat.db", None),
        ("/mnt/two words/chat.db", "cifs"),
        ("/home/me/far/away/chat.db", "fuse.sshfs"),
        ("/covered/chat.db", None),
    ],
)
def test_the_nearest_mount_tells_the_file_system(path: str, kind: str | None) -> None:
    """The deepest mount point above the file counts, and of equal ones the last."""
    assert network_file_system(Path(path), MOUNTS) == kind


def test_where_nothing_is_known_nothing_is_refused() -> None:
    """Systems without the list of mounts go on."""
    assert network_file_system(Path("/chat.db"), "") is None


def test_a_file_on_a_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind a link, in one clear line, and before anything is made there."""
    far = tmp_path / "far"
    far.mkdir()
    (tmp_path / "link").symlink_to(far)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"30 22 0:40 / {far.resolve()} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(places, "MOUNTS", mounts)
    with pytest.raises(StartError, match=r"is on a network file system \(nfs4\).* a local disk"):
        migrate(dialect_of(f"sqlite:///{tmp_path}/link/chat.db"))
    assert list(far.iterdir()) == []
    assert migrate(dialect_of(f"sqlite:///{tmp_path}/chat.db")) != []
