"""SIGINT (Ctrl-C) and SIGTERM: training first saves a checkpoint, a second signal ends at once.

A run that is stopped raises what Python knows of the signal: ``KeyboardInterrupt``, or
``SystemExit`` with the status that shells give to it, 143 for SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = [
    "STOPPED",
    "TERMINATED",
    "as_child",
    "ends_at_once",
    "raised",
    "resumed_by",
    "saves_first",
    "tell",
]

STOPPED = (KeyboardInterrupt, SystemExit)
TERMINATED = 128 + signal.SIGTERM
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], None]


class _Process:
    """What is the same for all of a process."""

    second = signal.SIG_DFL  # what another signal does while a checkpoint is saved

    @staticmethod
    def how(folder: Path) -> str | None:
        """What makes a run go on: where a command line started it, that is a command line."""
        return f"resume={folder / 'checkpoint'}"


@contextmanager
def saves_first(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Within the block a signal asks for an end, by a call, and the next one ends the process.

    Args:
        stop (callable): asks whatever runs in the block to end soon.

    Yields:
        list: the signal, once it came. Whoever has ended because of it raises :func:`raised`.
    """
    came: list[int] = []

    def first(signum: int, frame: FrameType | None) -> None:
        came.append(signum)
        for one in _SIGNALS:
            signal.signal(one, _Process.second)
        told = f"\n{signal.Signals(signum).name}: it ends after this batch, with a checkpoint"
        more = "; once more ends it at once" if _Process.second == signal.SIG_DFL else ""
        os.write(2, f"{told}{more}.\n".encode())  # print may be what was interrupted
        stop()

    with _handled(first):
        yield came


def raised(signum: int) -> BaseException:
    """What a signal raises."""
    return KeyboardInterrupt() if signum == signal.SIGINT else SystemExit(TERMINATED)


@contextmanager
def ends_at_once(clear_up: Callable[[], None] | None = None) -> Iterator[None]:
    """Within the block SIGINT and SIGTERM raise, or kill the process after a call.

    Args:
        clear_up (callable, optional): what is done before the process is killed. Default: it is
            not, but :func:`raised` is raised.
    """

    def handle(signum: int, frame: FrameType | None) -> None:
        if clear_up is None:
            raise raised(signum)
        clear_up()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    with _handled(handle):
        yield


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """A handler of both signals, where they are not ignored, as only the main thread may have."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for one in _SIGNALS:
            if signal.getsignal(one) not in (signal.SIG_IGN, None):
                before[one] = signal.signal(one, handler)
    try:
        yield
    finally:
        for one, handle in before.items():
            signal.signal(one, handle)


def as_child() -> None:
    """Make this process one that another one ends: by SIGTERM, which saves, however often it comes.

    A terminal sends Ctrl-C to all of its processes; the one that started them passes it on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Process.second = signal.SIG_IGN
    _Process.how = staticmethod(lambda folder: None)


@contextmanager
def resumed_by(how: Callable[[Path], str | None]) -> Iterator[None]:
    """Let the runs of the block say by what they go on, from their folders; with ``None`` nothing.

    Args:
        how (callable): gives the command line of a run's folder.
    """
    before, _Process.how = _Process.how, staticmethod(how)
    try:
        yield
    finally:
        _Process.how = staticmethod(before)


def tell(error: BaseException, folder: Path, words: str) -> None:
    """Say once that a run was stopped, and how it goes on.

    Args:
        error (BaseException): what ends it, in which it is noted that it was said.
        folder (Path): of the run.
        words (str): where it stands.
    """
    is_signal = isinstance(error, KeyboardInterrupt) or getattr(error, "code", 0) == TERMINATED
    if getattr(error, "told", False) or not is_signal:
        return
    error.told = True
    how = _Process.how(folder)
    goes_on = "" if how is None else f" It goes on with\n  {how}"
    print(f"{words}{goes_on}", file=sys.stderr, flush=True)
