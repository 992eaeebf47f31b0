"""Numbered scripts that make the tables and change them; each runs once in a database's life."""
