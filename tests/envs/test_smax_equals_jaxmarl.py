"""Battles step by step, against JaxMARL by itself."""

import numpy as np
import pytest
import torch

from tests.envs._smax import B, jaxmarl, make_env

pytestmark = pytest.mark.smax

import jax  # noqa: E402
from jaxmarl.environments.smax.smax_env import map_name_to_scenario  # noqa: E402


def test_equals_jaxmarl():
    """Whole episodes of all copies, against JaxMARL called with the same keys."""
    env = make_env(5)
    battle = jaxmarl.make("HeuristicEnemySMAX", scenario=map_name_to_scenario("3s_vs_5z"))

    @jax.jit
    @jax.vmap
    def reference_step(key, state, actions):
        actions = dict(zip(battle.agents, actions, strict=True))
        auto_reset = battle.step(key, state, actions)
        return battle.step_env(jax.random.split(key)[0], state, actions), auto_reset

    def stack(per_agent):
        return torch.from_numpy(np.stack([per_agent[agent] for agent in battle.agents], 1))

    split = jax.jit(jax.vmap(jax.random.split, out_axes=1))
    keys, reset_keys = split(jax.random.split(jax.random.PRNGKey(5), B))
    observations, state = jax.jit(jax.vmap(battle.reset))(reset_keys)
    # an int of Python's, of a type that a step does not give back: it would compile twice
    state = jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), state)
    td = env.reset()
    running = torch.ones(B, 1, dtype=torch.bool)
    steps = 0
    while running.any():
        torch.testing.assert_close(td["agents", "observation"], stack(observations), rtol=0, atol=0)
        world = torch.from_numpy(np.array(observations["world_state"]))
        torch.testing.assert_close(td["state"], world, rtol=0, atol=0)
        env.rand_action(td)
        keys, step_keys = split(keys)
        actions = td["agents", "action"].to(torch.int32).numpy()
        plain, auto_reset = reference_step(step_keys, state, actions)
        observations, state, rewards, dones, _ = plain
        td = env.step(td)["next"]

        rewards = stack(rewards)
        assert torch.equal(rewards, rewards[:, :1].expand(-1, 3))  # hence taken once
        torch.testing.assert_close(td["reward"], rewards[:, :1], rtol=0, atol=0)
        done = torch.from_numpy(np.array(dones["__all__"])).unsqueeze(-1)
        assert torch.equal(td["done"], done)
        # JaxMARL's own step, up to its reset
        seen, _, rewards, dones, _ = auto_reset
        torch.testing.assert_close(td["reward"], stack(rewards)[:, :1], rtol=0, atol=0)
        assert torch.equal(td["done"].squeeze(-1), torch.from_numpy(np.array(dones["__all__"])))
        going_on = ~done.squeeze(-1)
        torch.testing.assert_close(
            td["agents", "observation"][going_on], stack(seen)[going_on], rtol=0, atol=0
        )
        running &= ~done
        steps += 1
    assert 10 < steps <= 101
