"""From a config to agents, dual networks and losses.

Every function takes the composed Hydra config (:mod:`torchrl_drigm.config`); field names in the
docstrings are those of the config.
"""

from __future__ import annotations

from omegaconf import DictConfig, ListConfig, OmegaConf
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.envs import EnvBase
from torchrl.modules import QValueModule, SafeSequential

from torchrl_drigm.config.checks import check_lmbda
from torchrl_drigm.envs.transforms.history import HISTORY
from torchrl_drigm.modules import DRQN, DualNetwork, RecurrentDRQN
from torchrl_drigm.objectives import RobustQMixerLoss, RobustQTRANLoss
from torchrl_drigm.tasks._building_scaling import locations
from torchrl_drigm.trainers.environments import GROUP_DR
from torchrl_drigm.trainers.mixers import FEATURES, QTRAN
from torchrl_drigm.trainers.sizes import ACTION, ACTION_MASK, Sizes
from torchrl_drigm.uncertainty import Nominal, UncertaintySet, find_set

__all__ = ["make_agents", "make_dual", "make_loss"]

ACTION_VALUE = ("agents", "action_value")
# of `uncertainty`, what is not the set's own
TRAINING_OF_DUALS = ("dual_loss", "dual_hidden_size", "dual_lr")


def make_agents(cfg: DictConfig, env: EnvBase | Sizes) -> SafeSequential:
    """Per-agent recurrent Q-networks with greedy actions (Algorithm 6, line 3).

    They see windows of their history, or carry a state along the episode (``agent.recurrent``).
    Where the environment has action masks, the value of an unavailable action is the lowest there
    is.
    """
    sizes = Sizes.of(env)
    drqn = DRQN(
        observation_size=sizes.observation_size,
        n_actions=sizes.n_actions,
        n_agents=sizes.n_agents,
        hidden_size=cfg.agent.hidden_size,
        core=cfg.agent.core,
        share_params=cfg.agent.share_params,
        agent_id=cfg.agent.agent_id,
        action_degree=cfg.agent.get("action_degree"),
        observation_loc=_location(cfg.env, sizes.observation_size),
        observation_scale=_numbers(cfg.env.scale),
        with_features=cfg.mixer.name == QTRAN and not cfg.agent.recurrent,
        device=cfg.device,
    )
    features = [FEATURES] if cfg.mixer.name == QTRAN else []
    if cfg.agent.recurrent:
        qnet = RecurrentDRQN(drqn, features_key=FEATURES if features else None)
    else:
        qnet = TensorDictModule(drqn, in_keys=list(HISTORY), out_keys=[ACTION_VALUE, *features])
    return SafeSequential(
        qnet,
        QValueModule(
            action_space="categorical",
            action_value_key=ACTION_VALUE,
            action_mask_key=ACTION_MASK if sizes.has_mask else None,
            out_keys=[ACTION, ACTION_VALUE, ("agents", "chosen_action_value")],
        ),
    )


def _location(env: DictConfig, n_features: int) -> float | list[float] | list[list[float]]:
    """What observations are counted from; those of zones from the set point of each."""
    loc = _numbers(env.loc)
    if not {"target", "ac_map"} <= set(env):
        return loc
    loc = loc if isinstance(loc, list) else [loc] * n_features
    return locations(loc, _numbers(env.target), _numbers(env.ac_map))


def _numbers(values: float | ListConfig) -> float | list[float]:
    """One number for all features, or a number for each."""
    return list(values) if isinstance(values, ListConfig) else values


def make_uncertainty(cfg: DictConfig, *, may_import: bool = True) -> UncertaintySet:
    """The uncertainty set (``uncertainty``): one of the package, or of your own by import path.

    Args:
        cfg (DictConfig): the composed config.
        may_import (bool): whether the module of a path may be imported, which executes it. Pass
            ``False`` where the config comes out of a folder that others may have written.

    Raises:
        ValueError: for a name that is not found, or a field that the set does not have.
    """
    fields = OmegaConf.to_container(cfg.uncertainty, resolve=True)
    name = fields.pop("name")
    if name == GROUP_DR:
        return Nominal()  # on other rewards
    fields |= fields.pop("options", None) or {}
    for other in TRAINING_OF_DUALS:
        fields.pop(other, None)
    set_cls = find_set(name, may_import=may_import, field="uncertainty.name")
    # of uncertainty=own, as they are where the set has none
    for field, absent in (("rho", None), ("worst_value", None), ("joint_with_reward", False)):
        if field not in set_cls.field_names() and fields.get(field, 0.0) is absent:
            del fields[field]
    return set_cls.from_fields(**fields)


def make_dual(cfg: DictConfig, env: EnvBase | Sizes) -> DualNetwork | None:
    """Dual network of the set (Algorithm 6, line 4); ``None`` for sets without dual numbers."""
    n_duals = make_uncertainty(cfg).n_duals
    if not n_duals:
        return None
    sizes = Sizes.of(env)
    return DualNetwork(
        state_shape=(sizes.state_size,),
        n_agents=sizes.n_agents,
        n_actions=sizes.n_actions,
        hidden_size=cfg.uncertainty.dual_hidden_size,
        device=cfg.device,
        n_duals=n_duals,
        action_degree=cfg.agent.get("action_degree"),
    )


def make_loss(
    cfg: DictConfig, agents: nn.Module, mixer: nn.ModuleDict, dual: nn.Module | None = None
) -> RobustQMixerLoss | RobustQTRANLoss:
    """The robust loss with its value estimator (``uncertainty``).

    Targets are λ-returns where ``optim.lmbda`` is a number.

    Raises:
        ValueError: if ``optim.lmbda`` is no number in [0, 1], or given for agents on windows.
    """
    check_lmbda(cfg)
    loss_cls, own = RobustQMixerLoss, {}
    if cfg.mixer.name == QTRAN:
        loss_cls, own = RobustQTRANLoss, {"deviation_weight": cfg.mixer.get("deviation_weight")}
    loss = loss_cls(
        agents,
        *mixer.values(),
        dual_network=dual,
        dual_loss=cfg.uncertainty.get("dual_loss", "linear"),
        double_dqn=cfg.optim.double_dqn,
        burn_in=cfg.optim.burn_in,
        action_space="categorical",
        log_values=True,
        **own,
    )
    return loss.make_value_estimator(
        make_uncertainty(cfg), gamma=cfg.optim.gamma, lmbda=cfg.optim.lmbda
    )
