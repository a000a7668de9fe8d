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
    "agent.action_degree": None,
    "mixer.deviation_weight": None,
    "mixer.joint_state": True,
    "env.failures": None,
    "env.random_weather": None,
    "env.target": 22.0,
    "env.max_power": 8000.0,
    "env.ac_map": True,
    "env.reward_beta": 0.999,
    "env.reward_pnorm": 2.0,
    "env.time_res": 300,
    "env.ground_temp": None,
    "env.U_Wall": None,
    "env.shgc": 0.252,
    "env.shgc_weight": 0.01,
    "env.ground_weight": 0.5,
    "env.full_occ": 0.0,
    "env.activity_sch": 120.0,
    "env.action_failure": None,
    "env.enemy_damage": 1.0,
    "env.enemy_health": 1.0,
}
