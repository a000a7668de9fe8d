"""One update on the CPU, on a GPU, and on the GPU with ``compile=true``, interleaved.

    python benchmarks/devices.py
    python benchmarks/devices.py --only fast --repeats 200

An update is: sample, loss, backward, clip, optimizer, target, by the trainer's own path; on a GPU
the time ends when the device is done. Without a GPU the CPU's column stands alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
from _timing import Table, interleaved, print_header, ratios, show
from _training import build_trainer, compose_config, update
from torchrl import logger as torchrl_logger

CASES = {
    "paper qmix-tv": "preset=paper mixer=qmix uncertainty=tv",
    "paper qtran-tv": "preset=paper mixer=qtran uncertainty=tv",
    "fast qmix-tv": "preset=fast mixer=qmix uncertainty=tv",
}
FORMS = {"cpu": ("cpu", False), "gpu": ("cuda", False), "compiled": ("cuda", True)}


def make(overrides: str, device: str, compiled: bool, run_dir: str):
    """A call that is an update on the device, all of it."""
    small = ("collector.total_frames=1024", "optim.updates_per_batch=1")
    form = (f"device={device}", f"compile={compiled}")
    trainer = build_trainer(compose_config(*overrides.split(), *small, *form), run_dir)
    trainer.train()

    def call() -> None:
        update(trainer)
        if device != "cpu":
            torch.cuda.synchronize()

    return call


def main() -> None:
    """Time every case and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=40, help="updates per case (40)")
    parser.add_argument("--only", default="", help="part of a case's name")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(1)
    there = torch.cuda.is_available()
    forms = {name: form for name, form in FORMS.items() if there or form[0] == "cpu"}
    device = torch.cuda.get_device_name() if there else "no GPU"
    print_header("One update, ms", f"1 PyTorch thread; {device}")
    columns = {"update": 20} | dict.fromkeys(forms, 24)
    if there:
        columns |= {"cpu / gpu": 20, "gpu / compiled": 20, "compiling, s": 14}
    table = Table(columns)
    for name, overrides in CASES.items():
        if args.only not in name:
            continue
        with tempfile.TemporaryDirectory() as run_dir:
            calls, seconds = {}, {}
            for form, (device, compiled) in forms.items():
                began = time.perf_counter()
                calls[form] = make(overrides, device, compiled, f"{run_dir}/{form}")
                seconds[form] = time.perf_counter() - began
            times = interleaved(calls, args.repeats)
        cells = [show(times[form], scale=1e3) for form in forms]
        if there:
            cells += [show(ratios(times["cpu"], times["gpu"]))]
            cells += [show(ratios(times["gpu"], times["compiled"]))]
            cells += [f"{seconds['compiled'] - seconds['gpu']:.0f}"]
        table.row(name, *cells)


if __name__ == "__main__":
    main()
