"""GroupDR's first stage: a reward model of every training climate, from a behaviour team's data.

Axes: ``G`` climates (groups), ``E`` days of data from each, ``T`` steps of a day.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDictBase
from tensordict.nn import TensorDictSequential
from torch import nn
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import EGreedyModule

from torchrl_drigm.config.schema import MixerConfig, UncertaintyConfig
from torchrl_drigm.envs.transforms import GroupIndex
from torchrl_drigm.modules import GroupRewardModel
from torchrl_drigm.objectives import GroupRewardLoss
from torchrl_drigm.tasks import evaluation_mode
from torchrl_drigm.trainers.builders import make_agents, make_loss
from torchrl_drigm.trainers.environments import GROUP_DR, make_env, training_task
from torchrl_drigm.trainers.mixers import make_mixer
from torchrl_drigm.trainers.sizes import ACTION, Sizes
from torchrl_drigm.trainers.training import make_trainer

__all__ = ["fit_reward_model"]

HELD_OUT_EVERY = 5  # days


def fit_reward_model(cfg: DictConfig, run_dir: str | Path) -> GroupRewardModel | None:
    """GroupDR's reward model (``uncertainty=group_dr``); ``None`` for the other choices.

    1. A behaviour team learns by nominal VDN in the training climates, a random one per episode,
       for ``uncertainty.behaviour_frames`` steps.
    2. It plays ``uncertainty.episodes`` days in each climate, ε-greedy with another ε each day,
       spread evenly from 0 to ``uncertainty.epsilon``: training will start from random actions
       and end with greedy ones, and the model must predict for both.
    3. The model is fitted on four fifths of these days, of every ε, by
       :class:`~torchrl_drigm.objectives.GroupRewardLoss` and judged on the others.

    Its rewards are the environment's own, before ``env.reward_scale``; its states are those of
    :func:`make_env`. All of it follows from ``seed``, and torch's global generator is afterwards
    where it was. When a run is resumed (``resume``) nothing is fitted: the model comes with
    initial parameters, and :func:`load_checkpoint` puts the fitted ones in place.

    Args:
        cfg (DictConfig): the composed config.
        run_dir (str or Path): receives ``behaviour``, the behaviour team's metrics and checkpoint,
            and ``reward_model.csv``: per climate the number of transitions fitted on and the root
            mean squared error on the days held out, beside the rewards' standard deviation there.

    Returns:
        GroupRewardModel or None: for :func:`make_env`.

    Raises:
        ValueError: if ``uncertainty.climates`` lists the held-out climate, or
            ``uncertainty.episodes`` leaves no day to judge on.
    """
    if cfg.uncertainty.name != GROUP_DR:
        return None
    episodes = cfg.uncertainty.episodes
    if episodes < 2:
        raise ValueError(
            f"uncertainty.episodes={episodes} must be at least 2: one day of each climate to fit "
            "on and one to judge on."
        )
    run_dir = Path(run_dir)
    # The run after it draws the same numbers as a run without this stage.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(cfg.seed)
        nominal = _nominal(cfg)
        if cfg.resume is not None:
            return _make_model(cfg, nominal)
        agents = _train_behaviour(nominal, run_dir / "behaviour")
        fitted_on, held_out = _collect(cfg, nominal, agents)
        model = _make_model(cfg, nominal)
        _fit(cfg, model, fitted_on)
    report = _report(model, nominal.env.climates, fitted_on, held_out)
    report.to_csv(run_dir / "reward_model.csv", index=False)
    return model


def _nominal(cfg: DictConfig, **env) -> DictConfig:
    """The config of nominal VDN in GroupDR's climates."""
    frames = cfg.uncertainty.behaviour_frames
    changes = {
        "env": {"climates": training_task(cfg).groups, **env},
        "collector": {"total_frames": frames},
        "exploration": {"annealing_frames": min(cfg.exploration.annealing_frames, frames)},
    }
    nominal = OmegaConf.merge(cfg, changes)
    nominal.mixer, nominal.uncertainty = MixerConfig("vdn"), UncertaintyConfig("none")
    return nominal


def _train_behaviour(nominal: DictConfig, run_dir: Path) -> nn.Module:
    env = make_env(nominal)
    agents = make_agents(nominal, env)
    loss = make_loss(nominal, agents, make_mixer(nominal, env))
    make_trainer(nominal, env, agents, loss, run_dir).train()
    return agents


def _make_model(cfg: DictConfig, nominal: DictConfig) -> GroupRewardModel:
    sizes = Sizes.of(make_env(nominal))
    return GroupRewardModel(
        len(nominal.env.climates),
        sizes.state_size,
        sizes.n_agents,
        sizes.n_actions,
        hidden_size=cfg.uncertainty.hidden_size,
        device=cfg.device,
    )


def _collect(
    cfg: DictConfig, nominal: DictConfig, agents: nn.Module
) -> tuple[TensorDictBase, TensorDictBase]:
    """Transitions ``[N]`` to fit on and to judge on, of different days, as many of each climate."""
    n_groups, episodes = len(nominal.env.climates), cfg.uncertainty.episodes
    # One copy per day: one batched rollout is all the data. Rewards in their own unit.
    raw = {"reward_scale": training_task(cfg).reward_unit, "reward_loc": 0.0}
    env = make_env(_nominal(cfg, num_envs=n_groups * episodes, **raw))
    env.append_transform(GroupIndex())
    low, high = cfg.env.days
    # [G, E]: days without replacement while there are enough
    order = torch.stack([torch.randperm(high - low) for _ in range(n_groups)])
    days = low + order[:, torch.arange(episodes) % (high - low)]
    climate = torch.arange(n_groups).repeat_interleave(episodes)
    greedy = EGreedyModule(env.action_spec, action_key=ACTION, device=cfg.device)
    # [G * E, 1]: one ε per day, against the module's random number per copy and agent
    epsilon = torch.linspace(0.0, cfg.uncertainty.epsilon, episodes, device=cfg.device)
    greedy.eps = epsilon.repeat(n_groups).unsqueeze(-1)
    with evaluation_mode(agents), set_exploration_type(ExplorationType.RANDOM):
        # All copies end their day at the same step, which ends the rollout.
        data = env.rollout(
            10**6,
            TensorDictSequential(agents, greedy, selected_out_keys=[ACTION]),
            auto_reset=False,
            tensordict=env.reset(day=days.flatten(), climate=climate),
        )
    data = data.select("state", ACTION, "group", ("next", "reward"))
    every = min(HELD_OUT_EVERY, episodes)
    held_out = torch.arange(episodes) % every == every - 1
    held_out = held_out.repeat(n_groups)  # [G * E], climate-major as the copies are
    return data[~held_out].flatten(), data[held_out].flatten()


def _fit(cfg: DictConfig, model: GroupRewardModel, data: TensorDictBase) -> None:
    model.set_scaling(data["state"], data["next", "reward"])
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(len(data), device=cfg.device),
        batch_size=cfg.uncertainty.batch_size,
    )
    buffer.extend(data)
    loss = GroupRewardLoss(model)
    optimizer = torch.optim.Adam(loss.parameters(), lr=cfg.uncertainty.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cfg.uncertainty.updates)
    for _ in range(cfg.uncertainty.updates):
        loss(buffer.sample())["loss_reward"].backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()


@torch.no_grad()
def _report(
    model: GroupRewardModel, climates, fitted_on: TensorDictBase, held_out: TensorDictBase
) -> pd.DataFrame:
    """One row per climate; errors in the environment's reward."""
    reward = held_out["next", "reward"]
    predicted = model(held_out["state"], held_out[ACTION]).gather(-1, held_out["group"])
    rows = []
    for index, (climate, location) in enumerate(climates):
        own = held_out["group"] == index
        rows.append(
            {
                "climate": climate,
                "location": location,
                "transitions": int((fitted_on["group"] == index).sum()),
                "held_out_rmse": (predicted - reward)[own].square().mean().sqrt().item(),
                "held_out_std": reward[own].std().item(),
            }
        )
    return pd.DataFrame(rows)
