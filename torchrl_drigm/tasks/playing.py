"""How a team plays whole episodes, and what is known of them afterwards.

Axes: ``B`` copies of an environment, which all play at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pandas as pd
import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor, nn
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type
from tqdm import tqdm

__all__ = ["check_memory", "evaluation_mode", "play"]

Policy = Callable[[TensorDictBase], TensorDictBase]

ACTION = ("agents", "action")
# a return that the environment sums up itself, below whatever changes the reward
RETURN = "evaluation_return"
LONGEST = 100_000  # steps, after which nobody expects an end


@contextmanager
def evaluation_mode(policy: object) -> Iterator[None]:
    """No gradients, deterministic exploration, and all modules of a policy in evaluation mode.

    Each module is put back into its own mode afterwards.
    """
    modules = list(policy.modules()) if isinstance(policy, nn.Module) else []
    modes = [module.training for module in modules]
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        if modules:
            policy.eval()
        try:
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode


def check_memory(policy: object, start: TensorDictBase) -> None:
    """Refuses an environment that does not carry what the policy hands on from step to step.

    Such an entry is read under a key and written under the same key of the next step. Recurrent
    modules take zeros where it is missing, and so would forget everything at every step.

    Args:
        policy: an ``nn.Module``; other callables are not looked into.
        start: what the environment's reset gave.

    Raises:
        ValueError: the reset gave no such entry.
    """
    for module in policy.modules() if isinstance(policy, nn.Module) else ():
        written = {unravel_key(key) for key in getattr(module, "out_keys", ())}
        for key in map(unravel_key, getattr(module, "in_keys", ())):
            if unravel_key(("next", key)) in written and start.get(key, None) is None:
                raise ValueError(
                    f"The policy carries {key!r} from step to step, but the environment's reset "
                    "does not give it: it would play without memory. Append "
                    "torchrl.modules.utils.get_primers_from_module(policy) to the environment's "
                    "transforms."
                )


def play(
    policy: Policy,
    env: EnvBase,
    episodes: int,
    *,
    metrics: Mapping[str, NestedKey] | None = None,
    reset: Mapping[str, Tensor] | None = None,
    max_steps: int | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Plays whole episodes with a policy; all copies of the environment play at once.

    The policy acts without gradients, in evaluation mode and with deterministic exploration; its
    modes are as before afterwards. An episode whose connection to a game was lost
    (``("info", "connection_lost")``) is played again.

    Args:
        policy: writes the actions ``("agents", "action")``. What it needs on its environment must
            be there already: for recurrent agents
            :func:`torchrl.modules.utils.get_primers_from_module`.
        env: environment of batch size ``[B]``, or of none, with a team reward ``[B, 1]``.
        episodes: number of episodes; a multiple of ``B``.
        metrics: columns by name, and the entries ``[B, 1]`` of the last step that they show.
        reset: arguments of the environment's reset, such as the day of every copy.
        max_steps: steps after which every episode must have ended. Default: 100,000.
        progress: show a progress bar.

    Returns:
        One row per episode, with the columns ``episode``, those of ``metrics``, ``return`` (the sum
        of rewards) and ``steps``.

    Raises:
        ValueError: ``episodes`` is no positive multiple of ``B``, an episode has not ended, the
            environment does not carry a recurrent policy's state, a metric is not one number for
            each episode, or the policy writes no action, or none of the environment's.
    """
    n_copies = env.batch_size.numel()
    if episodes < 1 or episodes % n_copies:
        raise ValueError(
            f"episodes={episodes} must be a positive multiple of the environment's {n_copies} "
            "copies, all of which play to the end."
        )
    tables = []
    bar = tqdm(desc="evaluation", unit="step", disable=not progress)
    with evaluation_mode(policy), bar:
        for _ in range(episodes // n_copies):
            tables.append(_play_once(policy, env, metrics or {}, reset or {}, max_steps, bar))
    return pd.DataFrame({"episode": range(episodes)}).join(pd.concat(tables, ignore_index=True))


def _play_once(
    policy: Policy,
    env: EnvBase,
    metrics: Mapping[str, NestedKey],
    reset: Mapping[str, Tensor],
    max_steps: int | None,
    bar: tqdm,
) -> pd.DataFrame:
    """The first whole episode of every copy. Copies start over, and what follows is ignored."""
    tensordict = env.reset(**reset)
    check_memory(policy, tensordict)
    n_copies = env.batch_size.numel()
    going = torch.ones(n_copies, dtype=torch.bool)
    steps = torch.zeros(n_copies, dtype=torch.int64)
    returns = torch.zeros(n_copies)
    values = {name: [None] * n_copies for name in metrics}
    while going.any():
        if int(steps.max()) >= (LONGEST if max_steps is None else max_steps):
            raise ValueError(
                f"{int(going.sum())} of {n_copies} episodes have not ended after "
                + (
                    f"{LONGEST:,} steps. Give the environment a limit, with env.max_steps or a "
                    "StepCounter."
                    if max_steps is None
                    else f"max_steps={max_steps}."
                )
            )
        stepped = env.step(_act(policy, tensordict, env))
        bar.update()
        step = stepped["next"]
        steps += going
        if step.get(RETURN, None) is not None:
            returns = torch.where(going, step[RETURN].flatten().cpu(), returns)
        else:
            returns += torch.where(going, step["reward"].flatten().cpu(), 0.0)
        done = step["done"].flatten().cpu()
        lost = step.get(("info", "connection_lost"), None)
        if lost is not None:
            lost = lost.flatten().cpu() & going
            steps[lost], returns[lost] = 0, 0.0
            done = done & ~lost
        ended = going & done
        if ended.any():
            for name, key in metrics.items():
                last = _metric(name, key, step, n_copies)
                for copy in ended.nonzero().flatten().tolist():
                    values[name][copy] = last[copy]
        going = going & ~done
        if going.any():
            tensordict = env.maybe_reset(env.step_mdp(stepped))
    return pd.DataFrame({**values, "return": returns.double().numpy(), "steps": steps.numpy()})


def _metric(name: str, key: NestedKey, step: TensorDictBase, n_copies: int) -> list[float]:
    """One number for each copy."""
    entry = step.get(key, None)
    if entry is None or entry.numel() != n_copies:
        shape = "is not there" if entry is None else f"has the shape {list(entry.shape)}"
        raise ValueError(
            f"metric {name!r} must be one number for each of {n_copies} episodes, but the entry "
            f"{key!r} of a step {shape}: name one of shape [{n_copies}, 1], which a transform of "
            "the task's environment may write."
        )
    return entry.flatten().tolist()


def _act(policy: Policy, tensordict: TensorDictBase, env: EnvBase) -> TensorDictBase:
    """What the policy makes of a step, if it wrote actions of the environment."""
    acted = policy(tensordict)
    action = None if acted is None else acted.get(ACTION, None)
    if action is None:
        raise ValueError(
            f"The policy wrote no {ACTION!r}. It must return the tensordict that it is given, with "
            "that entry added."
        )
    spec = env.full_action_spec[ACTION]
    # not by spec.is_in: its mask of available actions may be that of another step
    fits = action.shape == spec.shape and action.dtype == spec.dtype
    if not (fits and action.min() >= 0 and action.max() < spec.n):
        raise ValueError(
            f"The policy's {ACTION!r} must be {spec.dtype} in [0, {spec.n}) of shape "
            f"{list(spec.shape)}; received {action.dtype} of shape {list(action.shape)} between "
            f"{action.min().item()} and {action.max().item()}."
        )
    values = acted.get(("agents", "action_value"), None)
    if values is not None and values.shape[-1] != spec.n:
        raise ValueError(
            f"The policy values {values.shape[-1]} actions, but the environment has {spec.n}, and "
            "an index may mean another action there: give the task that the policy was made for."
        )
    return acted
