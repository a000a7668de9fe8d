"""What an environment gives along a course of actions."""

import torch
from tensordict import TensorDict


def at(day=None, climate=None):
    """A reset tensordict that sets the days, the climates or both."""
    entries = {"day": day, "climate": climate}
    entries = {k: torch.as_tensor(v) for k, v in entries.items() if v is not None}
    return TensorDict(entries, [len(next(iter(entries.values())))])


def follow(env, levels, td):
    """Plays ``levels`` ``[T, B, n]``; observations, states, rewards and truncations over time."""
    seen = {"obs": [], "state": [], "reward": [], "truncated": []}
    for step_levels in levels:
        td["agents", "action"] = step_levels
        td = env.step(td)["next"]
        for key in ("state", "reward", "truncated"):
            seen[key].append(td[key])
        seen["obs"].append(td["agents", "observation"])
    return {key: torch.stack(values) for key, values in seen.items()}
