"""Times to read, and how long what is left will take."""

from __future__ import annotations

import time

__all__ = ["Pace", "about"]


def about(seconds: float) -> str:
    """A time to read.

    Examples:
        >>> about(42.4), about(200), about(9000)
        ('42 s', '3 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Pace:
    """How fast a run goes: since it began, and from its second round of updates on since the first.

    Steps before the first update are quicker than those after it, and the first round of updates
    may compile, so that neither says how long what is left will take.

    Args:
        frames (int): environment steps that the run has behind it.
        total_frames (int): of the whole run.
        random_frames (int): steps before the first update.

    Attributes:
        is_known (bool): whether there was a round of updates.

    Examples:
        >>> pace = Pace(0, total_frames=10, random_frames=2)
        >>> told = [pace.at(frames) for frames in (2, 4, 10)]
        >>> pace.is_known, [seconds is None for _, seconds in told]
        (True, [True, False, True])
    """

    def __init__(self, frames: int, total_frames: int, random_frames: int = 0) -> None:
        self.total_frames = total_frames
        self.random_frames = random_frames
        self.is_known = False
        self._first = time.monotonic(), frames

    def at(self, frames: int) -> tuple[float, float | None]:
        """Steps a second, and the seconds that are left; ``None`` if they are not known, or none.

        Args:
            frames (int): environment steps of the run so far; to be called after every batch.
        """
        now, is_known, (start, before) = time.monotonic(), self.is_known, self._first
        if not is_known:
            self._first, self.is_known = (now, frames), frames >= self.random_frames
        speed = (frames - before) / max(now - start, 1e-9)
        left = self.total_frames - frames
        return speed, left / max(speed, 1e-9) if is_known and left > 0 else None
