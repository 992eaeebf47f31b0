"""The newest login of each user who may have one session, and what the cluster keeps for itself."""

from __future__ import annotations

from typing import Any

import peewee

from zmqchat.store.tables import make_tables


def up(migrator: Any, db: peewee.Database) -> None:  # noqa: ARG001 - the runner passes it
    """Make the tables; these classes are a frozen copy of what the models were then."""

    class Login(peewee.Model):
        id = peewee.BigAutoField()
        user = peewee.CharField(64, unique=True)
        login_epoch = peewee.BigIntegerField()
        session = peewee.CharField(128)
        node = peewee.BigIntegerField()
        incarnation = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "login"

    class Setting(peewee.Model):
        id = peewee.BigAutoField()
        key = peewee.CharField(64, unique=True)
        value = peewee.CharField(255)

        class Meta:
            database = db
            table_name = "setting"

    make_tables(db, Login, Setting)
