"""liaison: end-to-end encrypted notes between sovereign parties, on a signed, append-only log.

The rooms of the house, from ground to roof: ``words``; ``statements``, ``sealing``, ``tlog``;
``ledger``; ``rules``; ``node``, ``adapters``, ``client``; ``server``, ``audit``; ``main``,
``settings``, ``cli``. An import goes down or stays in its room (``tests/test_floors.py``).
"""

__version__ = "0.1.0"
