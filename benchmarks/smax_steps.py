"""Steps per second of SMAXEnv against JaxMARL's own vmapped loop, interleaved.

    python benchmarks/smax_steps.py
    python benchmarks/smax_steps.py --num-envs 64 --steps 200 --repeats 9

All act at random among the available actions and start battles over that have ended. SMAXEnv does
it by TorchRL's ``rand_action`` and ``step_and_maybe_reset``. JaxMARL does it in one jitted call per
step, twice: with actions that PyTorch draws outside of it, as a policy in PyTorch has to, and with
actions drawn inside. Below them, where the difference comes from: SMAXEnv's two jitted functions
alone. Prints medians; on a busy machine the ratios are what holds.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from _timing import print_header
from torch import Tensor

from torchrl_drigm.envs import SMAXEnv
from torchrl_drigm.envs.libs._smax_programs import import_jaxmarl


def jaxmarl_loop(scenario: str, num_envs: int, draw: Callable[[Tensor], Tensor] | None = None):
    """JaxMARL's auto-resetting step with random available actions, driven from Python.

    ``draw`` maps available actions ``[B, n, A]`` to actions ``[B, n]`` outside of JAX; without it
    they are drawn in the jitted call.
    """
    import jax
    import jax.numpy as jnp
    from jaxmarl.environments.smax.smax_env import map_name_to_scenario

    env = import_jaxmarl().make("HeuristicEnemySMAX", scenario=map_name_to_scenario(scenario))

    def available_actions(state):
        available = env.get_avail_actions(state)
        return jnp.stack([available[agent] for agent in env.agents]) == 1

    @jax.jit
    @jax.vmap
    def step(key, state, actions):
        key, action_key, step_key = jax.random.split(key, 3)
        if draw is None:
            logits = jnp.where(available_actions(state), 0.0, -jnp.inf)
            actions = jax.random.categorical(action_key, logits)
        actions = dict(zip(env.agents, actions, strict=True))
        observation, state, reward, done, _ = env.step(step_key, state, actions)
        return key, state, available_actions(state), observation, reward, done

    keys = jax.random.split(jax.random.PRNGKey(0), num_envs)
    _, state = jax.jit(jax.vmap(env.reset))(keys)
    carry = [keys, state, jax.jit(jax.vmap(available_actions))(state)]
    unused = np.zeros((num_envs, len(env.agents)), np.int32)

    def run(steps: int) -> None:
        for _ in range(steps):
            actions = unused
            if draw is not None:
                actions = draw(torch.from_dlpack(carry[2])).to(torch.int32).numpy()
            out = step(carry[0], carry[1], actions)
            carry[:] = out[:3]
            jax.block_until_ready(out)  # a policy needs the observation before the next step

    return run


def torchrl_loop(env: SMAXEnv):
    """The same loop through TorchRL."""
    carry = [env.reset()]

    def run(steps: int) -> None:
        for _ in range(steps):
            carry[0] = env.step_and_maybe_reset(env.rand_action(carry[0]))[1]

    return run


def jitted_loop(env: SMAXEnv, name: str):
    """One of SMAXEnv's jitted functions alone."""
    import jax

    program = getattr(env._programs, name)
    given = np.zeros(env.batch_size[0], bool)
    if name == "step":
        given = np.full((env.batch_size[0], env.n_agents), 4, np.int32)

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(program(env._keys, env._battles, given))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="3s_vs_5z")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100, help="vectorised steps per measurement")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print_header("Steps per second of SMAXEnv against JaxMARL's own loop")

    env = SMAXEnv(args.scenario, num_envs=args.num_envs, seed=0)
    spec = env.full_action_spec["agents", "action"].clone()

    def draw(available: Tensor) -> Tensor:
        """As ``rand_action`` does."""
        spec.update_mask(available)
        return spec.rand()

    loops = {
        "JaxMARL, actions of PyTorch": jaxmarl_loop(args.scenario, args.num_envs, draw),
        "JaxMARL, actions of JAX": jaxmarl_loop(args.scenario, args.num_envs),
        "SMAXEnv": torchrl_loop(env),
        "  its step": jitted_loop(env, "step"),
        "  its reset": jitted_loop(env, "reset"),
    }
    times = {name: [] for name in loops}
    for run in loops.values():
        run(args.steps)  # compiles
    for _ in range(args.repeats):
        for name, run in loops.items():
            start = time.perf_counter()
            run(args.steps)
            times[name].append((time.perf_counter() - start) / args.steps)

    median = functools.cache(lambda name: statistics.median(times[name]))
    print(f"{args.scenario}, {args.num_envs} battles, {args.repeats} x {args.steps} steps")
    for name in loops:
        print(f"{name:28s} {1e3 * median(name):6.2f} ms {args.num_envs / median(name):10,.0f} /s")
    for name in list(loops)[:2]:
        ratios = [a / b for a, b in zip(times[name], times["SMAXEnv"], strict=True)]
        print(f"SMAXEnv / {name}: {statistics.median(ratios):.2f} times the steps per second")


if __name__ == "__main__":
    main()
