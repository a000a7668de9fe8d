"""What scenarios of VMAS take, read off their files: VMAS passes over other arguments."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from pathlib import Path

from torchrl_drigm import _installed

__all__ = ["MAKERS", "unknown_argument"]

#: What makes such an environment.
MAKERS = ("torchrl.envs.VmasEnv", "torchrl_drigm.envs.NoisyVmasEnv")

# Of TorchRL's class and of vmas.make_env, and the two of NoisyVmasEnv.
_OWN = (
    *("scenario", "num_envs", "device", "seed", "max_steps", "batch_size", "group_map"),
    *("continuous_actions", "categorical_actions", "scenario_kwargs", "from_pixels", "pixels_only"),
    *("dict_spaces", "multidiscrete_actions", "clamp_actions", "grad_enabled"),
    *("terminated_truncated", "allow_done_after_reset"),
)
_NOISE = ("actuator_noise", "severity")


def unknown_argument(make: str, scenario: object, given: Iterable[str]) -> str | None:
    """Which of some arguments nothing takes, as a sentence; ``None`` if all are, or nobody knows.

    Args:
        make (str): one of :data:`MAKERS`, or the name of that class.
        scenario (object): name of the scenario; of others nothing is known.
        given (iterable of str): names of the arguments.

    Examples:
        >>> unknown_argument("torchrl.envs.VmasEnv", "balance", ["n_agents", "mass"])
        "the scenario 'balance' takes no 'mass': it knows n_agents, package_mass, ..."
    """
    known = _arguments(scenario) if isinstance(scenario, str) else None
    if known is None:
        return None
    noise = _NOISE if make.endswith("NoisyVmasEnv") else ()
    unknown = [name for name in given if name not in (*known, *_OWN, *noise)]
    if not unknown:
        return None
    told = ", ".join(known) or "no argument"
    return (
        f"the scenario {scenario!r} takes no {unknown[0]!r}: it knows {told}. VMAS would pass over "
        "it with a warning: leave it out."
    )


@functools.cache
def _arguments(scenario: str) -> tuple[str, ...] | None:
    """Names that a scenario takes out of its keyword arguments."""
    file = _installed.scenario_file(scenario)
    if file is None:
        return None
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Scenario"]
    if len(classes) != 1 or [ast.unparse(base) for base in classes[0].bases] != ["BaseScenario"]:
        return None  # one that takes what another one does
    calls = [node for node in ast.walk(classes[0]) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.func) for call in calls]
    if not any(name.endswith("check_kwargs_consumed") for name in names):
        return None
    found: dict[str, None] = {}
    for call, name in zip(calls, names, strict=True):
        if name in ("kwargs.pop", "kwargs.get") and call.args:
            if not isinstance(call.args[0], ast.Constant):
                return None
            found[str(call.args[0].value)] = None
    return tuple(found)
