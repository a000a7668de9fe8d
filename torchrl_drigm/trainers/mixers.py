"""From a config to what turns the agents' values into the team's.

A mixer of one's own is one class, named by its import path in ``mixer.name``. It says what it reads
(``in_keys``), is given those of the sizes below that its constructor names, the fields of
``mixer.options`` besides, and gives the team value ``[*B, 1]``:

- ``n_agents``, ``n_actions``, ``observation_size`` (int);
- ``state_shape`` (tuple of int);
- ``device``.
"""

from __future__ import annotations

import inspect
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.envs import EnvBase
from torchrl.modules.models.multiagent import VDNMixer

from torchrl_drigm._named import find_class
from torchrl_drigm.modules import QMixer, QTRANJointValue, QTRANStateValue
from torchrl_drigm.trainers.sizes import ACTION, Sizes

__all__ = ["make_mixer"]

CHOSEN = ("agents", "chosen_action_value")
FEATURES = ("agents", "features")
# mixers of action values chosen by the agents; QTRAN has two networks and a loss of its own
MIXERS = {"vdn": VDNMixer, "qmix": QMixer}
QTRAN = "qtran"


def make_mixer(cfg: DictConfig, env: EnvBase | Sizes) -> nn.ModuleDict:
    """What turns the agents' values into the team's (``mixer.name``).

    Returns:
        nn.ModuleDict: for VDN and QMIX TorchRL's ``mixer``, or one by its import path; for QTRAN
        the ``joint`` action-value and the ``state`` value network.

    Raises:
        ValueError: for an unknown name, or options that a mixer does not take.
    """
    found = Sizes.of(env)
    sizes = {
        "n_agents": found.n_agents,
        "n_actions": found.n_actions,
        "observation_size": found.observation_size,
        "state_shape": (found.state_size,),
        "device": cfg.device,
    }
    name = cfg.mixer.name
    if name == QTRAN:
        return _qtran(cfg, sizes)
    mixer_cls = find_class("mixer.name", name, {**MIXERS, QTRAN: nn.Module}, nn.Module)
    in_keys = [CHOSEN]
    if mixer_cls is VDNMixer:
        mixer = VDNMixer(n_agents=sizes["n_agents"], device=cfg.device)
    elif mixer_cls is QMixer:
        in_keys.append("state")
        mixer = QMixer(
            state_shape=sizes["state_shape"],
            mixing_embed_dim=cfg.mixer.embed_dim,
            n_agents=sizes["n_agents"],
            device=cfg.device,
        )
        for hypernetwork in (mixer.hyper_w_1, mixer.hyper_w_final, mixer.hyper_b_1):
            nn.init.xavier_uniform_(hypernetwork.weight, gain=cfg.mixer.init_gain)
    else:
        mixer, in_keys = _own(mixer_cls, sizes, OmegaConf.to_container(cfg.mixer).get("options"))
    return nn.ModuleDict({"mixer": TensorDictModule(mixer, in_keys, ["chosen_action_value"])})


def _own(
    mixer_cls: type[nn.Module], sizes: dict[str, Any], options: dict[str, Any] | None
) -> tuple[nn.Module, list]:
    in_keys = getattr(mixer_cls, "in_keys", None)
    if not in_keys:
        raise ValueError(
            f"mixer.name={mixer_cls.__qualname__!r} does not say what it reads: give the class "
            f"in_keys, such as in_keys = [{CHOSEN!r}, 'state']."
        )
    takes = inspect.signature(mixer_cls).parameters
    given = {name: value for name, value in sizes.items() if name in takes} | (options or {})
    try:
        return mixer_cls(**given).to(sizes["device"]), list(in_keys)
    except TypeError as error:
        raise ValueError(f"mixer: {mixer_cls.__name__} cannot be made: {error}.") from error


def _qtran(cfg: DictConfig, sizes: dict[str, Any]) -> nn.ModuleDict:
    layers = {"feature_size": cfg.agent.hidden_size, "hidden_size": cfg.mixer.hidden_size}
    joint = QTRANJointValue(
        sizes["state_shape"],
        sizes["n_agents"],
        n_actions=sizes["n_actions"],
        **layers,
        device=cfg.device,
        action_degree=cfg.agent.get("action_degree"),
        with_state=cfg.mixer.get("joint_state", True),
    )
    state = QTRANStateValue(sizes["state_shape"], **layers, device=cfg.device)
    return nn.ModuleDict(
        {
            "joint": TensorDictModule(joint, ["state", ACTION, FEATURES], ["joint_action_value"]),
            "state": TensorDictModule(state, ["state", FEATURES], ["state_value"]),
        }
    )
