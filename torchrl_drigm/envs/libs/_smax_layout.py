"""Where things are in SMAX's observations and states, read off JaxMARL's own descriptions.

Axes: ``n`` allies, ``m`` enemies, ``S`` numbers of the state.
"""

from __future__ import annotations

import torch
from torch import Tensor


def enemy_position(env) -> dict[str, Tensor]:
    """Indices of the enemies' positions ``[m, 2]`` and of what tells that they are seen ``[m]``.

    Raises:
        ValueError: the observation is not a list of units.
    """
    if env.observation_type != "unit_list":
        raise ValueError(
            f"observation_type={env.observation_type!r} has no fixed place for an enemy; "
            "use 'unit_list'."
        )
    # The other allies come first, then the enemies, then the observer itself.
    width = len(env.unit_features)
    first = width * (env.num_allies - 1 + torch.arange(env.num_enemies))
    x, y, health = (
        env.unit_features.index(feature) for feature in ("position_x", "position_y", "health")
    )
    return {"position": torch.stack([first + x, first + y], -1), "visible": first + health}


def state_scale(env) -> Tensor:
    """Magnitude ``[S]`` of every number of the state."""
    n_units = env.num_allies + env.num_enemies
    unit = torch.ones(n_units, len(env.own_features))
    place = {name: i for i, name in enumerate(env.own_features)}
    unit[:, place["position_x"]] = env.map_width
    unit[:, place["position_y"]] = env.map_height
    unit[:, place["weapon_cooldown"]] = 10 * env.unit_type_weapon_cooldowns.max().item()
    # then each unit's team and type, small integers
    return torch.cat([unit.flatten(), torch.ones(env.state_size - unit.numel())])
