"""What every store's tables are like."""

from __future__ import annotations

from tests.contract.stores import Place
from zmqchat.store import migrate
from zmqchat.store.dialect import dialect_of
from zmqchat.store.models import Conversation, Login, Message, Node, Setting


def test_the_models_are_what_the_scripts_make(place: Place) -> None:
    """Columns, keys and indexes of the models and of the migrated tables are the same."""
    dialect = dialect_of(place.url)
    migrate.migrate(dialect)
    database = dialect.database(for_writing=False)
    with database.connection_context():
        for model in (Conversation, Message, Node, Login, Setting):
            table = model._meta.table_name
            columns = {(c.name, c.null, c.primary_key) for c in database.get_columns(table)}
            assert columns == {
                (f.column_name, f.null, f.primary_key) for f in model._meta.sorted_fields
            }
            indexes = {
                (tuple(index.columns), bool(index.unique))
                for index in database.get_indexes(table)
                if index.name != "PRIMARY"  # which MariaDB counts among them
            }
            expected = set()
            for index in model._meta.fields_to_index():
                names = tuple(field.column_name for field in index._expressions)
                expected.add((names, bool(index._unique)))
            assert indexes == expected
