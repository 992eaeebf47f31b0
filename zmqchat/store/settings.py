"""What the cluster keeps for itself: a value under a key, chosen by whoever comes first."""

from __future__ import annotations

from zmqchat.store.dialect import Database
from zmqchat.store.models import Setting

DATABASE_EPOCH = "database_epoch"
CLUSTER_SECRET = "cluster_secret"  # noqa: S105 - the key it is kept under


def keep(database: Database, key: str, value: str) -> str:
    """Keep a value unless there is one already; return what is kept. Blocks, and is for writing."""
    with database.connection_context(), database.atomic():
        Setting.insert(key=key, value=value).on_conflict_ignore().execute(database)
        kept: str = Setting.select(Setting.value).where(Setting.key == key).bind(database).scalar()
    return kept
