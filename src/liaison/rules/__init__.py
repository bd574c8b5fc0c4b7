"""The rules: cells, decide, evolve, the trust chain, lives, channel kinds. All of it pure.

``decide(view, statement, at)`` gives a record or a refusal; ``evolve(view, record, index)`` gives
the cells that change. Node, audit and crash tests run these same two functions.
"""
