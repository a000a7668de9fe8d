"""Failures of the game, on demand.

A fault is a dict; ``Installation.control(faults=[...])`` sets them.

- ``kind``: ``"die"`` (the process exits at once, without a reply), ``"delay"`` (the reply is
  ``seconds`` late), ``"malformed"`` (the reply is broken, see ``form``), ``"port_taken"`` (the
  port is found taken at the start).
- ``request``: the request that sets it off, for example ``"step"`` or ``"observation"``.
- ``after``: how many such requests this process answers properly first. Default 0.
- ``times``: how often it happens, over all processes. Default 1.
- ``form``: ``"garbage"`` (no protobuf message), ``"no_status"`` (a message without the mandatory
  status), ``"wrong_id"`` (the reply to another request), ``"bad_frame"`` (no websocket frame).
"""

import json
from collections import Counter
from pathlib import Path


class Faults:
    """The faults of one process.

    Args:
        home: the directory with ``control.json``; claims of faults are files in it, so that
            ``times`` holds over all processes.
    """

    def __init__(self, home: Path):
        self._home = home
        self._faults = json.loads((home / "control.json").read_text())["faults"]
        self._seen = Counter()

    def at_start(self) -> bool:
        """Whether the port is to be found taken."""
        return any(
            fault["kind"] == "port_taken" and self._claim(number, fault)
            for number, fault in enumerate(self._faults)
        )

    def at_request(self, name: str) -> dict | None:
        """The fault to commit on this request, if any."""
        self._seen[name] += 1
        for number, fault in enumerate(self._faults):
            due = fault.get("request") == name and self._seen[name] > fault.get("after", 0)
            if due and self._claim(number, fault):
                return fault
        return None

    def _claim(self, number: int, fault: dict) -> bool:
        for time in range(fault.get("times", 1)):
            try:
                (self._home / f"fault-{number}-{time}").touch(exist_ok=False)
                return True
            except FileExistsError:
                continue
        return False
