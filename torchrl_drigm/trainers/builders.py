"""From a config to environments, agents, losses and a ready ``Trainer``: the one place that wires.

Every function takes the composed Hydra config (see ``examples/config``); field names in the
docstrings are those of the config.
"""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.checkpoint import Checkpoint, GlobalRNGState
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs import (
    Compose,
    EnvBase,
    ExcludeTransform,
    ObservationNorm,
    RewardScaling,
    RewardSum,
    TransformedEnv,
)
from torchrl.modules import EGreedyModule, QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer, VDNMixer
from torchrl.objectives import HardUpdate, LossModule, SoftUpdate
from torchrl.objectives.utils import TargetNetUpdater
from torchrl.record.loggers import Logger, get_logger
from torchrl.trainers import ReplayBufferTrainer, TargetNetUpdaterHook, Trainer

from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.envs.transforms import HistoryWindow, WorstGroupReward
from torchrl_drigm.evaluation import get_suite
from torchrl_drigm.modules import (
    DRQN,
    DualNetwork,
    GroupRewardModel,
    QTRANJointValue,
    QTRANStateValue,
)
from torchrl_drigm.objectives import RobustQMixerLoss, RobustQTRANLoss
from torchrl_drigm.trainers.checkpoint import RUN, CollectionState, run_identity
from torchrl_drigm.trainers.hooks import AnnealEpsilon, LogEpisodeReturn, PerPartStepper

__all__ = ["make_agents", "make_dual", "make_env", "make_loss", "make_mixer", "make_trainer"]

ACTION = ("agents", "action")
OBSERVATION = ("agents", "observation")
HISTORY = [("agents", "history", "observation"), ("agents", "history", "action")]
FEATURES = ("agents", "features")
MIXERS = ("vdn", "qmix", "qtran")
GROUP_DR = "group_dr"
UNCERTAINTIES = {
    "none": "td0",
    "contamination": "contamination_td0",
    "tv": "tv_td0",
    GROUP_DR: "td0",  # nominal, on other rewards
}
OPTIMIZERS = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}


def _choice(field: str, value: str, choices) -> str:
    if value not in choices:
        raise ValueError(f"{field}={value!r} must be one of {list(choices)}.")
    return value


def training_climates(cfg: DictConfig) -> list[tuple[str, str]]:
    """``env.climates``, or GroupDR's ``uncertainty.climates``, (weather, location) each.

    Raises:
        ValueError: if GroupDR's list has the weather of the held-out climate, env_6 of Table 3.
    """
    if cfg.uncertainty.name != GROUP_DR:
        return [tuple(climate) for climate in cfg.env.climates]
    climates = [tuple(climate) for climate in cfg.uncertainty.climates]
    held_out = get_suite("climate").shifts[-1]
    for climate in climates:
        if climate[0] == held_out.climate[0]:
            raise ValueError(
                f"uncertainty.climates lists {climate}, the weather of {held_out.name}, which is "
                "held out: GroupDR may neither fit rewards nor train there. Leave it out."
            )
    return climates


def make_env(cfg: DictConfig, reward_model: GroupRewardModel | None = None) -> TransformedEnv:
    """Training environment: ``env.num_envs`` copies, with histories, a scaled state and reward.

    The return of an episode, ``"episode_reward"``, is the environment's own: it is summed before
    GroupDR replaces the reward and before ``env.reward_scale`` applies.

    Args:
        cfg (DictConfig): the composed config.
        reward_model (GroupRewardModel, optional): GroupDR's, of :func:`fit_reward_model`.

    Raises:
        ValueError: for GroupDR without a reward model of its climates.
    """
    climates = training_climates(cfg)
    worst_reward = []
    if cfg.uncertainty.name == GROUP_DR:
        n_groups = None if reward_model is None else reward_model.n_groups
        if n_groups != len(climates):
            raise ValueError(
                f"uncertainty.name={GROUP_DR!r} needs a reward model of its {len(climates)} "
                f"climates, received one of {n_groups}: make_env(cfg, fit_reward_model(cfg, "
                "run_dir))."
            )
        worst_reward.append(WorstGroupReward(reward_model))
    env = SustainGymEnv(
        "building",
        building=cfg.env.building,
        climates=climates,
        days=tuple(cfg.env.days),
        n_action_levels=cfg.env.n_action_levels,
        num_envs=cfg.env.num_envs,
        wrap_days=cfg.env.wrap_days,
        seed=cfg.seed,
        device=cfg.device,
    )
    loc, scale = (_state_scaling(cfg.env[name], env.n_agents) for name in ("loc", "scale"))
    return TransformedEnv(
        env,
        Compose(
            HistoryWindow(cfg.agent.window),
            ObservationNorm(loc, scale, in_keys=["state"], standard_normal=True),
            RewardSum(),
            *worst_reward,
            RewardScaling(loc=cfg.env.reward_loc, scale=cfg.env.reward_scale),
        ),
    )


def _state_scaling(values, n_agents: int) -> torch.Tensor:
    """Numbers per feature of an agent's observation, laid out as the state ``[n_agents + 4]``."""
    own, *shared = values
    return torch.tensor([own] * n_agents + shared, dtype=torch.float32)


def make_agents(cfg: DictConfig, env: EnvBase) -> SafeSequential:
    """Per-agent recurrent Q-networks with greedy actions (Algorithm 6, line 3)."""
    n_agents, observation_size = env.observation_spec[OBSERVATION].shape[-2:]
    drqn = DRQN(
        observation_size=observation_size,
        n_actions=env.action_spec_unbatched[ACTION].space.n,
        n_agents=n_agents,
        hidden_size=cfg.agent.hidden_size,
        core=cfg.agent.core,
        share_params=cfg.agent.share_params,
        observation_loc=list(cfg.env.loc),
        observation_scale=list(cfg.env.scale),
        with_features=cfg.mixer.name == "qtran",
        device=cfg.device,
    )
    out_keys = [("agents", "action_value")] + ([FEATURES] if drqn.with_features else [])
    return SafeSequential(
        TensorDictModule(drqn, in_keys=HISTORY, out_keys=out_keys),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            out_keys=[ACTION, ("agents", "action_value"), ("agents", "chosen_action_value")],
        ),
    )


def make_mixer(cfg: DictConfig, env: EnvBase) -> nn.ModuleDict:
    """What turns the agents' values into the team's (``mixer.name``).

    Returns:
        nn.ModuleDict: for VDN and QMIX TorchRL's own ``mixer``; for QTRAN the ``joint``
        action-value and the ``state`` value network.
    """
    _choice("mixer.name", cfg.mixer.name, MIXERS)
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


def make_dual(cfg: DictConfig, env: EnvBase) -> DualNetwork | None:
    """Dual network of total variation (Algorithm 6, line 4); ``None`` for the other sets."""
    if _choice("uncertainty.name", cfg.uncertainty.name, UNCERTAINTIES) != "tv":
        return None
    return DualNetwork(
        state_shape=tuple(env.observation_spec["state"].shape[-1:]),
        n_agents=env.observation_spec[OBSERVATION].shape[-2],
        n_actions=env.action_spec_unbatched[ACTION].space.n,
        hidden_size=cfg.uncertainty.dual_hidden_size,
        device=cfg.device,
    )


def make_loss(
    cfg: DictConfig, agents: nn.Module, mixer: nn.ModuleDict, dual: nn.Module | None = None
) -> RobustQMixerLoss | RobustQTRANLoss:
    """The robust loss with its value estimator (``uncertainty``)."""
    loss_cls = RobustQTRANLoss if cfg.mixer.name == "qtran" else RobustQMixerLoss
    loss = loss_cls(
        agents,
        *mixer.values(),
        dual_network=dual,
        dual_loss=cfg.uncertainty.get("dual_loss", "linear"),
        double_dqn=cfg.optim.double_dqn,
        action_space="categorical",
        log_values=True,
    )
    estimator = UNCERTAINTIES[_choice("uncertainty.name", cfg.uncertainty.name, UNCERTAINTIES)]
    hyper = {"gamma": cfg.optim.gamma}
    if estimator != "td0":
        hyper |= {"rho": cfg.uncertainty.rho, "worst_value": cfg.uncertainty.worst_value}
    loss.make_value_estimator(estimator, **hyper)
    return loss


def _optimizers(cfg: DictConfig, loss: nn.Module) -> dict[str, torch.optim.Optimizer]:
    """One optimizer for the agents and a mixer, one for QTRAN's networks, one for the dual."""

    def of(*networks: str) -> list[nn.Parameter]:
        owned = (getattr(loss, f"{network}_network_params") for network in networks)
        leaves = (leaf for params in owned for leaf in params.values(True, True))
        return [leaf for leaf in leaves if isinstance(leaf, nn.Parameter)]

    values = OPTIMIZERS[_choice("optim.name", cfg.optim.name, OPTIMIZERS)]
    if cfg.mixer.name == "qtran":
        optimizers = {
            "values": values(of("local_value"), lr=cfg.optim.lr),
            "joint": torch.optim.Adam(of("joint_value", "state_value"), lr=cfg.mixer.lr),
        }
    else:
        optimizers = {"values": values(of("local_value", "mixer"), lr=cfg.optim.lr)}
    if loss.dual_network is not None:
        optimizers["dual"] = torch.optim.Adam(of("dual"), lr=cfg.uncertainty.dual_lr)
    return optimizers


def _logger(cfg: DictConfig, run_dir: Path) -> Logger:
    name = _choice("logger", cfg.logger, ("csv", "tensorboard"))
    try:
        return get_logger(name, logger_name=str(run_dir), experiment_name="metrics")
    except ImportError as error:
        raise ImportError(
            f'logger={name} needs an extra: pip install "torchrl_drigm[{name}]"'
        ) from error


def make_trainer(
    cfg: DictConfig, env: EnvBase, agents: nn.Module, loss: LossModule, run_dir: str | Path
) -> Trainer:
    """TorchRL's ``Trainer`` with collector, replay buffer, target updater, logger and checkpoints.

    Args:
        cfg (DictConfig): the composed config.
        env (EnvBase): training environment of :func:`make_env`.
        agents (nn.Module): Q-networks of :func:`make_agents`; acting shares their parameters.
        loss (LossModule): loss of :func:`make_loss`.
        run_dir (str or Path): where metrics and the checkpoint go.

    Returns:
        Trainer: ``trainer.train()`` runs Algorithm 6 from line 6 on.
    """
    run_dir = Path(run_dir)
    greedy = EGreedyModule(
        env.action_spec,
        eps_init=float(cfg.exploration.eps_init),
        eps_end=float(cfg.exploration.eps_end),
        action_key=ACTION,
        device=cfg.device,
    )
    collector = Collector(
        env,
        TensorDictSequential(agents, greedy, selected_out_keys=[ACTION]),
        frames_per_batch=cfg.collector.frames_per_batch,
        total_frames=cfg.collector.total_frames,
        init_random_frames=cfg.collector.init_random_frames,
        track_traj_ids=False,
        auto_register_policy_transforms=False,
    )
    replay_buffer = ReplayBuffer(
        storage=LazyTensorStorage(cfg.replay.size, device=cfg.device),
        # Agents learn from their windows, in which the observations are already.
        transform=ExcludeTransform(
            OBSERVATION,
            ("next", *OBSERVATION),
            "episode_reward",
            ("next", "episode_reward"),
            inverse=True,
        ),
        batch_size=cfg.replay.batch_size,
    )
    identity = run_identity(cfg)
    checkpoint = Checkpoint(
        collector=CollectionState(collector), rng=GlobalRNGState(), **{RUN: identity}
    )
    target_updater = _target_updater(cfg, loss)
    trainer = Trainer(
        collector=collector,
        total_frames=cfg.collector.total_frames,
        frame_skip=1,
        optim_steps_per_batch=cfg.optim.updates_per_batch,
        loss_module=loss,
        optimization_stepper=PerPartStepper(_optimizers(cfg, loss)),
        replay_buffer=replay_buffer,
        target_net_updater=target_updater,
        clip_norm=cfg.optim.clip_norm,
        progress_bar=cfg.progress_bar,
        logger=_logger(cfg, run_dir),
        log_interval=cfg.log_interval,
        checkpoint=checkpoint,
        save_trainer_file=run_dir / "checkpoint",
        save_trainer_interval=cfg.checkpoint_interval,
    )
    LogEpisodeReturn(scale=cfg.env.return_scale, offset=cfg.env.return_scale).register(trainer)
    replay = ReplayBufferTrainer(replay_buffer, flatten_tensordicts=True)
    trainer.register_op("pre_epoch", replay.extend)
    trainer.register_op("process_optim_batch", replay.sample)
    trainer.register_op("post_optim", TargetNetUpdaterHook(target_updater))
    annealing = AnnealEpsilon(greedy, cfg.exploration.annealing_frames)
    annealing.register(trainer)
    return trainer


def _target_updater(cfg: DictConfig, loss: LossModule) -> TargetNetUpdater:
    if (cfg.target.interval is None) == (cfg.target.tau is None):
        raise ValueError(
            "target needs exactly one of target.interval (updates between hard copies) and "
            f"target.tau (soft copy), got interval={cfg.target.interval} and tau={cfg.target.tau}."
        )
    if cfg.target.interval is not None:
        # HardUpdate copies on the call after its interval.
        return HardUpdate(loss, value_network_update_interval=cfg.target.interval - 1)
    return SoftUpdate(loss, tau=cfg.target.tau)
