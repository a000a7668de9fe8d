"""Test battles during training, clean and under noise, as in the paper's Figure 3."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig
from tensordict import TensorDictBase
from torch import nn
from torchrl.envs import TransformedEnv
from torchrl.trainers import Trainer, TrainerHookBase

from torchrl_drigm.envs.transforms import ActionFailure, ObservationNoise
from torchrl_drigm.tasks import BattlesTask, battle_seeds, make_task, play
from torchrl_drigm.tasks.suites import check_battles
from torchrl_drigm.trainers.environments import make_memory

__all__ = ["EvaluateBattles", "make_test_envs"]

WON, MAX_STEPS = BattlesTask.metrics["won"], BattlesTask.max_steps


def make_test_envs(cfg: DictConfig, agents: nn.Module) -> dict[str, TransformedEnv]:
    """Battles to test in: ``"clean"``, and ``"noisy"`` with the paper's shift of observations.

    The noise, of standard deviation ``evaluation.noise_std``, is on every enemy's normalised
    position in every agent's observation.
    """
    task, test = make_task(cfg), cfg.evaluation
    check_battles(task)
    noise = {"noise_std": test.noise_std, "visible_only": test.visible_only}
    envs = {}
    for name, shift in {"clean": {}, "noisy": noise}.items():
        envs[name] = task.make_env(test.num_envs, "test", test.seed, shift)
        for transform in make_memory(cfg, agents):
            envs[name].append_transform(transform)
    return envs


class EvaluateBattles(TrainerHookBase):
    """Logs win rates of the greedy team, ``win_rate_<name>`` for each test environment.

    What was played is logged, however seldom the trainer logs other metrics.

    With a ``seed``, every evaluation plays battles that follow from it and from the number of
    frames, so that a resumed run plays those that it would have played.

    Args:
        policy (nn.Module): the team, without exploration.
        envs (mapping of str to TransformedEnv): test environments; see
            :func:`~torchrl_drigm.tasks.play`.
        episodes (int): battles per evaluation and environment. Default: 32.
        interval (int): frames between two evaluations. Default: 10,000.
        total_frames (int, optional): of the run. One that is shorter than an interval is evaluated
            at its end. Default: only at intervals.
        seed (int, optional): of the battles. Without one, each environment goes on where its last
            evaluation ended: a game of StarCraft II starts anew to be seeded.
    """

    def __init__(
        self,
        policy: nn.Module,
        envs: Mapping[str, TransformedEnv],
        episodes: int = 32,
        interval: int = 10_000,
        total_frames: int | None = None,
        seed: int | None = None,
    ) -> None:
        self.policy = policy
        self.envs = dict(envs)
        self.episodes = episodes
        self.interval = interval
        self.total_frames = math.inf if total_frames is None else total_frames
        self.seed = seed
        self._next = interval

    def __call__(self, batch: TensorDictBase) -> dict[str, float] | None:
        """Play, if an evaluation is due."""
        frames = self._trainer.collected_frames
        is_first = self._next == self.interval
        if frames < self._next and not (is_first and frames >= self.total_frames):
            return None
        self._next = (frames // self.interval + 1) * self.interval
        rates = {}
        for name, env in self.envs.items():
            if self.seed is not None:
                (seed,) = battle_seeds("test", self.seed, frames)
                env.set_seed(seed)
                for transform in env.transform:
                    if isinstance(transform, ActionFailure | ObservationNoise):
                        transform.set_seed(seed)
            battles = play(
                self.policy, env, self.episodes, metrics={"won": WON}, max_steps=MAX_STEPS
            )
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
