"""Revisions of the schema. They never touch entries, tiles, content (README.md)."""
