"""Evaluation of a policy over the shifts of a suite.

Axes: ``S`` shifts, ``E`` episodes of each, ``B = S * E`` copies of the environment, shift-major.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.envs import Compose, EnvBase, RewardSum, Transform, TransformedEnv
from tqdm import tqdm

from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.evaluation._playing import check_memory, evaluation_mode
from torchrl_drigm.evaluation.returns import RETURN_SCALES, normalise_return
from torchrl_drigm.evaluation.suites import Shift, Suite, get_suite
from torchrl_drigm.modules import DRQN

__all__ = ["evaluate"]

_ACTION = ("agents", "action")
_RETURN = "evaluation_return"


def evaluate(
    policy: Callable[[TensorDictBase], TensorDictBase],
    suite: str | Suite = "climate",
    episodes: int = 50,
    seed: int = 11,
    *,
    transform: Transform | None = None,
    env_kwargs: dict[str, Any] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Plays a policy on every shift of a suite, all episodes at once.

    The policy acts without gradients, in evaluation mode and with deterministic exploration;
    its modes are as before afterwards. The days are drawn without replacement while there are
    enough, from ``seed`` alone: shifts over the same range of days share them, so differences
    between shifts, and between policies, are paired. Torch's global generator is not used.

    Args:
        policy: a ``TensorDictModule``, or any callable from tensordict to tensordict, that
            writes the levels ``("agents", "action")`` int64 ``[B, n_agents]``. One with a method
            ``bind(env)`` is given the :class:`~torchrl_drigm.envs.SustainGymEnv` first, without
            its transforms (see :class:`~torchrl_drigm.evaluation.ReferencePolicy`).
        suite: the name of a suite, or a suite.
        episodes: number of episodes (days) per shift.
        seed: seed of the days.
        transform: what the policy needs on its environment, such as
            :class:`~torchrl_drigm.envs.transforms.HistoryWindow`. A clone of it is used. Returns
            are those of the environment below it: scaled rewards do not change them.
        env_kwargs: more arguments of ``SustainGymEnv``, such as ``building`` or ``device``. A team
            of :class:`~torchrl_drigm.modules.DRQN` brings its own ``n_action_levels``. Give the
            building that the policy was trained in, OfficeSmall if none is named.
        progress: show a progress bar.

    Returns:
        One row per shift and episode, with the columns ``suite``, ``shift``, ``climate``,
        ``location``, ``episode``, ``day``, ``return`` (the team's reward summed over the day)
        and, where the building has one, ``normalized_return`` (see
        :func:`~torchrl_drigm.evaluation.normalise_return`).

    Raises:
        ValueError: ``episodes`` is below 1, the suite is unknown, the policy was made for other
            action levels or for another number of zones, carries a state that the environment
            does not give, writes no action or not one of the environment's, or returns are not
            finite.

    Example:
        >>> from torchrl_drigm.evaluation import ProportionalControl
        >>> results = evaluate(ProportionalControl(), "climate", episodes=2)
        >>> results[["shift", "location", "episode"]].head(3)
           shift location  episode
        0  env_1   Tucson        0
        1  env_1   Tucson        1
        2  env_2    Tampa        0
        >>> bool((results["normalized_return"] > 0.5).all())
        True
    """
    if episodes < 1:
        raise ValueError(f"episodes={episodes} must be at least 1.")
    if not isinstance(suite, Suite):
        suite = get_suite(suite)
    shifts = suite.shifts
    climates = list(dict.fromkeys(shift.climate for shift in shifts))
    days = torch.stack([_draw_days(shift, episodes, seed) for shift in shifts])  # [S, E]
    climate = torch.tensor([climates.index(shift.climate) for shift in shifts])  # [S]

    base_env = SustainGymEnv(
        "building",
        climates=climates,
        num_envs=days.numel(),
        seed=seed,
        **_env_kwargs_of(policy, env_kwargs or {}),
    )
    _check_zones(policy, base_env)
    # RewardSum comes before the caller's transform, which may change the reward.
    transforms = [RewardSum(in_keys=["reward"], out_keys=[_RETURN])]
    if transform is not None:
        # one flat list: a Compose in a Compose cannot tell its first transform its parent
        transform = transform.clone()
        transforms += transform if isinstance(transform, Compose) else [transform]
    env = TransformedEnv(base_env, Compose(*transforms))
    if hasattr(policy, "bind"):
        policy.bind(base_env)
    with evaluation_mode(policy):
        start = env.reset(day=days.flatten(), climate=climate.repeat_interleave(episodes))
        check_memory(policy, start)
        returns = _play(env, policy, start, progress)

    results = pd.DataFrame(
        {
            "suite": suite.name,
            "shift": [shift.name for shift in shifts for _ in range(episodes)],
            "climate": [shift.climate[0] for shift in shifts for _ in range(episodes)],
            "location": [shift.climate[1] for shift in shifts for _ in range(episodes)],
            "episode": list(range(episodes)) * len(shifts),
            "day": days.flatten().numpy(),
            "return": returns.double().cpu().numpy(),
        }
    )
    if base_env.building in RETURN_SCALES:
        results["normalized_return"] = normalise_return(results["return"], base_env.building)
    bad = results[~torch.isfinite(returns).cpu().numpy()]
    if len(bad):
        first = bad.iloc[0]
        raise ValueError(
            f"{len(bad)} of {len(results)} returns are not finite, the first on {first['shift']}, "
            f"day {first['day']}: check the physics given by env_kwargs."
        )
    return results


def _networks(policy: object) -> list[DRQN]:
    modules = policy.modules() if isinstance(policy, nn.Module) else ()
    return [module for module in modules if isinstance(module, DRQN)]


def _env_kwargs_of(policy: object, env_kwargs: dict[str, Any]) -> dict[str, Any]:
    """``env_kwargs`` with the action levels that the policy's networks have values for."""
    for network in _networks(policy):
        given = env_kwargs.get("n_action_levels", network.n_actions)
        if given != network.n_actions:
            raise ValueError(
                f"env_kwargs: n_action_levels={given}, but the policy was made for "
                f"{network.n_actions}, and a level means another power there: leave it out."
            )
        env_kwargs = {**env_kwargs, "n_action_levels": network.n_actions}
    return env_kwargs


def _check_zones(policy: object, env: SustainGymEnv) -> None:
    for network in _networks(policy):
        if network.n_agents != env.n_agents:
            raise ValueError(
                f"building={env.building!r} has {env.n_agents} zones, but the policy was made for "
                f"{network.n_agents} agents: name the building that it was trained in, "
                "env_kwargs={'building': ...}."
            )


def _draw_days(shift: Shift, episodes: int, seed: int) -> Tensor:
    """``[E]`` int64; the same for every shift with the same range of days."""
    generator = torch.Generator().manual_seed(seed)
    low, high = shift.days
    if episodes <= high - low:
        return low + torch.randperm(high - low, generator=generator)[:episodes]
    return torch.randint(low, high, (episodes,), generator=generator)


def _play(
    env: EnvBase,
    policy: Callable[[TensorDictBase], TensorDictBase],
    tensordict: TensorDictBase,
    progress: bool,
) -> Tensor:
    """Returns ``[B]`` of one episode in every copy. All last a day, so all end together."""
    spec = env.full_action_spec[_ACTION]
    with tqdm(desc="evaluation", unit="step", disable=not progress) as bar:
        while not tensordict["done"].all():
            acted = policy(tensordict)
            action = None if acted is None else acted.get(_ACTION, None)
            if action is None:
                raise ValueError(
                    f"The policy wrote no {_ACTION!r}. It must return the tensordict that it is "
                    "given, with that entry added."
                )
            if action.shape != spec.shape or not spec.is_in(action):
                raise ValueError(
                    f"The policy's {_ACTION!r} must be int64 levels in [0, {spec.n}) of shape "
                    f"{list(spec.shape)}; received {action.dtype} of shape {list(action.shape)} "
                    f"between {action.min().item()} and {action.max().item()}."
                )
            values = acted.get(("agents", "action_value"), None)
            if values is not None and values.shape[-1] != spec.n:
                raise ValueError(
                    f"The policy values {values.shape[-1]} actions, but the environment has "
                    f"n_action_levels={spec.n}, and a level means another power there: "
                    f"env_kwargs={{'n_action_levels': {values.shape[-1]}}}."
                )
            tensordict = env.step_mdp(env.step(acted))
            bar.update()
    return tensordict[_RETURN].squeeze(-1)
