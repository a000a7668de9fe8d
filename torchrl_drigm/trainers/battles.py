"""Test battles during training, clean and under noise, as in the paper's Figure 3."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDictBase
from torch import nn
from torchrl.envs import TransformedEnv
from torchrl.trainers import Trainer, TrainerHookBase

from torchrl_drigm.envs.transforms import ObservationNoise
from torchrl_drigm.evaluation import play_battles
from torchrl_drigm.trainers.builders import make_agents, make_dual, make_loss, make_mixer
from torchrl_drigm.trainers.checkpoint_folder import RunCheckpoint
from torchrl_drigm.trainers.environments import make_battles, make_memory
from torchrl_drigm.trainers.seeds import battle_seeds

__all__ = ["EvaluateBattles", "make_test_envs", "play_noise_levels"]


def make_test_envs(cfg: DictConfig, agents: nn.Module) -> dict[str, TransformedEnv]:
    """Battles to test in: ``"clean"``, and ``"noisy"`` with the paper's shift of observations.

    The noise, of standard deviation ``evaluation.noise_std``, is on every enemy's normalised
    position in every agent's observation.
    """
    noise = {"std": cfg.evaluation.noise_std, "visible_only": cfg.evaluation.visible_only}

    def make(noise: dict[str, float | bool] | None) -> TransformedEnv:
        env = make_battles(cfg, cfg.evaluation.num_envs, "test", cfg.evaluation.seed, noise)
        for transform in make_memory(cfg, agents):
            env.append_transform(transform)
        return env

    return {"clean": make(None), "noisy": make(noise)}


class EvaluateBattles(TrainerHookBase):
    """Logs win rates of the greedy team, ``win_rate_<name>`` for each test environment.

    What was played is logged, however seldom the trainer logs other metrics.

    With a ``seed``, every evaluation plays battles that follow from it and from the number of
    frames, so that a resumed run plays those that it would have played.

    Args:
        policy (nn.Module): the team, without exploration.
        envs (mapping of str to TransformedEnv): test environments; see
            :func:`~torchrl_drigm.evaluation.play_battles`.
        episodes (int): battles per evaluation and environment. Default: 32.
        interval (int): frames between two evaluations. Default: 10,000.
        seed (int, optional): of the battles. Without one, each environment goes on where its last
            evaluation ended: a game of StarCraft II starts anew to be seeded.
    """

    def __init__(
        self,
        policy: nn.Module,
        envs: Mapping[str, TransformedEnv],
        episodes: int = 32,
        interval: int = 10_000,
        seed: int | None = None,
    ) -> None:
        self.policy = policy
        self.envs = dict(envs)
        self.episodes = episodes
        self.interval = interval
        self.seed = seed
        self._next = interval

    def __call__(self, batch: TensorDictBase) -> dict[str, float] | None:
        """Play, if an evaluation is due."""
        frames = self._trainer.collected_frames
        if frames < self._next:
            return None
        self._next = (frames // self.interval + 1) * self.interval
        rates = {}
        for name, env in self.envs.items():
            if self.seed is not None:
                (seed,) = battle_seeds("test", self.seed, frames)
                env.set_seed(seed)
                for transform in env.transform:
                    if isinstance(transform, ObservationNoise):
                        transform.set_seed(seed)
            battles = play_battles(self.policy, env, self.episodes)
            rates[f"win_rate_{name}"] = float(battles["won"].mean())
        # A trainer leaves out a metric until more than its log_interval has passed since it was
        # last logged: as if that had been long ago.
        self._trainer._last_log.update(dict.fromkeys(rates, -math.inf))
        return rates

    def state_dict(self) -> dict[str, Any]:
        """When the next evaluation is due."""
        return {"next": self._next}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore when the next evaluation is due."""
        self._next = state_dict["next"]

    def register(self, trainer: Trainer, name: str = "evaluate_battles") -> None:
        """Evaluate after the updates of a batch."""
        self._trainer = trainer
        trainer.register_op("post_steps_log", self)
        trainer.register_module(name, self)


def play_noise_levels(
    run_dir: str | Path, stds: Iterable[float], episodes: int = 128, seed: int = 1000
) -> pd.DataFrame:
    """Battles of a trained team under noise of several strengths, the same battles for each.

    Args:
        run_dir (str or Path): folder of a run of ``examples/smac_rqmix.py``, with its checkpoint.
        stds (iterable of float): standard deviations of the noise; 0 for none.
        episodes (int): battles of each, all at once on SMAX. Default: 128.
        seed (int): of the battles and the noise. Default: 1000.

    Returns:
        One row per strength and battle: ``std`` and the columns of
        :func:`~torchrl_drigm.evaluation.play_battles`.

    Raises:
        FileNotFoundError: if the run has no checkpoint.
        ValueError: if its checkpoint is damaged, or holds what no run writes.
    """
    run_dir = Path(run_dir)
    cfg = OmegaConf.load(run_dir / "config.yaml")
    num_envs = episodes if cfg.env.name == "smax" else cfg.evaluation.num_envs
    agents, tables = None, []
    for std in stds:
        noise = {"std": float(std), "visible_only": cfg.evaluation.visible_only}
        env = make_battles(cfg, num_envs, "test", seed, noise)
        try:
            if agents is None:
                agents = make_agents(cfg, env)
                loss = make_loss(cfg, agents, make_mixer(cfg, env), make_dual(cfg, env))
                RunCheckpoint(loss_module=loss).load(run_dir / "checkpoint")
            for transform in make_memory(cfg, agents):
                env.append_transform(transform)
            tables.append(play_battles(agents, env, episodes).assign(std=float(std)))
        finally:
            env.close()
    return pd.concat(tables, ignore_index=True)
