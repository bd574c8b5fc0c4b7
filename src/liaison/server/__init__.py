"""HTTP: handlers that parse, ask one service, answer. protocols/api.md.

``errors`` is the only place that knows statuses.
"""
