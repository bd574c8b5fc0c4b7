"""``python -m liaison.cli`` is the ``liaison`` command."""

from liaison.cli import main

main()
