"""Folders that look as runs on buildings leave them, without training or playing anything."""

import shutil

import numpy as np
import pandas as pd

from torchrl_drigm.commands import _paper_plan
from torchrl_drigm.commands._manifest import check_manifest
from torchrl_drigm.commands._played import result_file
from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.tasks import make_task
from torchrl_drigm.tasks.version import environment_version
from torchrl_drigm.trainers.runs import save_config, save_duration

SUITES = ("season_paper", "climate")  # and what each run ends with


def rows_of(cfg, suite, episodes, policies, seed=0):
    """Returns that anybody could have had, of policies in a suite."""
    task, generator = make_task(cfg), np.random.default_rng(seed)
    rows = [
        {"policy": policy, "suite": suite, "shift": shift["name"], "episode": episode}
        | {"location": shift["climate"][1], "return": float(generator.integers(-2000, -500))}
        for policy in policies
        for shift in task.suites[suite]
        for episode in range(episodes)
    ]
    table = pd.DataFrame(rows)
    table["normalized_return"] = task.normalise(table["return"])
    return table.assign(environment=environment_version(task.packages))


def finish(folder, cfg, episodes, suites=SUITES):
    """A run that has ended and was played."""
    folder.mkdir(parents=True)
    save_config(cfg, folder)
    steps = cfg.collector.total_frames
    save_duration(folder, frames=steps, steps=steps, seconds=60.0, code="commit 0000000")
    for suite in suites:
        policies = name_of(cfg), *make_task(cfg).references
        table = rows_of(cfg, suite, episodes, policies, cfg.seed)
        table.to_csv(result_file(folder, cfg, suite), index=False)


def finished(out, sets, preset="fast", seeds=2, episodes=2, fields=()):
    """What ``reproduce --mixers vdn --no-controls --part season --protocol paper`` leaves."""
    shutil.rmtree(out, ignore_errors=True)
    extra = [f"evaluation.episodes={episodes}", *fields]
    jobs = _paper_plan.plan(
        out / "buildings", preset, ["vdn"], sets, range(seeds), controls=False, extra=extra
    )
    for job in jobs:
        for folder, cfg in job.members().items():
            finish(folder, cfg, episodes)
    settings = {"preset": preset, "fields": list(fields), "episodes": episodes}
    check_manifest(out, settings, ["sustaingym"], write=True)
    return out
