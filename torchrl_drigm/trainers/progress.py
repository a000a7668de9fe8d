"""How far a run has come: a bar on a terminal, lines in a file or a pipe."""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from typing import Any

from torchrl.trainers import Trainer, TrainerHookBase
from tqdm import tqdm

from torchrl_drigm._times import Pace, about

__all__ = ["PrintProgress", "ProgressBar"]

_BAR = "{percentage:3.0f}%|{bar}| {n:,} of {total:,} steps, {rate_noinv_fmt}, LEFT left{postfix}"


class _Progress(TrainerHookBase):
    """What both have in common: where the run is, and what it logged last."""

    total_frames: int
    return_name: str
    random_frames: int

    def start(self) -> None:
        """Time the run from here on; a resumed one has steps behind it already, and says so."""
        frames = self._trainer.collected_frames
        if frames:
            told = f"resuming at step {frames:,} of {self.total_frames:,}"
            print(told, file=sys.stderr, flush=True)
        self._begin(frames)

    @abstractmethod
    def _begin(self, frames: int) -> None:
        """Start from so many steps."""

    def end(self) -> None:
        """Show nothing any more."""

    def _metrics(self) -> str:
        """The last return and losses."""
        logged = self._trainer._log_dict
        names = sorted(name for name in logged if name == "loss" or name.startswith("loss_"))
        metrics = {"return": self.return_name, **dict(zip(names, names, strict=True))}
        values = {k: float(logged[name][-1]) for k, name in metrics.items() if name in logged}
        return ", ".join(f"{name} {value:.3g}" for name, value in values.items())

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def register(self, trainer: Trainer, name: str = "progress") -> None:
        """Time from the start of training, show after the updates of a batch, end with it."""
        self._trainer = trainer
        trainer.register_op("setup", self.start)
        trainer.register_op("post_steps", self)
        trainer.register_op("shutdown", self.end)


class ProgressBar(_Progress):
    """A bar on a terminal: steps so far, steps per second, the time left, return and losses.

    TorchRL's own bar begins a resumed run at 0, and stays open.

    Args:
        total_frames (int): environment steps of the whole run.
        return_name (str): the metric that is shown as return. Default: ``"normalized_return"``.
        random_frames (int): steps before the first update, which are quicker than the others: while
            they last, and in the first round of updates, which may compile, the time left is not
            known. Default: 0.
    """

    def __init__(
        self,
        total_frames: int,
        return_name: str = "normalized_return",
        random_frames: int = 0,
    ) -> None:
        self.total_frames = total_frames
        self.return_name = return_name
        self.random_frames = random_frames
        self._bar: tqdm | None = None

    def _begin(self, frames: int) -> None:
        self._pace = Pace(frames, self.total_frames, self.random_frames)
        self._bar = tqdm(
            total=self.total_frames,
            initial=frames,
            unit=" steps",
            bar_format=self._format(),
            dynamic_ncols=True,
        )

    def __call__(self) -> None:
        """Move on to where the run is."""
        self._bar.bar_format = self._format()
        self._bar.set_postfix_str(self._metrics(), refresh=False)
        self._bar.update(self._trainer.collected_frames - self._bar.n)
        self._pace.at(self._trainer.collected_frames)

    def _format(self) -> str:
        return _BAR.replace("LEFT", "{remaining}" if self._pace.is_known else "?")

    def end(self) -> None:
        """Close the bar: what is printed next stands below it."""
        if self._bar is not None:
            self._bar.close()


class PrintProgress(_Progress):
    """Prints now and then how far a run has come, where a progress bar has no terminal.

    A line has the steps so far, the last return and losses, steps per second and, from the second
    round of updates on, the time left. It goes to the standard error, as a bar does.

    Args:
        total_frames (int): environment steps of the whole run.
        seconds (float): print after so many seconds at the latest. Default: 10.
        share (float): and after so much of the whole run. Default: 0.05.
        return_name (str): the metric that is printed as return. Default: ``"normalized_return"``.
        random_frames (int): as of :class:`ProgressBar`.
    """

    def __init__(
        self,
        total_frames: int,
        seconds: float = 10.0,
        share: float = 0.05,
        return_name: str = "normalized_return",
        random_frames: int = 0,
    ) -> None:
        self.total_frames = total_frames
        self.seconds = seconds
        self.share = share
        self.return_name = return_name
        self.random_frames = random_frames

    def _begin(self, frames: int) -> None:
        self._pace = Pace(frames, self.total_frames, self.random_frames)
        self._last = (time.monotonic(), frames)

    def __call__(self) -> None:
        """Print a line, if one is due."""
        now, frames = time.monotonic(), self._trainer.collected_frames
        speed, left = self._pace.at(frames)
        seconds, done = now - self._last[0], frames - self._last[1]
        ended = frames >= self.total_frames
        if not ended and seconds < self.seconds and done < self.share * self.total_frames:
            return
        self._last = (now, frames)
        parts = [f"{frames:,} of {self.total_frames:,} steps", self._metrics()]
        parts += [f"{speed:,.0f} steps/s", "" if left is None else f"about {about(left)} left"]
        print(", ".join(part for part in parts if part), file=sys.stderr, flush=True)
