"""Calls in processes side by side, all of which end when one fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import active_children, get_context
from multiprocessing.connection import wait
from typing import Any, TypeVar

from torchrl_drigm._signals import TERMINATED, as_child, ends_at_once

__all__ = ["one_by_one"]

Label = TypeVar("Label")


def one_by_one(
    calls: Sequence[tuple[Label, Callable[[], Any]]], jobs: int, modules: Sequence[str] = ()
) -> Iterator[tuple[Label, Any]]:
    """Labels and what their calls gave, in the order in which they end.

    What a call raises is raised here, and the others are ended: what they train goes on another
    time from the checkpoints that they still save. So it is with SIGINT and SIGTERM, which this
    process passes on; a second one ends all of them at once.

    Args:
        calls (sequence): labels and calls, of what can be sent to a process.
        jobs (int): processes; with 1 the calls are made in this one.
        modules (sequence of str): what those processes import first.

    Examples:
        >>> list(one_by_one([("a", dict), ("b", list)], jobs=1))
        [('a', {}), ('b', [])]
    """
    if jobs == 1:
        for label, call in calls:
            yield label, call()
        return
    others = set(active_children())
    # a fork would share locks of PyTorch's threads
    with (
        ends_at_once(),
        ProcessPoolExecutor(
            max(1, min(jobs, len(calls))), get_context("spawn"), _begin, (tuple(modules),)
        ) as pool,
    ):
        started = {pool.submit(_called, call): label for label, call in calls}
        # Python looks after the processes that there were when it was last told of a call, which it
        # is before it starts another one: the end of the last one would not be noticed
        pool.submit(_nothing)
        try:
            for future in as_completed(started):
                yield started[future], future.result()
        except BaseException as error:
            # to end all of them breaks the pool, which cancels what has not begun; it is waited for
            # behind this block, since who asks of a process beside its thread may find it alive
            children = set(active_children()) - others
            with ends_at_once(lambda: [process.kill() for process in children]):
                for process in children:
                    process.terminate()
                for process in children:  # while they save
                    wait([process.sentinel])
            if isinstance(error, BrokenProcessPool):
                left = [label for future, label in started.items() if not _is_whole(future)]
                raise ValueError(
                    f"a process that was at work on one of {', '.join(map(str, left[:jobs]))} was "
                    "ended from outside, as a system does that runs out of memory: --jobs with "
                    "fewer at once needs less. The same goes on from what is saved."
                ) from error
            raise


def _nothing() -> None:
    """A call that is there to be told of."""


def _is_whole(future: Future) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _begin(modules: tuple[str, ...]) -> None:
    as_child()
    for module in modules:
        import_module(module)


def _called(call: Callable[[], Any]) -> Any:
    """What a call gives; a process that is told to end in it ends, and takes no other one.

    It would wait for the next call behind a lock that a process of the pool which is ended while
    it waits never gives back.
    """
    try:
        with ends_at_once():
            return call()
    except SystemExit as end:
        if end.code != TERMINATED:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(TERMINATED)
