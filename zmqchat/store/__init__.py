"""What keeps messages: one shared SQLite or MySQL database, through peewee."""
