"""Makes tables for migration scripts, on databases that can undo it and on those that cannot.

On a MySQL server every table and every index is committed by itself. So a script that broke off
may have left some of them behind, and is to make only the others when it is run again.
"""

from __future__ import annotations

from typing import Any

import peewee

# Names that differ in case or accent only are different names.
_SERVER_SETTINGS = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"


def make_tables(database: Any, *models: Any) -> None:
    """Make the tables of these models, each with its indexes."""
    if isinstance(database, peewee.MySQLDatabase):
        for model in models:
            _make_on_server(database, model)
    else:
        database.create_tables(models, safe=False)


def _make_on_server(database: Any, model: Any) -> None:
    model._meta.table_settings = _SERVER_SETTINGS  # noqa: SLF001 - peewee's way to say it
    model._schema.create_table(safe=True)  # noqa: SLF001 - nothing else leaves indexes out
    found = {tuple(i.columns) for i in database.get_indexes(model._meta.table_name)}  # noqa: SLF001
    for index in model._meta.fields_to_index():  # noqa: SLF001
        columns = tuple(field.column_name for field in index._expressions)  # noqa: SLF001
        if columns not in found:
            database.execute(index.safe(False))
