"""The running service: intake, sequencer, delivery, sessions, reading, and the ports they stand on.

It is blind: nothing here opens a note. A service is a frozen dataclass of its collaborators; it
knows neither HTTP nor SQL.
"""
