"""The audit: read a log, recompute all of it, name the first difference. house.md, "One audit".

It trusts neither the node nor a party: only the anchors that its caller brings. Imports no node.
"""
