"""The files that pysc2 and smac expect of an installed game, with the stand-in as executable."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.sc2_server.battle import MAPS

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = 75689  # of game version 4.10.0; pysc2 takes the highest build that it finds

EXECUTABLE = """#!/bin/sh
# NOT StarCraft II: a stand-in for it, for tests.
# exec keeps the process id that the caller knows.
PYTHONPATH='{repository}' exec '{python}' -m tests.sc2_server --home '{home}' "$@"
"""


@dataclass
class Installation:
    """A directory for ``$SC2PATH``."""

    path: Path

    @property
    def _control(self) -> Path:
        return self.path / "stand_in"

    def control(self, *, opponents: str = "attack", faults: list[dict] = ()) -> None:
        """Say how servers started from now on behave.

        Args:
            opponents: ``"attack"``: they walk to the nearest enemy and strike; ``"idle"``.
            faults: see :mod:`tests.sc2_server.faults`.
        """
        for claimed in self._control.glob("fault-*"):
            claimed.unlink()
        settings = {"opponents": opponents, "faults": list(faults)}
        (self._control / "control.json").write_text(json.dumps(settings))

    def pids(self) -> list[int]:
        """The process ids of all servers ever started from here, oldest first."""
        log = self._control / "pids"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def running(self, seconds: float = 0) -> list[int]:
        """Those of ``pids`` that run, after up to ``seconds`` in which they may end.

        One that has ended and was not waited for counts as running.
        """
        end = time.monotonic() + seconds
        while True:
            running = [pid for pid in self.pids() if os.path.exists(f"/proc/{pid}")]
            if not running or time.monotonic() >= end:
                return running
            time.sleep(0.05)


def install(root: Path) -> Installation:
    """Lay out ``Versions``, ``Maps`` and the executable under ``root``."""
    installation = Installation(Path(root))
    home = installation._control
    home.mkdir(parents=True)
    executable = installation.path / "Versions" / f"Base{BUILD}" / "SC2_x64"
    executable.parent.mkdir(parents=True)
    executable.write_text(
        EXECUTABLE.format(repository=REPOSITORY, python=sys.executable, home=home)
    )
    executable.chmod(0o755)
    maps = installation.path / "Maps" / "SMAC_Maps"
    maps.mkdir(parents=True)
    for name in MAPS:
        (maps / f"{name}.SC2Map").write_text(f"A placeholder for the map {name}, not a map.\n")
    installation.control()
    return installation
