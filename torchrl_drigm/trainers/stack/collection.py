"""Steps of several runs at once: one batched environment, and agents that explore by themselves.

Axes: ``R`` runs, ``E`` copies of the environment of each, ``T`` steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from omegaconf import OmegaConf
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import nn
from torchrl.collectors import Collector

from torchrl_drigm.envs._seeded import SeededEnv
from torchrl_drigm.modules._calls import run as run_modules
from torchrl_drigm.trainers.build import Run
from torchrl_drigm.trainers.environments import make_env
from torchrl_drigm.trainers.sizes import ACTION
from torchrl_drigm.trainers.stack.randomness import Streams

__all__ = ["StackedCollection"]


class StackedCollection:
    """Collects for several runs, each in copies of its own, with random numbers of its own.

    Args:
        runs (sequence of Run): of the same environment, all after as many steps.
        agents (nn.Module): of all runs, on ``[R, E]``.
        streams (Streams): the runs' random numbers.
    """

    def __init__(self, runs: Sequence[Run], agents: nn.Module, streams: Streams) -> None:
        self.runs = list(runs)
        cfg = OmegaConf.merge(runs[0].cfg, {"env": {"num_envs": len(runs) * self.copies}})
        env = make_env(cfg)
        collectors = [run.trainer.collector for run in runs]
        first, states = collectors[0], list(streams.states)
        self.collector = Collector(
            env,
            _Explore(self.runs, agents, streams),
            frames_per_batch=len(runs) * first.requested_frames_per_batch,
            total_frames=-1,
            track_traj_ids=False,
            auto_register_policy_transforms=True,
        )
        streams.states = states  # whatever was drawn to find out what a policy gives
        env.base_env.go_on_from([_base(run) for run in runs])
        self.collector._carrier = torch.cat([one._carrier for one in collectors])
        self._batches = iter(self.collector)

    @property
    def copies(self) -> int:
        """``E``."""
        return self.runs[0].env.batch_size.numel()

    def next(self) -> TensorDict:
        """The next batch of all runs, ``[R, E, T]``."""
        batch = next(self._batches)
        for run in self.runs:
            collector = run.trainer.collector
            collector._frames += collector.requested_frames_per_batch
            collector._iter += 1
        return batch.unflatten(0, (len(self.runs), self.copies))

    def hand_over(self) -> None:
        """Let the runs' collectors and environments be where this one's are."""
        self.collector.env.base_env.hand_over_to([_base(run) for run in self.runs])
        carriers = self.collector._carrier.chunk(len(self.runs))
        for run, carrier in zip(self.runs, carriers, strict=True):
            run.trainer.collector._carrier = carrier.clone()

    def close(self) -> None:
        """Close the environment."""
        self.collector.shutdown()


class _Explore(TensorDictModuleBase):
    """Greedy actions of all runs, in whose place each run's own exploration puts random ones."""

    def __init__(self, runs: list[Run], agents: nn.Module, streams: Streams) -> None:
        super().__init__()
        self.in_keys, self.out_keys = list(agents.in_keys), [ACTION]
        self.__dict__["_parts"] = (runs, agents, streams)  # no modules of this one

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the actions ``[R * E, n]``."""
        runs, agents, streams = self._parts
        copies = runs[0].env.batch_size
        first = runs[0].trainer.collector
        is_random = first._frames < first.init_random_frames
        stacked = tensordict.select(*self.in_keys).unflatten(0, (len(runs), *copies))
        if not is_random:
            run_modules(agents, stacked)
        actions = []
        for index, run in enumerate(runs):
            with streams.of(index):
                if is_random:
                    own = run.env.rand_action(TensorDict({}, copies))
                else:
                    own = run.trainer.exploration(stacked[index])
            actions.append(own.get(ACTION))
        return tensordict.set(ACTION, torch.cat(actions))


def _base(run: Run) -> SeededEnv:
    return run.env.base_env
