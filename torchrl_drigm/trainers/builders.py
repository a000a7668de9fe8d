"""From a config to agents, mixers, dual networks and losses.

Every function takes the composed Hydra config (see ``examples/config``); field names in the
docstrings are those of the config.
"""

from __future__ import annotations

from collections.abc import Collection

from omegaconf import DictConfig, ListConfig
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.envs import EnvBase
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer, VDNMixer

from torchrl_drigm.envs.transforms.history import HISTORY
from torchrl_drigm.modules import (
    DRQN,
    DualNetwork,
    QTRANJointValue,
    QTRANStateValue,
    RecurrentDRQN,
)
from torchrl_drigm.objectives import RobustQMixerLoss, RobustQTRANLoss
from torchrl_drigm.uncertainty import Nominal, UncertaintySet, make_set, named_sets

__all__ = ["make_agents", "make_dual", "make_loss", "make_mixer"]

ACTION = ("agents", "action")
ACTION_MASK = ("agents", "action_mask")
ACTION_VALUE = ("agents", "action_value")
OBSERVATION = ("agents", "observation")
FEATURES = ("agents", "features")
MIXERS = ("vdn", "qmix", "qtran")
GROUP_DR = "group_dr"
# of `uncertainty`, what is not the set's own
TRAINING_OF_DUALS = ("dual_loss", "dual_hidden_size", "dual_lr")


def check_choice(field: str, value: str, choices: Collection[str]) -> str:
    """``value``, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{field}={value!r} must be one of {list(choices)}.")
    return value


def check_lmbda(cfg: DictConfig) -> None:
    """Refuses λ-returns of what is no λ, or of data that are not in the order of time."""
    lmbda = cfg.optim.lmbda
    if lmbda is None:
        return
    if not isinstance(lmbda, int | float) or not 0 <= lmbda <= 1:
        raise ValueError(
            f"optim.lmbda={lmbda!r} must be a number in [0, 1], or null for one-step targets."
        )
    if not cfg.agent.recurrent:
        raise ValueError(
            f"optim.lmbda={lmbda} needs agent.recurrent=true: λ-returns go along a sequence of "
            "steps, and agents on windows learn from single transitions in no order. Set "
            "optim.lmbda=null, or take agent=recurrent."
        )


def make_agents(cfg: DictConfig, env: EnvBase) -> SafeSequential:
    """Per-agent recurrent Q-networks with greedy actions (Algorithm 6, line 3).

    They see windows of their history, or carry a state along the episode (``agent.recurrent``).
    Where the environment has action masks, the value of an unavailable action is the lowest there
    is.
    """
    n_agents, observation_size = env.observation_spec[OBSERVATION].shape[-2:]
    drqn = DRQN(
        observation_size=observation_size,
        n_actions=env.action_spec_unbatched[ACTION].space.n,
        n_agents=n_agents,
        hidden_size=cfg.agent.hidden_size,
        core=cfg.agent.core,
        share_params=cfg.agent.share_params,
        agent_id=cfg.agent.agent_id,
        observation_loc=_numbers(cfg.env.loc),
        observation_scale=_numbers(cfg.env.scale),
        with_features=cfg.mixer.name == "qtran" and not cfg.agent.recurrent,
        device=cfg.device,
    )
    features = [FEATURES] if cfg.mixer.name == "qtran" else []
    if cfg.agent.recurrent:
        qnet = RecurrentDRQN(drqn, features_key=FEATURES if features else None)
    else:
        qnet = TensorDictModule(drqn, in_keys=list(HISTORY), out_keys=[ACTION_VALUE, *features])
    has_mask = ACTION_MASK in env.observation_spec.keys(True, True)
    return SafeSequential(
        qnet,
        QValueModule(
            action_space="categorical",
            action_value_key=ACTION_VALUE,
            action_mask_key=ACTION_MASK if has_mask else None,
            out_keys=[ACTION, ACTION_VALUE, ("agents", "chosen_action_value")],
        ),
    )


def _numbers(values: float | ListConfig) -> float | list[float]:
    """One number for all features, or a number for each."""
    return list(values) if isinstance(values, ListConfig) else values


def make_mixer(cfg: DictConfig, env: EnvBase) -> nn.ModuleDict:
    """What turns the agents' values into the team's (``mixer.name``).

    Returns:
        nn.ModuleDict: for VDN and QMIX TorchRL's own ``mixer``; for QTRAN the ``joint``
        action-value and the ``state`` value network.
    """
    check_choice("mixer.name", cfg.mixer.name, MIXERS)
    n_agents = env.observation_spec[OBSERVATION].shape[-2]
    state_shape = env.observation_spec["state"].shape[-1:]
    if cfg.mixer.name == "qtran":
        sizes = {"feature_size": cfg.agent.hidden_size, "hidden_size": cfg.mixer.hidden_size}
        joint = QTRANJointValue(
            state_shape,
            n_agents,
            n_actions=env.action_spec_unbatched[ACTION].space.n,
            **sizes,
            device=cfg.device,
        )
        state = QTRANStateValue(state_shape, **sizes, device=cfg.device)
        return nn.ModuleDict(
            {
                "joint": TensorDictModule(
                    joint, ["state", ACTION, FEATURES], ["joint_action_value"]
                ),
                "state": TensorDictModule(state, ["state", FEATURES], ["state_value"]),
            }
        )
    in_keys = [("agents", "chosen_action_value")]
    if cfg.mixer.name == "vdn":
        mixer = VDNMixer(n_agents=n_agents, device=cfg.device)
    else:
        in_keys.append("state")
        mixer = QMixer(
            state_shape=state_shape,
            mixing_embed_dim=cfg.mixer.embed_dim,
            n_agents=n_agents,
            device=cfg.device,
        )
        for hypernetwork in (mixer.hyper_w_1, mixer.hyper_w_final, mixer.hyper_b_1):
            nn.init.xavier_uniform_(hypernetwork.weight, gain=cfg.mixer.init_gain)
    return nn.ModuleDict({"mixer": TensorDictModule(mixer, in_keys, ["chosen_action_value"])})


def make_uncertainty(cfg: DictConfig, *, may_import: bool = True) -> UncertaintySet:
    """The uncertainty set (``uncertainty``): one of the package, or of your own by import path.

    Args:
        cfg (DictConfig): the composed config.
        may_import (bool): whether the module of a path may be imported, which executes it. Pass
            ``False`` where the config comes out of a folder that others may have written.

    Raises:
        ValueError: for a name that is not found, or a field that the set does not have.
    """
    fields = dict(cfg.uncertainty)
    name = fields.pop("name")
    if name == GROUP_DR:
        return Nominal()  # on other rewards
    if "." not in str(name):
        check_choice("uncertainty.name", name, [*named_sets(), GROUP_DR])
    for other in TRAINING_OF_DUALS:
        fields.pop(other, None)
    return make_set(name, may_import=may_import, **fields)


def make_dual(cfg: DictConfig, env: EnvBase) -> DualNetwork | None:
    """Dual network of the set (Algorithm 6, line 4); ``None`` for sets without dual numbers."""
    n_duals = make_uncertainty(cfg).n_duals
    if not n_duals:
        return None
    return DualNetwork(
        state_shape=tuple(env.observation_spec["state"].shape[-1:]),
        n_agents=env.observation_spec[OBSERVATION].shape[-2],
        n_actions=env.action_spec_unbatched[ACTION].space.n,
        hidden_size=cfg.uncertainty.dual_hidden_size,
        device=cfg.device,
        n_duals=n_duals,
    )


def make_loss(
    cfg: DictConfig, agents: nn.Module, mixer: nn.ModuleDict, dual: nn.Module | None = None
) -> RobustQMixerLoss | RobustQTRANLoss:
    """The robust loss with its value estimator (``uncertainty``).

    Targets are λ-returns where ``optim.lmbda`` is a number and the backup of the set is affine;
    the duals of other sets are those of one step.

    Raises:
        ValueError: if ``optim.lmbda`` is no number in [0, 1], or given for agents on windows.
    """
    check_lmbda(cfg)
    loss_cls = RobustQTRANLoss if cfg.mixer.name == "qtran" else RobustQMixerLoss
    loss = loss_cls(
        agents,
        *mixer.values(),
        dual_network=dual,
        dual_loss=cfg.uncertainty.get("dual_loss", "linear"),
        double_dqn=cfg.optim.double_dqn,
        burn_in=cfg.optim.burn_in,
        action_space="categorical",
        log_values=True,
    )
    uncertainty = make_uncertainty(cfg)
    lmbda = cfg.optim.lmbda if uncertainty.is_affine else None
    return loss.make_value_estimator(uncertainty, gamma=cfg.optim.gamma, lmbda=lmbda)
