"""Calls in processes side by side, all of which end when one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

__all__ = ["one_by_one"]

Label = TypeVar("Label")


def one_by_one(
    calls: Sequence[tuple[Label, Callable[[], Any]]], jobs: int, modules: Sequence[str] = ()
) -> Iterator[tuple[Label, Any]]:
    """Labels and what their calls gave, in the order in which they end.

    What a call raises is raised here, and the others are ended where they are: what they train goes
    on from its checkpoints another time.

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
    with ProcessPoolExecutor(jobs, get_context("spawn"), _import, (tuple(modules),)) as pool:
        started = {pool.submit(call): label for label, call in calls}
        try:
            for future in as_completed(started):
                yield started[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(active_children()) - others:
                process.terminate()
            raise


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        import_module(module)
