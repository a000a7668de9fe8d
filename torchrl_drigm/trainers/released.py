"""The networks that the paper's authors published, as a team that plays like any other.

Axes: ``A`` agents, ``H`` hidden units, ``F`` observation features.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchrl_drigm.config import compose_config
from torchrl_drigm.modules import DRQN
from torchrl_drigm.tasks import Task, make_task
from torchrl_drigm.trainers.builders import make_agents
from torchrl_drigm.trainers.released_folder import N_AGENTS, RELEASED, find_networks
from torchrl_drigm.trainers.sizes import Sizes
from torchrl_drigm.trainers.team import Team

__all__ = ["load_released_team"]

# of SustainGym's OfficeSmall: six zones, its own grid of actions, five features of each zone
SIZES = Sizes(n_agents=N_AGENTS, n_actions=200, observation_size=5, state_size=10, has_mask=False)
HIDDEN = 64
SHAPES = {
    "fc1.weight": (HIDDEN, SIZES.observation_size + SIZES.n_actions),
    "fc1.bias": (HIDDEN,),
    "lstm.weight_ih_l0": (4 * HIDDEN, HIDDEN),
    "lstm.weight_hh_l0": (4 * HIDDEN, HIDDEN),
    "lstm.bias_ih_l0": (4 * HIDDEN,),
    "lstm.bias_hh_l0": (4 * HIDDEN,),
    "fc_out.weight": (SIZES.n_actions, HIDDEN),
    "fc_out.bias": (SIZES.n_actions,),
}


def load_released_team(
    folder: str | Path, task: Task | None = None, device: torch.device | str = "cpu"
) -> Team:
    """The team of networks that the paper's authors published, in evaluation mode.

    A folder of theirs, one for each algorithm, ρ and seed, holds
    ``network_parameter/agent_0_q_network.pt`` to ``agent_5_q_network.pt``. They play in
    SustainGym's small office as they were trained: on observations in its own units, the last eight
    with the actions before each, zeros with action 0 before the first. Which mixer they learned
    with makes no difference to how they act, and is not in the files.

    Nothing in the folder is executed or changed.

    Args:
        folder (str or Path): a folder with ``network_parameter``.
        task (Task, optional): what to act in, of six agents with 200 actions. Default: the small
            office.
        device (torch.device or str): where the team acts. Default: the CPU.

    Raises:
        FileNotFoundError: if there are no networks in the folder, or that of an agent is missing.
        ValueError: if there are those of more agents, or a file is damaged, would execute code, or
            holds something else than such a network.

    Examples:
        >>> from torchrl_drigm.trainers import load_released_team
        >>> load_released_team("runs/nowhere")
        Traceback (most recent call last):
            ...
        FileNotFoundError: no network_parameter in runs/nowhere: name a folder of published ...
    """
    folder = Path(folder)
    files = find_networks(folder)
    networks = [_read(file) for file in files]
    cfg = compose_config(*RELEASED)
    cfg.device = str(device)
    agents = make_agents(cfg, SIZES)
    (drqn,) = (module for module in agents.modules() if isinstance(module, DRQN))
    drqn.load_state_dict(drqn.state_dict() | _as_drqn(networks))  # its scaling stays: none
    return Team(cfg, agents.eval(), task or make_task(cfg), SIZES)


def _read(file: Path) -> dict[str, Tensor]:
    """The parameters in a file, which are those of such a network and nothing else.

    Raises:
        ValueError: if they are not.
    """
    try:
        with warnings.catch_warnings():  # that a file which is refused anyway is of another form
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"cannot load {file}: it is no file of tensors alone, and what else is in it would be "
            "executed by loading it. Take another copy, from where it was published."
        ) from error
    except Exception as error:  # of damaged bytes it is of any kind
        raise ValueError(
            f"cannot load {file}: it is damaged, or no file that torch.save wrote "
            f"({type(error).__name__}). Take another copy."
        ) from error
    if not isinstance(found, Mapping):
        raise ValueError(
            f"cannot load {file}: it holds a {type(found).__name__}, and a published network is a "
            f"dictionary of {', '.join(SHAPES)}."
        )
    for name in sorted({*SHAPES, *found}, key=str):
        there, expected = _what(found.get(name)), _what(SHAPES.get(name))
        if there != expected:
            raise ValueError(
                f"cannot load {file}: {name} is {there}, and in a published network {expected}. "
                "Name a folder of these."
            )
    if not all(bool(value.isfinite().all()) for value in found.values()):
        raise ValueError(f"cannot load {file}: it holds numbers that are not finite.")
    return found


def _what(value: Any) -> str:
    """What is there under a name: a shape, or why it is no parameter."""
    if value is None:
        return "not there"
    if torch.is_tensor(value) and value.is_floating_point():
        value = tuple(value.shape)
    return f"of shape {value}" if isinstance(value, tuple) else "no tensor of real numbers"


def _as_drqn(networks: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Parameters of a :class:`~torchrl_drigm.modules.DRQN` with a network for each agent."""

    def stacked(name: str) -> Tensor:
        return torch.stack([network[name] for network in networks])

    # one layer over the observation and the action in ones and zeros: of the latter a column each
    of_observation, of_action = stacked("fc1.weight").split(
        [SIZES.observation_size, SIZES.n_actions], -1
    )  # [A, H, F] and [A, H, n_actions]
    state = {
        "encoder.weight": of_observation,
        "encoder.bias": stacked("fc1.bias"),
        "action_embedding": of_action.mT,
        "head.weight": stacked("fc_out.weight"),
        "head.bias": stacked("fc_out.bias"),
    }
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        state[f"core.{name}"] = stacked(f"lstm.{name}_l0")
    return state
