"""Statements: the signed envelope and one frozen model per payload. protocols/statements.md.

The models are the one shape of a note, a key or a charter from the wire to the rule.
"""
