"""What the benchmarks share: interleaved timing, header, tables and the arithmetic limit."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from torchrl_drigm._machine import processor
from torchrl_drigm._source import source

PACKAGES = ("torch", "torchrl", "tensordict", "sustaingym")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def print_header(title: str, threads: str = "") -> None:
    """What a number depends on, above the numbers."""
    threads = threads or f"{torch.get_num_threads()} PyTorch thread(s)"
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{package} {_version(package)}" for package in PACKAGES)
    print(title)
    print(f"  {processor()}, {os.cpu_count()} cores{load}; {threads}")
    print(f"  Python {platform.python_version()}, {versions}")
    print(f"  {source()}, {date.today()}\n", flush=True)


def interleaved(
    contestants: Mapping[str, Callable[[], object]],
    repeats: int,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each call, taken in turn, so that a busy moment meets all contestants alike."""
    times = {name: [] for name in contestants}
    for repeat in range(repeats + warmup):
        for name, call in contestants.items():
            start = clock()
            call()
            if repeat >= warmup:
                times[name].append(clock() - start)
    return times


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """Of neighbouring measurements: what holds where the machine's speed drifts."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]


def show(values: Sequence[float], digits: int = 2, scale: float = 1.0) -> str:
    """Median and quartiles: ``1.23 [1.20, 1.31]``."""
    if len(values) == 1:
        return f"{scale * values[0]:,.{digits}f}"
    low, median, high = (
        f"{scale * quartile:,.{digits}f}"
        for quartile in statistics.quantiles(values, n=4, method="inclusive")
    )
    return f"{median} [{low}, {high}]"


class Table:
    """A table printed row by row; columns are given with their widths."""

    def __init__(self, columns: Mapping[str, int]) -> None:
        self.widths = list(columns.values())
        self.row(*columns)

    def row(self, *cells: str) -> None:
        first, *others = zip(cells, self.widths, strict=True)
        line = f"{first[0]:{first[1]}s}" + "".join(f"{cell:>{width}s}" for cell, width in others)
        print(line, flush=True)


_OUT_OF_PLACE = {torch.ops.aten.baddbmm_: torch.ops.aten.baddbmm}


class _FlopCounter(TorchDispatchMode):
    # torch.utils.flop_counter.FlopCounterMode hooks every module to count by module, and fails on
    # the parameter lists of TorchRL's losses; its formulas are all that is needed here.
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(_OUT_OF_PLACE.get(func._overloadpacket, func._overloadpacket))
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations in the matrix products of a call, backward passes included."""
    with _FlopCounter() as counter:
        call()
    return counter.total


class MatrixProduct:
    """The update's largest product, all agents' recurrent inputs at once: the machine's speed.

    A call computes it; ``flops`` divided by the seconds of a call is the throughput. It is a
    contestant of :func:`interleaved` like any other, so that it meets the same machine.
    """

    def __init__(self, n_agents: int = 6, rows: int = 512, inputs: int = 64, outputs: int = 256):
        self.bias = torch.randn(n_agents, 1, outputs)
        self.inputs = torch.randn(n_agents, rows, inputs)
        self.weight = torch.randn(n_agents, inputs, outputs)
        self.flops = 2 * n_agents * rows * inputs * outputs

    def __call__(self) -> torch.Tensor:
        return torch.baddbmm(self.bias, self.inputs, self.weight)

    def throughput(self, seconds: Sequence[float]) -> float:
        """Median floating-point operations per second."""
        return self.flops / statistics.median(seconds)


def limit(flops: int, throughput: float, seconds: Sequence[float]) -> tuple[str, str]:
    """The milliseconds that the products alone would take, and measured time over that."""
    bound = flops / throughput
    return f"{1e3 * bound:.2f}", f"{statistics.median(seconds) / bound:.2f}x"
