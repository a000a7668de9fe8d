"""StarCraft II's protocol: from requests to responses, over a :class:`Battle`."""

from pathlib import PurePath

from s2clientprotocol import common_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc

from tests.sc2_server.battle import AGENTS, BORDER, MAP_SIZE, MAPS, Battle, Unit

# Abilities by their numbers in the game.
STOP, MOVE, ATTACK = 4, 16, 23

REPLAY = b"Not a replay: the stand-in's answer to save_replay."


class Game:
    """One server's game.

    Args:
        opponents: see :class:`Battle`.
    """

    def __init__(self, opponents: str = "attack"):
        self._opponents = opponents
        self._battle: Battle | None = None
        self._map_name = ""
        self._seed = 0
        self.status = sc.launched

    def respond(self, request: sc.Request) -> sc.Response:
        """The answer to a request, errors included."""
        name = request.WhichOneof("request")
        response = sc.Response(id=request.id)
        handler = getattr(self, f"_on_{name}", None)
        if handler is None:
            response.error.append(f"the stand-in does not know the request {name!r}")
        elif self.status not in self._valid(name):
            response.error.append(f"{name!r} in status {sc.Status.Name(self.status)}")
        else:
            getattr(response, name).SetInParent()
            handler(getattr(request, name), getattr(response, name))
        response.status = self.status
        return response

    @staticmethod
    def _valid(name: str) -> tuple:
        return {
            "create_game": (sc.launched, sc.in_game),
            "join_game": (sc.init_game,),
            "ping": (sc.launched, sc.init_game, sc.in_game),
            "quit": (sc.launched, sc.init_game, sc.in_game),
        }.get(name, (sc.in_game,))

    def _on_ping(self, _, response) -> None:
        response.game_version = "stand-in"
        response.data_version = "stand-in"

    def _on_create_game(self, request, response) -> None:
        name = PurePath(request.local_map.map_path).stem
        if not request.local_map.map_data:
            response.error = sc.ResponseCreateGame.MissingMap
        elif name not in MAPS:
            response.error = sc.ResponseCreateGame.InvalidMapPath
            response.error_details = f"the stand-in knows the maps {', '.join(MAPS)}"
        else:
            self._map_name, self._seed = name, request.random_seed
            self.status = sc.init_game

    def _on_join_game(self, _, response) -> None:
        self._battle = Battle(self._map_name, self._seed, self._opponents)
        response.player_id = AGENTS
        self.status = sc.in_game

    def _on_restart_game(self, _, response) -> None:
        self._battle = Battle(self._map_name, self._seed, self._opponents)

    def _on_leave_game(self, *_) -> None:
        self._battle = None
        self.status = sc.launched

    def _on_quit(self, *_) -> None:
        self.status = sc.quit

    def _on_game_info(self, _, response) -> None:
        response.map_name = self._map_name
        raw = response.start_raw
        raw.map_size.x = raw.map_size.y = MAP_SIZE
        raw.playable_area.p0.x = raw.playable_area.p0.y = 0
        raw.playable_area.p1.x = raw.playable_area.p1.y = MAP_SIZE
        inner = sum(1 << bit for bit in range(BORDER, MAP_SIZE - BORDER))
        rows = [inner if BORDER <= y < MAP_SIZE - BORDER else 0 for y in range(MAP_SIZE)]
        raw.pathing_grid.bits_per_pixel = 1
        raw.pathing_grid.size.x = raw.pathing_grid.size.y = MAP_SIZE
        raw.pathing_grid.data = b"".join(row.to_bytes(MAP_SIZE // 8, "big") for row in rows)
        raw.terrain_height.bits_per_pixel = 8
        raw.terrain_height.size.x = raw.terrain_height.size.y = MAP_SIZE
        raw.terrain_height.data = bytes([128]) * MAP_SIZE**2

    def _on_data(self, _, response) -> None:
        for kind in {kind for team in MAPS[self._map_name] for kind in team}:
            response.units.add(unit_id=kind.number, movement_speed=kind.speed)

    def _on_observation(self, _, response) -> None:
        observation = response.observation
        observation.game_loop = self._battle.loop
        observation.player_common.player_id = AGENTS
        for unit in self._battle.units.values():
            observation.raw_data.units.append(self._describe(unit))

    @staticmethod
    def _describe(unit: Unit) -> raw_pb2.Unit:
        return raw_pb2.Unit(
            display_type=raw_pb2.Visible,
            alliance=raw_pb2.Self if unit.owner == AGENTS else raw_pb2.Enemy,
            tag=unit.tag,
            unit_type=unit.kind.number,
            owner=unit.owner,
            pos=common_pb2.Point(x=unit.x, y=unit.y, z=0),
            radius=unit.kind.radius,
            build_progress=1,
            health=unit.health,
            health_max=unit.kind.health,
            shield=unit.shield,
            shield_max=unit.kind.shield,
            weapon_cooldown=unit.cooldown,
        )

    def _on_action(self, request, response) -> None:
        for action in request.actions:
            command = action.action_raw.unit_command
            place = command.target_world_space_pos
            order = {
                STOP: None,
                MOVE: ("move", place.x, place.y),
                ATTACK: ("attack", command.target_unit_tag),
            }.get(command.ability_id, "unknown")
            if order == "unknown":
                response.result.append(2)  # NotSupported in the game's list of results
                continue
            for tag in command.unit_tags:
                self._battle.order(tag, order)
            response.result.append(1)  # Success

    def _on_step(self, request, response) -> None:
        for _ in range(request.count):
            self._battle.step()
        response.simulation_loop = self._battle.loop

    def _on_debug(self, request, _) -> None:
        for command in request.debug:
            if command.HasField("kill_unit"):
                self._battle.kill(command.kill_unit.tag)

    def _on_save_replay(self, _, response) -> None:
        response.data = REPLAY
