"""Environments that speak of each agent by name, PettingZoo's and Gymnasium's, in one language."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Moment", "Players", "check_moment", "players_of"]

MASK = "action_mask"
PARTS = {  # what they return
    "reset": ("observations", "infos"),
    "step": ("observations", "rewards", "terminations", "truncations", "infos"),
}
DICTS = ("observations", "terminations", "truncations", "infos")  # of PettingZoo


@dataclass
class Moment:
    """What there is after a reset or a step.

    Attributes:
        observations: of each agent that is there.
        masks: which actions are available, of each agent that says so.
        acting: who chooses at the next step.
        rewards: of each agent, or the team's as one number.
        over: whether the episode is.
        truncated: whether it was cut, such as by a time limit.
    """

    observations: Mapping[Any, Any]
    masks: Mapping[Any, Any]
    acting: Collection[Any]
    rewards: Mapping[Any, float] | float = 0.0
    over: bool = False
    truncated: bool = False


@dataclass
class Players:
    """An environment with a space of observations and one of actions for each agent.

    Attributes:
        env: what is reset and stepped.
        names: all agents that may ever be there, in the order of the team.
        observation_spaces: by name.
        action_spaces: by name.
    """

    env: Any
    names: Sequence[Any]
    observation_spaces: dict[Any, Any] = field(default_factory=dict)
    action_spaces: dict[Any, Any] = field(default_factory=dict)

    def reset(self, seed: int) -> Moment:
        """Start an episode."""
        raise NotImplementedError

    def step(self, actions: Mapping[Any, Any]) -> Moment:
        """One step in which each agent of :attr:`Moment.acting` has an action."""
        raise NotImplementedError

    def state(self) -> Any | None:
        """The environment's own state, if it has one."""
        try:
            return self.env.state()
        except (AttributeError, NotImplementedError, TypeError):  # TypeError: a plain attribute
            return None


def check_moment(players: Players, moment: Moment, acted: Collection[Any] = ()) -> None:
    """Refuse what would be lost without a word, or counted as zero.

    Args:
        players (Players): the environment.
        moment (Moment): what it gave.
        acted (collection): who chose an action before; a reward of each has to be there, but of
            agents in turn, who may have left with it.

    Raises:
        ValueError: naming the agent: one that was never announced, an observation or a reward that
            is missing, or a reward that is no finite number.
    """
    env, rewards = type(players.env).__name__, moment.rewards
    by_name = rewards if isinstance(rewards, Mapping) else dict.fromkeys(["the team"], rewards)
    announced = {*players.names, "the team"}
    spoken_of = (*moment.observations, *moment.acting, *by_name)
    if strangers := [name for name in spoken_of if name not in announced]:
        raise ValueError(
            f"{env} speaks of the agent {strangers[0]!r}, which is none of its agents "
            f"{list(players.names)}: a team's networks are made for those. Name all that may ever "
            "be there, in possible_agents."
        )
    in_turn = getattr(players, "in_turn", False)
    needed = moment.acting  # and of a cut episode the value of what would have come is learned from
    if moment.over:
        needed = acted if moment.truncated and not in_turn else ()
    unseen = [name for name in players.names if name in needed and name not in moment.observations]
    if unseen:
        raise ValueError(
            f"{env} gives no observation of {unseen[0]!r}, which "
            f"{'has just acted' if moment.over else 'acts next'}, and those of "
            f"{list(moment.observations)}. Give each agent that is there one, also in the step "
            "that cuts an episode; who has left, or not come yet, is not in PettingZoo's agents."
        )
    if isinstance(rewards, Mapping) and not in_turn:
        missing = [name for name in acted if name not in rewards]
        if missing:
            raise ValueError(
                f"{env}.step gives no reward of {missing[0]!r}, which has just acted, and "
                f"those of {list(rewards)}. Give each agent that acts a number, also when it "
                "leaves."
            )
    for name, reward in by_name.items():
        try:
            finite = np.size(reward) == 1 and bool(np.isfinite(float(np.asarray(reward).item())))
        except (TypeError, ValueError):
            finite = False
        if not finite:
            raise ValueError(
                f"{env}.step gives {name!r} the reward {reward!r}: expected a finite number."
            )


def players_of(env: Any) -> Players | None:
    """``env`` by its agents; ``None`` if it is neither PettingZoo's nor Gymnasium's.

    Raises:
        ValueError: if it has one agent only, or does not say which agents there may be.
    """
    kinds = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(env).__mro__}
    if kinds & {"pettingzoo.AECEnv", "pettingzoo.ParallelEnv"}:
        return _PettingZoo(env, in_turn="pettingzoo.AECEnv" in kinds)
    if "gymnasium.Env" in kinds:
        return _Gymnasium(env)
    return None


def _parts(env: Any, method: str, returned: Any, dicts: Collection[str]) -> Sequence[Any]:
    """What a reset or a step returned, if it is as much as it should be, and dicts where needed."""
    kind, names = type(env).__name__, PARTS[method]
    if not isinstance(returned, tuple | list) or len(returned) != len(names):
        is_one = not isinstance(returned, tuple | list)
        what = f"a {type(returned).__name__}" if is_one else f"{len(returned)} values"
        raise ValueError(
            f"{kind}.{method} returns {what}, expected {len(names)}: {', '.join(names)}."
        )
    for name, value in zip(names, returned, strict=True):
        if name in dicts and not isinstance(value, Mapping):
            raise ValueError(
                f"{kind}.{method} returns a {type(value).__name__} as {name}, expected a dict."
            )
    return returned


class _PettingZoo(Players):
    """A PettingZoo environment, parallel or agent by agent."""

    def __init__(self, env: Any, in_turn: bool) -> None:
        self.in_turn = in_turn and not env.metadata.get("is_parallelizable", False)
        if in_turn:
            from pettingzoo.utils import conversions

            if self.in_turn:
                env = conversions.turn_based_aec_to_parallel(env)
            else:
                env = conversions.aec_to_parallel(env)
        names = list(getattr(env, "possible_agents", ()))
        if not names:
            raise ValueError(
                f"{env} has no possible_agents: a team's networks are made for all agents that may "
                "ever be there. Give it that list."
            )
        super().__init__(env, names)
        self.observation_spaces = {name: env.observation_space(name) for name in names}
        self.action_spaces = {name: env.action_space(name) for name in names}

    def reset(self, seed: int) -> Moment:
        return self._moment(*_parts(self.env, "reset", self.env.reset(seed=seed), DICTS))

    def step(self, actions: Mapping[Any, Any]) -> Moment:
        seen, rewards, terminated, truncated, infos = _parts(
            self.env, "step", self.env.step(dict(actions)), DICTS
        )
        moment = self._moment(seen, infos)
        moment.rewards = rewards
        # over when nobody is left; who left earlier says nothing about how it ended
        ended = {**terminated, **truncated}
        moment.over = not self.env.agents or all(
            terminated.get(name) or truncated.get(name) for name in ended
        )
        moment.truncated = moment.over and any(truncated.values())
        return moment

    def _moment(self, seen: Mapping[Any, Any], infos: Mapping[Any, Any]) -> Moment:
        acting = [self.env.aec_env.agent_selection] if self.in_turn else self.env.agents
        return Moment(*_unmasked(seen, infos), acting=set(acting) & set(self.env.agents))


class _Gymnasium(Players):
    """A Gymnasium environment whose spaces are those of several agents."""

    def __init__(self, env: Any) -> None:
        from gymnasium import spaces

        actions = env.action_space
        if isinstance(actions, spaces.Dict):
            by_name = dict(actions.spaces)
        elif isinstance(actions, spaces.Tuple):
            by_name = dict(enumerate(actions.spaces))
        elif isinstance(actions, spaces.MultiDiscrete):
            starts = getattr(actions, "start", np.zeros_like(actions.nvec))
            by_name = {
                i: spaces.Discrete(int(n), start=int(start))
                if np.ndim(n) == 0
                else spaces.MultiDiscrete(n)
                for i, (n, start) in enumerate(zip(actions.nvec, starts, strict=True))
            }
        else:
            raise ValueError(
                f"its action space is {actions}, of one agent. Those of a team are a Dict or a "
                "Tuple with one space for each agent, or a MultiDiscrete with one row for each."
            )
        super().__init__(env, list(by_name), action_spaces=by_name)
        self.observation_spaces = self._observation_spaces(env.observation_space)

    def _observation_spaces(self, seen: Any) -> dict[Any, Any]:
        from gymnasium import spaces

        if isinstance(seen, spaces.Dict | spaces.Tuple):
            given = seen.spaces if isinstance(seen, spaces.Dict) else dict(enumerate(seen.spaces))
            if set(given) == set(self.names):
                return dict(given)
        elif isinstance(seen, spaces.Box) and seen.shape and seen.shape[0] == len(self.names):
            bounds = zip(np.atleast_2d(seen.low.T).T, np.atleast_2d(seen.high.T).T, strict=True)
            return {
                name: spaces.Box(low, high, dtype=seen.dtype)
                for name, (low, high) in zip(self.names, bounds, strict=True)
            }
        raise ValueError(
            f"its observation space is {seen}, and its actions are those of {len(self.names)} "
            f"agents, {self.names}. Expected one space for each of them, in a Dict, a Tuple or the "
            "rows of a Box."
        )

    def reset(self, seed: int) -> Moment:
        seen, info = _parts(self.env, "reset", self.env.reset(seed=seed), ["infos"])
        return self._moment(seen, info)

    def step(self, actions: Mapping[Any, Any]) -> Moment:
        from gymnasium import spaces

        space = self.env.action_space
        chosen: Any = [actions[name] for name in self.names]
        if isinstance(space, spaces.Dict):
            chosen = dict(zip(self.names, chosen, strict=True))
        elif isinstance(space, spaces.MultiDiscrete):
            chosen = np.asarray(chosen, dtype=space.dtype)
        else:
            chosen = tuple(chosen)
        seen, rewards, terminated, truncated, info = _parts(
            self.env, "step", self.env.step(chosen), ["infos"]
        )
        moment = self._moment(seen, info)
        if np.ndim(rewards) or isinstance(rewards, Mapping):
            rewards = self._by_name(rewards, "rewards")
        moment.rewards = rewards
        ended, cut = self._flags(terminated, True), self._flags(truncated, False)
        moment.over = all(one or other for one, other in zip(ended, cut, strict=True))
        moment.truncated = moment.over and any(cut)
        return moment

    def _moment(self, seen: Any, info: Mapping[str, Any]) -> Moment:
        seen = self._by_name(seen, "observations")
        moment = Moment(*_unmasked(seen, {}), acting=set(self.names))
        if MASK in info:
            moment.masks = self._by_name(info[MASK], MASK)
        return moment

    def _by_name(self, values: Any, what: str) -> dict[Any, Any]:
        """Of what comes as a dict, or in the order of the agents."""
        if isinstance(values, Mapping):
            return {name: values[name] for name in self.names if name in values}
        each = list(values) if np.iterable(values) else [values]
        if len(each) != len(self.names):
            raise ValueError(
                f"{type(self.env).__name__} gives {len(each)} {what}, and its actions are those of "
                f"{len(self.names)} agents, {self.names}: expected one for each."
            )
        return dict(zip(self.names, each, strict=True))

    def _flags(self, flags: Any, gone: bool) -> list[bool]:
        """One flag for each agent; ``gone`` for those who left, of whom a dict says nothing."""
        if isinstance(flags, Mapping):
            if "__all__" in flags:
                return [bool(flags["__all__"])] * len(self.names)
            return [bool(flags.get(name, gone)) for name in self.names]
        return [bool(flag) for flag in (flags if np.ndim(flags) else [flags] * len(self.names))]


def _unmasked(
    seen: Mapping[Any, Any], infos: Mapping[Any, Any]
) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Observations without masks, and the masks, which may also be in the infos."""
    masks = {name: info[MASK] for name, info in infos.items() if _has_mask(info)}
    masks |= {name: one[MASK] for name, one in seen.items() if _has_mask(one)}
    without = {
        name: {k: v for k, v in one.items() if k != MASK} if _has_mask(one) else one
        for name, one in seen.items()
    }
    return without, masks


def _has_mask(entries: Any) -> bool:
    return isinstance(entries, Mapping) and MASK in entries
