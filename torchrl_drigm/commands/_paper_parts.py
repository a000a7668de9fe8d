"""What of the paper there is to be had: parts and their suites, presets, mixers, sets."""

from __future__ import annotations

from collections.abc import Sequence

from torchrl_drigm.commands._paper_plan import BATTLES

__all__ = ["BUILDINGS", "PACKAGES", "PARTS", "of_battles", "suites_of"]

BUILDINGS = "buildings"
PACKAGES = {BUILDINGS: ("sustaingym",), BATTLES: ("jaxmarl", "jax")}  # of Task.packages

PROTOCOLS = ("paper", "strict")  # as the paper's numbers were made, and as its text says
#: Suites that each part is played in; of those that end in a protocol, the wanted ones.
PARTS: dict[str, tuple[str, ...]] = {
    "climate": ("climate",),  # Figure 2
    "season": ("season_paper", "season_strict"),  # Table 1
    "climate_season": ("climate_season_paper", "climate_season_strict"),  # Table 2
    "climate16": ("climate16",),
    "physics": ("physics",),
    "sensor": ("sensor",),
    "actuator": ("actuator",),
    BATTLES: ("noise_strength", "hard_enemies"),  # Figures 3 and 4, and a shift of the game's
}
PAPER_PARTS = ("climate", "season", "climate_season")
PRESETS = ("fast", "paper", "released")
MIXERS = ("vdn", "qmix", "qtran")
SETS = ("none", "contamination", "tv", "cvar", "group_dr")
BATTLE_SETS = ("none", "contamination", "tv", "cvar")


def suites_of(parts: Sequence[str], protocol: str | None) -> list[str]:
    """Suites of the parts on buildings, in the order in which they are there.

    Examples:
        >>> suites_of(["climate", "season"], None), suites_of(["season", "battles"], "strict")
        (['climate', 'season_paper', 'season_strict'], ['season_strict'])
    """
    others = tuple(f"_{other}" for other in PROTOCOLS if protocol not in (None, other))
    parts = dict.fromkeys(part for part in parts if part != BATTLES)
    return [s for part in parts for s in PARTS[part] if not s.endswith(others)]


def of_battles(mixers: Sequence[str], sets: Sequence[str]) -> tuple[list[str], list[str]]:
    """Mixers and sets of battles, as in the paper.

    Examples:
        >>> of_battles(["qmix", "qtran"], ["tv", "group_dr"])
        (['qmix'], ['tv'])
    """
    return [m for m in mixers if m != "qtran"], [kind for kind in sets if kind in BATTLE_SETS]
