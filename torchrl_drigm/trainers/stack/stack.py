"""Several runs at once, in one process: the same numbers as alone, at a fraction of the overhead.

Axes: ``R`` runs, ``E`` copies of the environment, ``T`` steps of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from tensordict import TensorDictBase
from torch import Tensor

from torchrl_drigm._signals import raised, saves_first, tell
from torchrl_drigm._source import source
from torchrl_drigm.trainers.build import Run
from torchrl_drigm.trainers.next_values import keeps_next_value
from torchrl_drigm.trainers.runs import save_config, save_duration
from torchrl_drigm.trainers.stack.collection import StackedCollection
from torchrl_drigm.trainers.stack.freed_memory import hand_back_memory, keep_freed_memory
from torchrl_drigm.trainers.stack.learner import StackedLearner
from torchrl_drigm.trainers.stack.randomness import Streams
from torchrl_drigm.trainers.stack.replay import KeepNextValues, StackedReplay

__all__ = ["Stack"]


class Stack:
    """Trains several runs of one architecture at once.

    Each run stays what it is: it has its folder, its metrics, its checkpoints, from which it goes
    on alone or in a stack, and its team. What it computes, it computes together with the others.

    Args:
        runs (sequence of Run): of configs that :func:`check_members` lets pass, all after as many
            steps.
        random_states (list of Tensor): torch's random state of each run, after it was built.

    Attributes:
        errors (dict): what ended a run before the others, by its index.
    """

    def __init__(self, runs: Sequence[Run], random_states: list[Tensor]) -> None:
        keep_freed_memory()
        self.runs = list(runs)
        self.cfg = runs[0].cfg
        self.errors: dict[int, Exception] = {}
        checks = [run.trainer.check_rewards for run in self.runs]
        for index, check in enumerate(checks):  # one warning for each number
            told = {None, *(earlier.worst_value for earlier in checks[:index])} if index else ()
            check.waits = check.waits and check.worst_value not in told
        state = torch.get_rng_state()
        self.streams = Streams(list(random_states))
        self.learner = StackedLearner(self.runs)
        self.replay = StackedReplay(self.runs, self.streams)
        self.collection = StackedCollection(self.runs, self.learner.agents, self.streams)
        self.keep = None
        if keeps_next_value(self.cfg):
            updater = self.learner.target_updater
            self.keep = KeepNextValues(self.learner.loss, self.replay, updater)
        torch.set_rng_state(state)

    @property
    def frames(self) -> int:
        """Steps of each run so far."""
        return self.runs[0].trainer.collected_frames

    def train(self, progress: Callable[[int], None] = lambda frames: None) -> None:
        """Train all runs to their end.

        A run whose losses are not finite ends alone: what is wrong with it is in :attr:`errors`.

        Args:
            progress (callable): told the steps of each run, after every batch.

        Raises:
            KeyboardInterrupt, SystemExit: at a signal, with checkpoints of all runs, as
                :meth:`~torchrl_drigm.trainers.Run.train` does.
        """
        for run in self.runs:
            save_config(run.cfg, run.run_dir)
        start, before, code = time.perf_counter(), self.frames, source()
        state = torch.get_rng_state()
        total = self.cfg.collector.total_frames
        with saves_first(lambda: None) as signals:
            try:
                for run in self.runs:
                    run.trainer._setup_hook()
                while self.frames < total and self._going_on() and not signals:
                    self._step()
                    progress(self.frames)
                self._save(force=True)
            finally:
                torch.set_rng_state(state)
                self.close()
        share = (time.perf_counter() - start) / len(self.runs)
        for _, run in self._going_on() if self.frames > before else ():  # else what was noted stays
            save_duration(run.run_dir, self.frames, self.frames - before, share, code)
        if signals:
            error, n_runs = raised(signals[0]), len(self.runs)
            words = (
                f"Stopped at step {self.frames:,} of {total:,}, with checkpoints of {n_runs} runs."
            )
            tell(error, self.runs[0].run_dir, words)
            raise error

    def close(self) -> None:
        """Close all environments."""
        self.collection.close()
        for run in self.runs:
            run.close()
        hand_back_memory()

    def _going_on(self) -> list[tuple[int, Run]]:
        return [(i, run) for i, run in enumerate(self.runs) if i not in self.errors]

    # ---- what a trainer does for each batch

    def _step(self) -> None:
        batch = self.collection.next()  # [R, E, T]
        stored = batch.flatten(1, 2)
        if self.keep is not None:
            stored = self.keep(stored)
        self.replay.extend(stored)
        for run in self.runs:
            run.trainer.collected_frames += stored.shape[1]
        own = batch.unbind(0)
        for index, run in self._going_on():
            run.trainer._pre_steps_log_hook(own[index])
        if self.frames >= self.cfg.collector.init_random_frames:
            self._updates()
        for run in self.runs:  # all of them, as a group of learning rates follows its first
            run.trainer._post_steps_hook()
        for _, run in self._going_on():
            run.trainer._post_steps_log_hook(None)
        self.learner.follow_rates()
        self._save()

    def _updates(self) -> None:
        average: dict[str, Tensor] = {}
        updates = self.cfg.optim.updates_per_batch
        for j in range(updates):
            sampled = self.replay.sample()
            values, gradients = self.learner.losses_and_gradients(sampled, j)
            self._check_finite(values, sampled)
            self.learner.step(gradients, j)
            if self.keep is not None:
                self.keep.renew()
            for name, value in values.items():
                before = average.get(name)
                average[name] = (
                    value if before is None else before * (j / (j + 1)) + value / (j + 1)
                )
        # as numbers: trainers keep all that they log, and small tensors among large ones that come
        # and go leave memory in pieces
        logged = {name: value.tolist() for name, value in average.items()}
        for index, run in self._going_on():
            run.trainer._optim_count += updates
            own = {name: values[index] for name, values in logged.items()}
            run.trainer._post_optim_complete_log_hook(run.trainer._optim_count, own)

    def _check_finite(self, values: Mapping[str, Tensor], sampled: TensorDictBase) -> None:
        """Let runs end whose losses are not finite, with what the loss alone says about it."""
        losses = [value for name, value in values.items() if not name.startswith("grad_norm")]
        finite = torch.stack(losses).isfinite().all(0)
        if bool(finite.all()):
            return
        for index, run in self._going_on():
            if not finite[index]:
                try:
                    run.loss(sampled[index])
                    message = f"{run.run_dir}: losses are not finite."
                    self.errors[index] = ValueError(message)
                except ValueError as error:
                    self.errors[index] = error

    def _save(self, force: bool = False) -> None:
        """Checkpoints of all runs, where they are due."""
        going_on = self._going_on()
        if not going_on:
            return
        trainer = going_on[0][1].trainer
        since = trainer.collected_frames - trainer._last_save
        if not force and since <= trainer.save_trainer_interval:
            return
        self.learner.hand_over()
        self.replay.hand_over()
        self.collection.hand_over()
        for index, run in going_on:
            with self.streams.of(index):
                run.trainer.save_trainer(force_save=force)
