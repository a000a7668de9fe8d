"""Observations of zones with set points of their own, in the numbers of a zone at 22 °C."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["locations", "zone_locations"]

NOMINAL = 22.0  # °C, what `loc` is for

PerZone = float | Sequence[float]


def zone_locations(loc: float, target: PerZone, n_zones: int) -> list[float]:
    """What the temperature of each zone is counted from: as far from its set point as ``loc``.

    Examples:
        >>> zone_locations(22.0, [18.0, 22.0], 2), zone_locations(0.0, 20.0, 1)
        ([18.0, 22.0], [-2.0])
    """
    targets = target if isinstance(target, Sequence) else [target] * n_zones
    return [loc + (each - NOMINAL) for each in targets]


def locations(
    loc: Sequence[float], target: PerZone, ac_map: bool | Sequence[bool]
) -> list[float] | list[list[float]]:
    """What the features of an observation are counted from, own zone first.

    Args:
        loc (sequence of float): by feature, of a zone with a set point of 22 °C.
        target (float or sequence): set points; of all zones where it is a sequence.
        ac_map (bool or sequence): which zones have an agent.

    Returns:
        list: by feature; or such a list for each agent, where set points differ.

    Examples:
        >>> locations([22.0, 0.0], 20.0, True)
        [20.0, 0.0]
        >>> locations([22.0, 0.0], [18.0, 22.0, 21.0], [True, False, True])
        [[18.0, 0.0], [21.0, 0.0]]
    """
    own, *shared = loc
    if not isinstance(target, Sequence):
        return [*zone_locations(own, target, 1), *shared]
    heated = ac_map if isinstance(ac_map, Sequence) else [ac_map] * len(target)
    zones = zone_locations(own, target, len(target))
    return [[zone, *shared] for zone, has_agent in zip(zones, heated, strict=True) if has_agent]
