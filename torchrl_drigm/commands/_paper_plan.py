"""What has to be trained for the paper's tables: which runs, and which of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from torchrl_drigm.commands._members import members_of, stack_overrides
from torchrl_drigm.commands._planned_fields import fields_of
from torchrl_drigm.config import compose_config
from torchrl_drigm.config.schema_uncertainty import GROUP_DR
from torchrl_drigm.evaluation.controls import control_discounts, has_controls
from torchrl_drigm.evaluation.methods import flat_config

__all__ = ["BATTLES", "DISCOUNT", "Job", "plan", "plan_battles"]

BATTLES = "battles"
DISCOUNT = "discount"


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
    """Jobs on buildings: a stack for each mixer and set, and for each discount of the controls.

    Args:
        out (Path): folder of all runs.
        preset (str): of all.
        mixers (sequence of str): names.
        sets (sequence of str): names of uncertainty sets, ``"none"`` among them.
        seeds (sequence of int): of every algorithm.
        controls (bool): whether nominal runs with the other discounts of the robust ones' controls
            are trained too.
        extra (sequence of str): further overrides, of all runs that have these fields.

    Examples:
        >>> jobs = plan(Path("out"), "fast", ["vdn"], ["none", "tv"], [0, 1], controls=True)
        >>> [job.label for job in jobs]  # γ(1-ρ), and 0.95, 0.9 and 0.5 of γ
        ['vdn none', 'vdn tv', 'vdn discount 0.9405', 'vdn discount 0.891', 'vdn discount 0.693', \
'vdn discount 0.495']
        >>> jobs[2].overrides[-2:]
        ('optim.gamma=0.9405', 'seed=[0,1]')
    """

    def job(name: str, mixer: str, kind: str, *fields: str, **lists: Sequence) -> Job:
        fixed = f"preset={preset}", f"mixer={mixer}", f"uncertainty={kind}"
        every = [f"{field}=[{','.join(map(str, values))}]" for field, values in lists.items()]
        return Job(
            out / f"{mixer}_{name}".replace(" ", "_"),
            "building",
            (*fixed, *fields_of(extra, "building", mixer, kind), *fields, *every),
            f"{mixer} {name}",
        )

    jobs = []
    for mixer in mixers:
        # by what else a robust run's preset sets: the discounts of its controls
        discounts: dict[tuple[str, ...], dict[float, None]] = {}
        named = {(): ""}  # for each of these, the set whose it is
        nominal = compose_config(*job("none", mixer, "none").overrides)
        chosen = list(sets)
        for kind in sets:
            own = job(kind, mixer, kind, seed=seeds)
            jobs.append(own)
            cfg = compose_config(*own.overrides[:-1])
            if not controls or not has_controls(cfg):
                continue
            rhythm = _differing(nominal, cfg)
            gammas = dict.fromkeys(control_discounts(cfg))
            if not rhythm:  # that is the algorithm itself
                gammas.pop(cfg.optim.gamma)
                if "none" not in chosen:
                    chosen.append("none")
                    jobs.append(job("none", mixer, "none", seed=seeds))
            named.setdefault(rhythm, f" {kind}")
            discounts[rhythm] = discounts.get(rhythm, {}) | gammas
        for rhythm, gammas in discounts.items():
            for gamma in sorted(gammas, reverse=True):
                name = f"{DISCOUNT}{named[rhythm]} {gamma:g}"
                fields = *rhythm, f"optim.gamma={gamma}"
                jobs.append(job(name, mixer, "none", *fields, seed=seeds))
    return jobs


def _differing(nominal: DictConfig, robust: DictConfig) -> tuple[str, ...]:
    """What a preset sets otherwise for a set, and its controls have in common with it."""
    one, other = (flat_config(cfg) for cfg in (nominal, robust))
    return tuple(
        f"{field}={value}"
        for field, value in other.items()
        if field.split(".")[0] != "uncertainty" and one.get(field, value) != value
    )


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
        extra (sequence of str): further overrides, of all runs that have these fields.

    Examples:
        >>> job, = plan_battles(Path("out"), ["vdn"], ["tv"], [3], [])
        >>> job.label, job.overrides
        ('battles vdn tv 3', ('mixer=vdn', 'uncertainty=tv', 'seed=[3]'))
    """
    return [
        Job(
            out / f"{mixer}_{kind}",
            BATTLES,
            (
                *(f"mixer={mixer}", f"uncertainty={kind}"),
                *(*fields_of(extra, BATTLES, mixer, kind), f"seed=[{seed}]"),
            ),
            f"battles {mixer} {kind} {seed}",
        )
        for seed in seeds  # whoever stops early has whole seeds
        for mixer in mixers
        for kind in sets
    ]
