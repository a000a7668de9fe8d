"""A stand-in for the StarCraft II executable. IT IS NOT THE GAME.

pysc2 starts it as it starts the game, and talks to it as it talks to the game: a websocket that
carries StarCraft II's protobuf protocol. Behind it is a small deterministic battle
(``battle.py``) with the unit counts of SMAC's maps 3m and 3s_vs_5z, and with rounded unit
statistics. So the unmodified packages ``smac`` and ``pysc2`` run whole episodes where the game
cannot be installed, and its failures can be provoked. Win rates in it mean nothing.

``install(root)`` lays out a directory that serves as ``$SC2PATH``.
"""

from tests.sc2_server.installation import Installation, install

__all__ = ["Installation", "install"]
