"""Fields that were added to groups that runs already had, and what these runs were without them."""

from typing import Any

__all__ = ["ADDED"]

#: By dotted name. A config that lacks a field is that of the same run as one with this value.
ADDED: dict[str, Any] = {
    "uncertainty.joint_with_reward": False,
    "optim.lr_end_factor": 1.0,
    "optim.dual_first": False,
    "replay.drop_last": False,
    "exploration.per": "agent",
    "env.failures": None,
    "env.random_weather": None,
    "env.action_failure": None,
    "env.enemy_damage": 1.0,
    "env.enemy_health": 1.0,
}
