"""The store in SQL: one schema and one code for SQLite and PostgreSQL. design.md 7 ("Store").

``SqlWriter`` and ``SqlReader`` fulfil the ports; ``migrate`` comes before both.
"""
