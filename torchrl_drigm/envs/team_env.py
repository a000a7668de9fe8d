"""Any multi-agent environment as the environment of one team."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torchrl.data import Categorical, Composite, TensorSpec
from torchrl.envs import (
    Compose,
    DoubleToFloat,
    EnvBase,
    ExcludeTransform,
    FlattenObservation,
    RenameTransform,
    Transform,
    TransformedEnv,
)

from torchrl_drigm.envs.libs._players import players_of
from torchrl_drigm.envs.libs.agents import MultiAgentWrapper
from torchrl_drigm.envs.transforms.team import TeamView, check_team_reward, check_team_state

__all__ = ["team_env"]

GROUP = "agents"
FLAGS = ("done", "terminated", "truncated")
NAMES = ("observation", "action", "action_mask", "state", "reward")


def team_env(
    env: Any,
    *,
    key_map: Mapping[str, NestedKey | Sequence[str]] | None = None,
    team_reward: str = "sum",
    team_state: str | None = None,
    action_levels: int | None = None,
    device: torch.device | str | None = None,
) -> EnvBase:
    """An environment with the keys that teams are trained with here, out of any other one.

    PettingZoo's and Gymnasium's are wrapped by
    :class:`~torchrl_drigm.envs.MultiAgentWrapper`. One of TorchRL's, VMAS among them, keeps
    what it has, and gets what is missing:

    - Where its one group of agents has another name than ``"agents"``, or ``key_map`` names other
      places, entries are renamed.
    - Rewards of agents, ``[*B, n, 1]``, become the team's, ``[*B, 1]``.
    - Without a state, it is all observations side by side; one of several dimensions is flattened.
    - Flags of agents are left out: those at the root say when an episode is over.

    Args:
        env: PettingZoo's, Gymnasium's or TorchRL's.
        key_map (mapping, optional): where a TorchRL environment has its ``"observation"``,
            ``"action"``, ``"action_mask"``, ``"state"`` or ``"reward"``, where that is not to be
            found out.
        team_reward (str): ``"sum"`` or ``"mean"``, of rewards that agents have each.
        team_state (str, optional): ``"observations"`` for all observations side by side. Default:
            the environment's own state where it has one.
        action_levels (int, optional): of PettingZoo and Gymnasium, levels of each number of a
            continuous action.
        device: of PettingZoo and Gymnasium, where the tensors go.

    Returns:
        EnvBase: with ``("agents", "observation")`` ``[*B, n, F]``, ``("agents", "action")``
        ``[*B, n]``, ``"state"`` ``[*B, S]``, ``"reward"`` ``[*B, 1]``, and
        ``("agents", "action_mask")`` ``[*B, n, A]`` where actions can be unavailable.

    Raises:
        TypeError: if it is none of these.
        ValueError: for several groups of agents, actions that are not discrete or not the same for
            all, agents that come and go unmasked, no reward, or entries of another shape.

    Examples:
        >>> from torchrl.envs import VmasEnv
        >>> env = team_env(VmasEnv("balance", num_envs=2, n_agents=3, continuous_actions=False))
        >>> env.rollout(3)["next", "reward"].shape, env.reset()["state"].shape
        (torch.Size([2, 3, 1]), torch.Size([2, 48]))
    """
    check_team_reward(team_reward)
    check_team_state(team_state)
    if isinstance(env, EnvBase):
        if action_levels is not None:
            raise ValueError(
                f"action_levels={action_levels} is for environments of PettingZoo and Gymnasium, "
                f"and this is TorchRL's {type(env).__name__}: set action_levels=null, and let it "
                "have discrete actions, such as by continuous_actions=False of VMAS."
            )
        return _of_torchrl(env, dict(key_map or {}), team_reward, team_state)
    if players_of(env) is None:
        raise TypeError(
            f"the environment is a {type(env).__module__}.{type(env).__qualname__}. Expected one "
            "of TorchRL (an EnvBase, such as a VmasEnv), PettingZoo (parallel or agent by agent) "
            "or Gymnasium (with a space for each agent)."
        )
    if key_map:
        raise ValueError(
            f"key_map={dict(key_map)} is for TorchRL's environments: those of PettingZoo and "
            "Gymnasium have no other places. Leave it out."
        )
    return MultiAgentWrapper(
        env,
        team_reward=team_reward,
        team_state=team_state,
        action_levels=action_levels,
        device=device,
    )


def _of_torchrl(
    env: EnvBase, keys: dict[str, Any], team_reward: str, team_state: str | None
) -> EnvBase:
    if unknown := sorted(set(keys) - set(NAMES)):
        raise ValueError(f"key_map={keys} has {unknown}: the names there are {list(NAMES)}.")
    keys = {name: tuple(k) if not isinstance(k, str) else k for name, k in keys.items()}
    keys = _places(env, keys)
    n_agents = _check_team(env, keys)
    own_reward = _is_the_teams(env, keys["reward"], n_agents)
    usual: dict[str, NestedKey] = {
        "observation": (GROUP, "observation"),
        "action_mask": (GROUP, "action_mask"),
        "state": "state",
        "reward": "reward" if own_reward else (GROUP, "reward"),
    }
    renamed = {
        keys[name]: usual[name] for name in usual if keys.get(name, usual[name]) != usual[name]
    }
    transforms: list[Transform] = []
    if renamed or keys["action"] != (GROUP, "action"):
        transforms.append(_Renamed(n_agents, renamed, keys["action"]))
    flags = [key for key in env.done_keys if isinstance(key, tuple)]
    others = [key for key in env.reward_keys if key != keys["reward"]]
    if flags or others:
        transforms.append(ExcludeTransform(*flags, *others))
    if env.observation_spec[keys["observation"]].dtype is torch.float64:
        transforms.append(DoubleToFloat())
    has_state = "state" in keys and team_state is None
    if has_state and len(env.observation_spec[keys["state"]].shape) > len(env.batch_size) + 1:
        first = len(env.batch_size) - len(env.observation_spec[keys["state"]].shape)
        transforms.append(FlattenObservation(first, -1, in_keys=["state"]))
    if not (has_state and own_reward):
        transforms.append(
            TeamView(
                agent_reward_key=None if own_reward else (GROUP, "reward"),
                state_key=None if has_state else "state",
                team_reward=team_reward,
            )
        )
    return TransformedEnv(env, Compose(*transforms), auto_unwrap=True) if transforms else env


class _Renamed(RenameTransform):
    """TorchRL's, for entries that go into a group of agents.

    The group's batch size ends with the number of agents, and the action stays where transforms
    after this one look for it, too.
    """

    def __init__(self, n_agents: int, renamed: Mapping[NestedKey, NestedKey], action: NestedKey):
        usual = (GROUP, "action")
        inverse = [] if action == usual else [action]
        super().__init__(list(renamed), list(renamed.values()), inverse, [usual] * len(inverse))
        self._n_agents = n_agents

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._grouped(super()._call(next_tensordict))

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        tensordict = super()._inv_call(tensordict)
        for own, usual in zip(self.in_keys_inv, self.out_keys_inv, strict=True):
            tensordict.set(usual, tensordict.get(own))
        return tensordict

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        output_spec = super().transform_output_spec(output_spec)
        for spec in output_spec.values():
            self._grouped(spec)
        return output_spec

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        input_spec = super().transform_input_spec(input_spec)
        self._grouped(input_spec["full_action_spec"])
        return input_spec

    def _grouped(self, entries: Any) -> Any:
        group = entries.get(GROUP, None)
        if group is not None:
            size = (*entries.shape, self._n_agents)
            if isinstance(group, Composite):
                group.shape = size
            else:
                group.batch_size = size
        return entries


def _places(env: EnvBase, keys: dict[str, NestedKey]) -> dict[str, NestedKey]:
    """Where each entry is: as said, or as found."""
    seen = env.observation_spec.keys(True, True)
    for name, key in keys.items():
        there = {"action": env.action_keys, "reward": env.reward_keys}.get(name, seen)
        if key not in there:
            raise ValueError(f"key_map.{name}={key!r} is not there, only {list(there)}.")
    actions = [keys["action"]] if "action" in keys else env.action_keys
    if len(actions) > 1:
        groups = getattr(env, "group_map", None)
        agents = [a for g in groups.values() for a in g] if isinstance(groups, Mapping) else ["…"]
        raise ValueError(
            f"the environment has several groups of agents, with the actions {actions}. Put all "
            f"agents into one, such as by group_map={{'agents': {agents}}} (in a config "
            "env.kwargs.group_map); opponents of a team must act by themselves, within the "
            "environment."
        )
    found: dict[str, NestedKey] = {"action": actions[0]}
    group = found["action"][:-1] if isinstance(found["action"], tuple) else ()
    for name in ("observation", "action_mask"):
        if (*group, name) in seen or (not group and name in seen):
            found[name] = (*group, name) if group else name
    if "state" in seen:
        found["state"] = "state"
    if len(env.reward_keys) == 1:
        found["reward"] = env.reward_keys[0]
    found |= keys
    for name in ("observation", "reward"):
        if name not in found:
            there = list(seen) if name == "observation" else env.reward_keys
            if not there:
                raise ValueError(
                    f"the environment has no {name} at all: give it one, in its "
                    f"{'observation' if name == 'observation' else 'reward'}_spec and its steps."
                )
            raise ValueError(
                f"the environment's {name} is not found among {there}: name it, "
                f"key_map={{{name}: …}}."
            )
    if (*group, "mask") in seen and "action_mask" not in found:
        raise ValueError(
            f"the environment has agents that come and go, as {(*group, 'mask')!r} says, and no "
            "action mask. Return the PettingZoo environment itself: who is not there then does "
            f"nothing; or add {(*group, 'action_mask')!r}, which leaves them one action."
        )
    return found


def _check_team(env: EnvBase, keys: Mapping[str, NestedKey]) -> int:
    """The number of agents, of a team that can be learned."""
    action, batch = env.full_action_spec[keys["action"]], len(env.batch_size)
    if not isinstance(action, Categorical):
        if action.domain == "continuous":
            raise ValueError(
                f"the environment's action {keys['action']!r} is continuous, of the shape "
                f"{tuple(action.shape)}, and value factorization chooses among finitely many "
                "actions: make it with discrete ones, as continuous_actions=False does in VMAS "
                "(in a config env.kwargs.continuous_actions=false)."
            )
        raise ValueError(
            f"the environment's action {keys['action']!r} is {type(action).__name__}, and expected "
            "is Categorical, the same number of actions for each agent: set "
            "categorical_actions=True where they are one-hot; where agents have unequal numbers, "
            "give all as many as the largest, and an action_mask."
        )
    if len(action.shape) != batch + 1:
        raise ValueError(
            f"the environment's {keys['action']!r} has the shape {tuple(action.shape)}, expected "
            f"{(*env.batch_size, 'n_agents')}."
        )
    n_agents = action.shape[-1]
    seen = env.observation_spec[keys["observation"]]
    n_features = -1 if isinstance(seen, Composite) or len(seen.shape) == 0 else seen.shape[-1]
    expected = (*env.batch_size, n_agents, n_features)
    if n_features < 0 or tuple(seen.shape) != expected or not seen.dtype.is_floating_point:
        raise ValueError(
            f"the environment's {keys['observation']!r} has the shape {tuple(seen.shape)} and "
            f"{seen.dtype}, expected {(*env.batch_size, n_agents, 'features')} and floating point. "
            "Flatten it, pad those of agents that see less, and cast it."
        )
    return n_agents


def _is_the_teams(env: EnvBase, key: NestedKey, n_agents: int) -> bool:
    """Whether a reward is the team's; otherwise it is the agents'."""
    spec: TensorSpec = env.full_reward_spec[key]
    batch, shape = tuple(env.batch_size), tuple(spec.shape)
    if shape == (*batch, 1):
        return True
    if shape == (*batch, n_agents, 1):
        return False
    raise ValueError(
        f"the environment has no team reward: its {key!r} has the shape {shape}, expected "
        f"{(*batch, 1)} for the team's, or {(*batch, n_agents, 1)} for one of each agent."
    )
