"""Steps per second of SMAXEnv against JaxMARL's own vmapped loop, interleaved.

    python benchmarks/smax_steps.py
    python benchmarks/smax_steps.py --num-envs 64 --steps 200 --repeats 9

Both act at random among the available actions and start battles over that have ended: JaxMARL in
one jitted call per step, its actions drawn in it; SMAXEnv by TorchRL's ``rand_action`` and
``step_and_maybe_reset``. Below them, where the difference comes from: SMAXEnv's two jitted
functions alone. Prints medians; on a busy machine the ratio is what holds.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time

import torch
from _timing import print_header

from torchrl_drigm.envs.libs.smax import SMAXEnv, import_jaxmarl


def jaxmarl_loop(scenario: str, num_envs: int):
    """JaxMARL's auto-resetting step with random available actions, driven from Python."""
    import jax
    import jax.numpy as jnp
    from jaxmarl.environments.smax.smax_env import map_name_to_scenario

    env = import_jaxmarl().make("HeuristicEnemySMAX", scenario=map_name_to_scenario(scenario))

    @jax.jit
    @jax.vmap
    def step(key, state):
        key, action_key, step_key = jax.random.split(key, 3)
        available = env.get_avail_actions(state)
        available = jnp.stack([available[agent] for agent in env.agents])
        actions = jax.random.categorical(action_key, jnp.where(available == 1, 0.0, -jnp.inf))
        actions = dict(zip(env.agents, actions, strict=True))
        observation, state, reward, done, _ = env.step(step_key, state, actions)
        return key, state, observation, reward, done

    keys = jax.random.split(jax.random.PRNGKey(0), num_envs)
    _, state = jax.jit(jax.vmap(env.reset))(keys)
    carry = [keys, state]

    def run(steps: int) -> None:
        for _ in range(steps):
            out = step(*carry)
            carry[:] = out[:2]
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
    import numpy as np

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
    loops = {
        "JaxMARL": jaxmarl_loop(args.scenario, args.num_envs),
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
        print(f"{name:12s} {1e3 * median(name):6.2f} ms {args.num_envs / median(name):10,.0f} /s")
    ratios = [a / b for a, b in zip(times["JaxMARL"], times["SMAXEnv"], strict=True)]
    print(f"SMAXEnv / JaxMARL: {statistics.median(ratios):.2f} times the steps per second")


if __name__ == "__main__":
    main()
