"""A small deterministic battle: units that walk, strike when their weapon has cooled, and die.

Far simpler than the game: no collisions, no sight, no armour, no shield regeneration, no
projectiles, and idle units do not fire back. Times are in game steps, 16 a second at the speed
"normal" that unit statistics are given in. Positions are in map cells.
"""

import math
import random
from dataclasses import dataclass, field

MAP_SIZE = 32
BORDER = 2  # cells along the edge where nobody can walk


@dataclass(frozen=True)
class UnitType:
    """Statistics, rounded."""

    number: int
    health: float
    shield: float
    reach: float
    damage: float
    cooldown: int
    speed: float  # cells per game step
    radius: float


# SMAC's maps give the agents' units types of their own, above the game's; the opponents' are the
# game's own.
STALKER = UnitType(1885, 80, 80, 6.0, 13, 30, 0.184, 0.625)
ZEALOT = UnitType(73, 100, 50, 1.0, 16, 19, 0.141, 0.5)
AGENT_MARINE = UnitType(1882, 45, 0, 5.0, 6, 14, 0.141, 0.375)
MARINE = UnitType(48, 45, 0, 5.0, 6, 14, 0.141, 0.375)

MAPS = {
    "3m": ([AGENT_MARINE] * 3, [MARINE] * 3),
    "3s_vs_5z": ([STALKER] * 3, [ZEALOT] * 5),
}

AGENTS, OPPONENTS = 1, 2


@dataclass
class Unit:
    """One unit; ``order`` is None, ("move", x, y) or ("attack", tag)."""

    tag: int
    kind: UnitType
    owner: int
    x: float
    y: float
    health: float
    shield: float
    cooldown: float = 0.0
    order: tuple | None = None


@dataclass
class Battle:
    """One map; when no unit is left, the next step starts it afresh, as SMAC's maps do.

    Args:
        map_name: a key of ``MAPS``.
        seed: of the places where units start, which differ a little from battle to battle.
        opponents: ``"attack"`` or ``"idle"``.
    """

    map_name: str
    seed: int = 0
    opponents: str = "attack"
    units: dict[int, Unit] = field(default_factory=dict)
    loop: int = 0
    _tags: int = 0

    def __post_init__(self):
        self._random = random.Random(self.seed)
        self._spawn()

    def _spawn(self) -> None:
        for owner, kinds in zip((AGENTS, OPPONENTS), MAPS[self.map_name], strict=True):
            x = 9.0 if owner == AGENTS else 23.0
            for place, kind in enumerate(kinds):
                self._tags += 1
                self.units[self._tags] = Unit(
                    tag=self._tags,
                    kind=kind,
                    owner=owner,
                    x=x + self._random.uniform(-0.5, 0.5),
                    y=MAP_SIZE / 2 + 1.5 * (place - (len(kinds) - 1) / 2),
                    health=kind.health,
                    shield=kind.shield,
                )

    def order(self, tag: int, order: tuple | None) -> None:
        """Give a living unit an order."""
        if tag in self.units:
            self.units[tag].order = order

    def kill(self, tags) -> None:
        """Remove units."""
        for tag in tags:
            self.units.pop(tag, None)

    def step(self) -> None:
        """Advance by one game step."""
        self.loop += 1
        if not self.units:
            self._spawn()
            return
        blows: list[tuple[Unit, float]] = []
        for unit in self.units.values():
            unit.cooldown = max(0.0, unit.cooldown - 1)
            if unit.owner == OPPONENTS and self.opponents == "attack":
                unit.order = self._nearest_enemy(unit)
            self._obey(unit, blows)
        for target, damage in blows:  # all at once, so that the order of units does not matter
            absorbed = min(target.shield, damage)
            target.shield -= absorbed
            target.health -= damage - absorbed
        self.kill([tag for tag, unit in self.units.items() if unit.health <= 0])

    def _nearest_enemy(self, unit: Unit) -> tuple | None:
        enemies = [other for other in self.units.values() if other.owner != unit.owner]
        if not enemies:
            return None
        return ("attack", min(enemies, key=lambda other: self._distance(unit, other)).tag)

    @staticmethod
    def _distance(unit: Unit, other: Unit) -> float:
        return math.hypot(other.x - unit.x, other.y - unit.y)

    def _obey(self, unit: Unit, blows: list) -> None:
        match unit.order:
            case ("move", x, y):
                if self._walk(unit, x, y):
                    unit.order = None
            case ("attack", tag) if tag in self.units:
                target = self.units[tag]
                # Weapons reach from edge to edge.
                reach = unit.kind.reach + unit.kind.radius + target.kind.radius
                if self._distance(unit, target) > reach:
                    self._walk(unit, target.x, target.y)
                elif unit.cooldown == 0:
                    unit.cooldown = unit.kind.cooldown
                    blows.append((target, unit.kind.damage))
            case ("attack", _):
                unit.order = None

    @staticmethod
    def _walk(unit: Unit, x: float, y: float) -> bool:
        """One step towards a point; whether it is reached, or as near as the border allows."""
        low, high = BORDER, MAP_SIZE - BORDER - 1e-3
        x, y = min(max(x, low), high), min(max(y, low), high)
        distance = math.hypot(x - unit.x, y - unit.y)
        share = min(1.0, unit.kind.speed / distance) if distance else 1.0
        unit.x += share * (x - unit.x)
        unit.y += share * (y - unit.y)
        return share == 1.0
