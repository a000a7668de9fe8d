"""What has to be trained for the paper's tables: which runs, and which of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from torchrl_drigm.commands._stacks import members_of, stack_overrides
from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation.controls import control_discounts, has_controls
from torchrl_drigm.trainers.environments import GROUP_DR

__all__ = ["BATTLES", "Job", "plan", "plan_battles"]

BATTLES = "battles"
MOST_AT_ONCE = 16  # runs in one stack


@dataclass(frozen=True)
class Job:
    """Runs that one process trains and plays: a stack, or one run after the other.

    Attributes:
        folder: of the runs, each in a folder below.
        config: name of the config.
        overrides: of its fields, with lists where runs differ.
        label: what progress calls it.
    """

    folder: Path
    config: str
    overrides: tuple[str, ...]
    label: str

    def composed(self) -> DictConfig:
        """The config of the stack."""
        return compose_config(*stack_overrides(self.overrides), config=self.config)

    def members(self) -> dict[Path, DictConfig]:
        """The configs of its runs, by their folders."""
        return {
            self.folder / name: cfg
            for name, cfg in members_of(self.composed(), self.is_stack).items()
        }

    @property
    def is_stack(self) -> bool:
        """Whether its runs are trained at once."""
        return self.config != BATTLES and f"uncertainty={GROUP_DR}" not in self.overrides


def plan(
    out: Path,
    preset: str,
    mixers: Sequence[str],
    sets: Sequence[str],
    seeds: Sequence[int],
    controls: bool,
    extra: Sequence[str] = (),
) -> list[Job]:
    """Jobs on buildings: a stack for each mixer and set, and for the discounts of the controls.

    Args:
        out (Path): folder of all runs.
        preset (str): of all.
        mixers (sequence of str): names.
        sets (sequence of str): names of uncertainty sets, ``"none"`` among them.
        seeds (sequence of int): of every algorithm.
        controls (bool): whether nominal runs with the other discounts of the robust ones' controls
            are trained too.
        extra (sequence of str): further overrides of all runs.

    Examples:
        >>> jobs = plan(Path("out"), "fast", ["vdn"], ["none", "tv"], [0, 1], controls=True)
        >>> [job.label for job in jobs]
        ['vdn none', 'vdn tv', 'vdn discounts 1']
        >>> jobs[2].overrides[-2:]  # γ(1-ρ), and 0.95, 0.9 and 0.5 of γ
        ('optim.gamma=[0.9405,0.9405,0.891,0.891,0.693,0.693,0.495,0.495]', \
'seed=[0,1,0,1,0,1,0,1]')
    """

    def job(name: str, mixer: str, kind: str, **lists: Sequence) -> Job:
        fields = [f"{field}=[{','.join(map(str, values))}]" for field, values in lists.items()]
        fixed = f"preset={preset}", f"mixer={mixer}", f"uncertainty={kind}"
        if kind == GROUP_DR:  # bars of several processes would overwrite each other
            fixed = *fixed, "progress_bar=false"
        overrides = *fixed, *extra, *(field.replace("optim_", "optim.") for field in fields)
        return Job(out / f"{mixer}_{name}".replace(" ", "_"), "building", overrides, name)

    jobs = []
    for mixer in mixers:
        gammas: set[float] = set()
        for kind in sets:
            own = job(kind, mixer, kind, seed=seeds)
            jobs.append(own)
            cfg = compose_config(*own.overrides[:-1])
            if controls and has_controls(cfg):
                gammas |= set(control_discounts(cfg)) - {cfg.optim.gamma}
        discounts, at_once = sorted(gammas, reverse=True), max(1, MOST_AT_ONCE // len(seeds))
        for i in range(0, len(discounts), at_once):
            some = [gamma for gamma in discounts[i : i + at_once] for _ in seeds]
            every = [*seeds] * (len(some) // len(seeds))
            name = f"discounts {i // at_once + 1}"
            jobs.append(job(name, mixer, "none", optim_gamma=some, seed=every))
    return [Job(j.folder, j.config, j.overrides, f"{_mixer(j)} {j.label}") for j in jobs]


def plan_battles(
    out: Path,
    mixers: Sequence[str],
    sets: Sequence[str],
    seeds: Sequence[int],
    extra: Sequence[str],
) -> list[Job]:
    """Jobs on SMAX's 3s_vs_5z: one for each run, as battles cannot be stacked.

    Args:
        out (Path): folder of all runs.
        mixers (sequence of str): names.
        sets (sequence of str): names of uncertainty sets.
        seeds (sequence of int): of every algorithm.
        extra (sequence of str): further overrides of all runs.

    Examples:
        >>> job, = plan_battles(Path("out"), ["vdn"], ["tv"], [3], [])
        >>> job.label, job.overrides
        ('battles vdn tv 3', ('mixer=vdn', 'uncertainty=tv', 'seed=[3]'))
    """
    return [
        Job(
            out / f"{mixer}_{kind}",
            BATTLES,
            (f"mixer={mixer}", f"uncertainty={kind}", *extra, f"seed=[{seed}]"),
            f"battles {mixer} {kind} {seed}",
        )
        for seed in seeds  # whoever stops early has whole seeds
        for mixer in mixers
        for kind in sets
    ]


def _mixer(job: Job) -> str:
    return job.overrides[1].partition("=")[2]
