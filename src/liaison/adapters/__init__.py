"""Adapters: what the ports of the node are made of here. design.md 5 and 7."""
