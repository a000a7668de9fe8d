"""Harder enemies in SMAX: what their hits cost, and what they stand."""

import functools

import pytest
import torch

from tests.envs._smax import B, attack
from torchrl_drigm.envs.libs.smax import SMAXEnv

pytestmark = pytest.mark.smax

HEALTH = slice(0, 80, 10)  # of each unit in the state: 3 allies, then 5 enemies, as shares


@functools.cache
def health_lost(**factors):
    """Shares of health lost ``[B, T, 8]``, and which battles have lost nobody ``[B, T]``."""
    env = SMAXEnv("3s_vs_5z", num_envs=B, seed=0, **factors)
    state = env.rollout(40, attack, break_when_any_done=False)["next", "state"]
    health = state[..., HEALTH]
    return 1 - health, (health > 0).all(-1).cummin(-1).values


def test_hits_scale_by_their_factors_until_somebody_dies():
    nominal, complete = health_lost()
    hard, hard_complete = health_lost(enemy_damage=1.25, enemy_health=1.6)
    both = complete & hard_complete
    assert nominal[both][:, :3].sum() > 0 and nominal[both][:, 3:].sum() > 0
    torch.testing.assert_close(hard[both][:, :3], 1.25 * nominal[both][:, :3])
    torch.testing.assert_close(hard[both][:, 3:], nominal[both][:, 3:] / 1.6)


def test_nobody_survives_by_a_smaller_share_of_what_it_had_left():
    """JaxMARL stops at 0: half of a hit that kills must not be half of what was left."""
    lost, _ = health_lost(enemy_damage=1.25, enemy_health=1.6)
    hits = lost[..., 3:] * 150 / (13 / 1.6)  # Zealots of 150 that Stalkers hit by 13
    alive = lost[..., 3:] < 1
    torch.testing.assert_close(hits[alive], hits[alive].round(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["enemy_damage", "enemy_health"])
@pytest.mark.parametrize("factor", [0, -1.0, float("inf"), True])
def test_what_is_no_factor_is_refused(name, factor):
    with pytest.raises(ValueError, match=rf"{name}={factor} must be a finite number above 0"):
        SMAXEnv(**{name: factor})
