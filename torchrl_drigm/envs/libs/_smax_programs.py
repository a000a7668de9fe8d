"""What :class:`~torchrl_drigm.envs.SMAXEnv` asks of JAX and JaxMARL, neither imported before use.

Axes: ``B`` battles, ``n`` allies, ``F`` features, ``S`` numbers of state, ``A`` actions.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import sys
from typing import NamedTuple

import torch

has_smax = importlib.util.find_spec("jaxmarl") is not None


def require_smax(name: str) -> None:
    """Raises an ``ImportError`` with the install command where JaxMARL is missing."""
    if not has_smax:
        raise ImportError(f'{name} needs JaxMARL: pip install "torchrl_drigm[smax]" installs it.')


@functools.cache
def import_jaxmarl():
    """JaxMARL, without what it prints when imported."""
    # Without brax JaxMARL also points both streams at the process's own, away from whoever had
    # redirected them, before it prints.
    streams = sys.stdout, sys.stderr, sys.__stdout__
    sys.stdout = sys.__stdout__ = io.StringIO()
    try:
        import jaxmarl
    finally:
        sys.stdout, sys.stderr, sys.__stdout__ = streams
    return jaxmarl


@functools.lru_cache(maxsize=8)
def make_battle(scenario: str, kwargs: tuple):
    """JaxMARL's environment, which has no state of its own; one per set of arguments."""
    jaxmarl = import_jaxmarl()
    from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

    if scenario not in MAP_NAME_TO_SCENARIO:
        raise ValueError(
            f"scenario={scenario!r} is unknown; valid names: {', '.join(MAP_NAME_TO_SCENARIO)}."
        )
    kwargs = dict(kwargs)
    factors = [kwargs.pop(name, 1.0) for name in ("enemy_damage", "enemy_health")]
    env = jaxmarl.make("HeuristicEnemySMAX", scenario=MAP_NAME_TO_SCENARIO[scenario], **kwargs)
    if factors != [1.0, 1.0]:
        _scale_hits(env._env, *factors)
    return env


def _scale_hits(game, damage: float, health: float) -> None:
    """What hits take, of allies times ``damage``, of enemies divided by ``health``.

    JaxMARL's types of units belong to both sides, so these cannot tell the sides apart; its
    smallest step of time, in which health is lost to hits alone, can.
    """
    import jax.numpy as jnp

    world_step = game._world_step
    is_ally = jnp.arange(game.num_agents) < game.num_allies
    factor = jnp.where(is_ally, damage, 1.0 / health)

    def scaled(key, state, actions):
        # A health that no hit exhausts: JaxMARL stops at 0, which a scaled hit may not reach.
        plenty = jnp.full_like(state.unit_health, 1e6)
        after = world_step(key=key, state=state.replace(unit_health=plenty), actions=actions)
        lost = (plenty - after.unit_health) * factor
        return after.replace(unit_health=jnp.maximum(state.unit_health - lost, 0.0))

    game._world_step = scaled


def jax_device(device: torch.device | None):
    """JAX's device for a torch device: the same one if JAX has it, else the CPU."""
    import jax

    if device is not None and device.type == "cuda":
        with contextlib.suppress(RuntimeError):  # JAX was installed without CUDA
            return jax.devices("cuda")[device.index or 0]
    return jax.devices("cpu")[0]


class Programs(NamedTuple):
    """Jitted functions of all battles: keys ``[B, 2]``, battles with leaves ``[B, ...]``.

    Attributes:
        observe: battles -> (observations ``[B, n, F]``, states ``[B, S]``, available actions
            ``[B, n, A]``).
        reset: keys, battles, chosen ``[B]`` -> keys, battles, what ``observe`` returns.
        step: keys, battles, actions ``[B, n]`` -> keys, battles, what ``observe`` returns, rewards
            ``[B]``, flags ``[4, B]`` (done, terminated, truncated, won).
    """

    observe: object
    reset: object
    step: object


@functools.lru_cache(maxsize=8)
def programs(env) -> Programs:
    """What JAX compiles for an environment, once for all of its copies."""
    import jax
    import jax.numpy as jnp

    def observe(battle):
        seen, available = env.get_obs(battle), env.get_avail_actions(battle)
        return (
            jnp.stack([seen[agent] for agent in env.agents]),
            env.get_world_state(battle),
            jnp.stack([available[agent] for agent in env.agents]).astype(bool),
        )

    def reset(key, battle, chosen):
        next_key, reset_key = jax.random.split(key)
        _, fresh = env.reset(reset_key)
        key, battle = jax.tree.map(
            lambda new, old: jnp.where(chosen, new, old).astype(old.dtype),
            (next_key, fresh),
            (key, battle),
        )
        return key, battle, observe(battle)

    def step(key, battle, actions):
        key, step_key = jax.random.split(key)
        # JaxMARL's step keeps the other half for its own reset.
        step_key, _ = jax.random.split(step_key)
        actions = dict(zip(env.agents, actions, strict=True))
        _, battle, rewards, dones, _ = env.step_env(step_key, battle, actions)
        alive = battle.state.unit_alive
        allies, enemies = alive[: env.num_allies].any(), alive[env.num_allies :].any()
        terminated = ~(allies & enemies)
        done = dones["__all__"]
        flags = jnp.stack([done, terminated, done & ~terminated, allies & ~enemies])
        return key, battle, observe(battle), rewards[env.agents[0]], flags

    options = _compiler_options()
    return Programs(
        observe=jax.jit(jax.vmap(observe), compiler_options=options),
        reset=jax.jit(jax.vmap(reset), compiler_options=options),
        step=jax.jit(jax.vmap(step, out_axes=(0, 0, 0, 0, 1)), compiler_options=options),
    )


def _compiler_options() -> dict | None:
    """Without XLA's YNN kernels a step on the CPU takes about a third less: its sums are tiny."""
    import jax

    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except Exception:  # an experimental option, which other versions of JAX may not have
        return None
    return options
