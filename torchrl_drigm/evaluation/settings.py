"""Which of several runs are the controls of which, and how a table shows it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from torchrl_drigm.evaluation.controls import (
    GAMMA,
    HINDSIGHT,
    best_in_hindsight,
    control_discounts,
    has_controls,
    missing_note,
    rounded,
)
from torchrl_drigm.evaluation.methods import Config, method_of, mixer_label, tell_apart

__all__ = [
    "Setting",
    "find_settings",
    "missing_controls",
    "order_methods",
    "rows_in_hindsight",
    "shown_controls",
]


@dataclass
class Setting:
    """Robust methods that differ in the uncertainty set alone, and so share their controls.

    Attributes:
        robust: their names.
        controls: names of the nominal methods with the same config but for the discount, the
            largest first.
        matched: those of the controls that have all seeds of the robust methods.
        hindsight: what to call the best of them.
        seeds: those of the robust methods.
        names: what a table calls methods of which there is more to say: robust ones without all of
            their controls, and the nominal one with the discount γ(1-ρ).
        missing: folders of robust runs that lack controls.
    """

    robust: list[str]
    controls: list[str]
    matched: list[str]
    hindsight: str
    seeds: list[int]
    names: dict[str, str]
    missing: list[str]


def find_settings(described: pd.DataFrame, configs: Sequence[Config]) -> list[Setting]:
    """Which runs are controls of which, by their configs, wherever they lie.

    Args:
        described: rows of :func:`~torchrl_drigm.evaluation.describe_runs`.
        configs: those of the runs.
    """
    table = described.assign(
        key=[json.dumps(_shared(c), sort_keys=True, default=str) for c in configs],
        gamma=[config.get(GAMMA) for config in configs],
        robust=[has_controls(config) for config in configs],
        config=list(configs),
    )
    groups = [group for _, group in table.groupby("key", sort=False) if group["robust"].any()]
    mixers = [mixer_label(group["mixer"].iloc[0]) for group in groups]
    shared = [_shared(group["config"].iloc[0]) for group in groups]
    settings = []
    for group, name in zip(groups, tell_apart(mixers, shared), strict=True):
        robust = group[group["robust"]]
        nominal = group[(group["uncertainty"] == "none") & group["gamma"].notna()]
        nominal = nominal.sort_values("gamma", ascending=False)
        there = set(zip(nominal["gamma"].map(rounded), nominal["seed"], strict=True))
        lacking, least = [], {}
        for row in robust.itertuples():
            wanted = control_discounts(row.config)
            n = sum((gamma, row.seed) in there for gamma in wanted)
            if n < len(wanted):
                lacking.append(row.run)
                least[row.method] = min((n, len(wanted)), least.get(row.method, (n, len(wanted))))
        names = {
            method: f"{method} ({f'{n} of {wanted} controls' if n else 'no control'})"
            for method, (n, wanted) in least.items()
        }
        if robust["method"].nunique() == 1:
            shares = control_discounts(robust["config"].iloc[0])
            for row in nominal.itertuples():
                if shares.get(rounded(row.gamma), "").startswith("γ(1-ρ)"):
                    names[row.method] = f"{row.method}, γ(1-ρ)"
        seeds = sorted(set(robust["seed"]))
        owned = nominal.groupby("method", sort=False)["seed"].agg(set)
        matched = [method for method, own in owned.items() if own >= set(seeds)]
        settings.append(
            Setting(
                robust=list(dict.fromkeys(robust["method"])),
                controls=list(owned.index),
                matched=matched,
                hindsight=f"{HINDSIGHT}, {name}",
                seeds=seeds,
                names=names,
                missing=lacking,
            )
        )
    return settings


def order_methods(methods: Sequence[str], settings: Sequence[Setting]) -> list[str]:
    """Robust methods of a setting, their controls, the best of these; others where they were."""
    ordered: list[str] = []
    for method in methods:
        setting = next((s for s in settings if method in (*s.robust, *s.controls)), None)
        own = [*setting.robust, *setting.controls, setting.hindsight] if setting else [method]
        ordered += [name for name in own if name not in ordered]
    return ordered


def rows_in_hindsight(
    rows: pd.DataFrame, settings: Sequence[Setting], seeds: Mapping[str, int], column: str
) -> pd.DataFrame:
    """In each shift the rows of the control whose mean over the robust methods' seeds is best.

    Args:
        rows: with the columns ``policy`` (the method), ``shift``, ``run`` and ``column``.
        settings: those of the methods; one with fewer than two controls of all seeds has no best.
        seeds: by run.
        column: what is the larger the better.
    """
    best = []
    for setting in settings:
        if len(setting.matched) > 1:
            own = rows[rows["run"].map(seeds).isin(setting.seeds)]
            best.append(best_in_hindsight(own, setting.matched, column, setting.hindsight))
    return pd.concat(best) if best else rows.iloc[:0]


def shown_controls(settings: Sequence[Setting], shown: Collection[str]) -> dict[str, list[str]]:
    """The controls of each robust method, the best of them last, as a table calls them.

    Args:
        settings: those of the methods.
        shown: what the table has rows of. A method without any control is left out.
    """
    found = {}
    for setting in settings:
        names = [setting.names.get(m, m) for m in (*setting.controls, setting.hindsight)]
        if own := [name for name in names if name in shown]:
            found |= {setting.names.get(m, m): own for m in setting.robust}
    return found


def missing_controls(settings: Sequence[Setting]) -> str | None:
    """What to print under a table of robust methods without controls; ``None`` if all have some."""
    runs = [run for setting in settings for run in setting.missing]
    return missing_note(runs) if runs else None


def _shared(config: Config) -> Config:
    """What a robust method and its controls have in common."""
    return {
        field: value
        for field, value in method_of(config).items()
        if field != GAMMA and not field.startswith("uncertainty.")
    }
