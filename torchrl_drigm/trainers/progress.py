"""How far a run has come, in lines for a file or a pipe."""

from __future__ import annotations

import sys
import time
from typing import Any

from torchrl.trainers import Trainer, TrainerHookBase

__all__ = ["PrintProgress"]


class PrintProgress(TrainerHookBase):
    """Prints now and then how far a run has come, where a progress bar has no terminal.

    A line has the steps so far, the last return and losses, steps per second and the time left. It
    goes to the standard error, as a bar does.

    Args:
        total_frames (int): environment steps of the whole run.
        seconds (float): print after so many seconds at the latest. Default: 10.
        share (float): and after so much of the whole run. Default: 0.05.
        return_name (str): the metric that is printed as return. Default: ``"normalized_return"``.
    """

    def __init__(
        self,
        total_frames: int,
        seconds: float = 10.0,
        share: float = 0.05,
        return_name: str = "normalized_return",
    ) -> None:
        self.total_frames = total_frames
        self.seconds = seconds
        self.share = share
        self.return_name = return_name

    def start(self) -> None:
        """Time the run from here on; a resumed one has steps behind it already."""
        self._first = self._last = (time.monotonic(), self._trainer.collected_frames)

    def __call__(self) -> None:
        """Print a line, if one is due."""
        now, frames = time.monotonic(), self._trainer.collected_frames
        seconds, done = now - self._last[0], frames - self._last[1]
        ended = frames >= self.total_frames
        if not ended and seconds < self.seconds and done < self.share * self.total_frames:
            return
        self._last = (now, frames)
        speed = (frames - self._first[1]) / max(now - self._first[0], 1e-9)
        left = round(max(self.total_frames - frames, 0) / speed) if speed else 0
        parts = [f"{frames:,} of {self.total_frames:,} steps"]
        parts += [f"{name} {value:.3g}" for name, value in self._metrics().items()]
        parts += [f"{speed:.0f} steps/s", f"{left // 60}:{left % 60:02d} min left"]
        print(", ".join(parts), file=sys.stderr, flush=True)

    def _metrics(self) -> dict[str, float]:
        """The last return and losses."""
        logged = self._trainer._log_dict
        names = sorted(name for name in logged if name == "loss" or name.startswith("loss_"))
        metrics = {"return": self.return_name, **dict(zip(names, names, strict=True))}
        return {label: float(logged[name][-1]) for label, name in metrics.items() if name in logged}

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def register(self, trainer: Trainer, name: str = "print_progress") -> None:
        """Time from the start of training, print after the updates of a batch."""
        self._trainer = trainer
        trainer.register_op("setup", self.start)
        trainer.register_op("post_steps", self)
