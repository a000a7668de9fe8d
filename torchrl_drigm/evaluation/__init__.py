"""Evaluation under shift: one table per team, statistics, comparisons and plots."""

from typing import TYPE_CHECKING, Any

from torchrl_drigm._lazy import attach

if TYPE_CHECKING:
    from torchrl_drigm.evaluation.aggregates import (
        Estimate,
        interquartile_mean,
        probability_of_improvement,
        worst_shifts,
    )
    from torchrl_drigm.evaluation.choosing import (
        best_value,
        choice_table,
        plot_choice,
        score_values,
    )
    from torchrl_drigm.evaluation.compare import compare_each, compare_runs
    from torchrl_drigm.evaluation.controls import (
        best_in_hindsight,
        control_configs,
        control_discounts,
        finished_controls,
    )
    from torchrl_drigm.evaluation.curves import severity_areas
    from torchrl_drigm.evaluation.evaluate import evaluate
    from torchrl_drigm.evaluation.exact import exact_return
    from torchrl_drigm.evaluation.files import atomic_path, save_results
    from torchrl_drigm.evaluation.methods import describe_runs, name_of
    from torchrl_drigm.evaluation.metrics import read_metrics
    from torchrl_drigm.evaluation.plots import plot_returns, plot_training_curve
    from torchrl_drigm.evaluation.report import evaluate_all, report_returns, report_win_rates
    from torchrl_drigm.evaluation.scores import check_comparable, seed_scores
    from torchrl_drigm.evaluation.seed_tables import (
        format_improvements,
        format_seeds,
        improvements,
        summarize_seeds,
    )
    from torchrl_drigm.evaluation.statistics import format_table, mean_interval, summarize
    from torchrl_drigm.evaluation.win_rate_plots import (
        plot_noise_levels,
        plot_rho_sweep,
        plot_win_rates,
    )
    from torchrl_drigm.evaluation.win_rates import final_win_rates, read_win_rates
    from torchrl_drigm.tasks import (
        REFERENCES,
        RETURN_SCALES,
        DoNothing,
        OneStepOracle,
        ProportionalControl,
        RandomPolicy,
        ReferencePolicy,
        normalise_return,
        power_to_level,
    )

__all__ = [
    "REFERENCES",
    "RETURN_SCALES",
    "DoNothing",
    "Estimate",
    "OneStepOracle",
    "ProportionalControl",
    "RandomPolicy",
    "ReferencePolicy",
    "atomic_path",
    "best_in_hindsight",
    "best_value",
    "check_comparable",
    "choice_table",
    "compare_each",
    "compare_runs",
    "control_configs",
    "control_discounts",
    "describe_runs",
    "evaluate",
    "evaluate_all",
    "exact_return",
    "final_win_rates",
    "finished_controls",
    "format_improvements",
    "format_seeds",
    "format_table",
    "improvements",
    "interquartile_mean",
    "mean_interval",
    "name_of",
    "normalise_return",
    "plot_choice",
    "plot_noise_levels",
    "plot_returns",
    "plot_rho_sweep",
    "plot_training_curve",
    "plot_win_rates",
    "power_to_level",
    "probability_of_improvement",
    "read_metrics",
    "read_win_rates",
    "report_returns",
    "report_win_rates",
    "save_results",
    "score_values",
    "seed_scores",
    "severity_areas",
    "summarize",
    "summarize_seeds",
    "worst_shifts",
]

_of_today, __dir__ = attach(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Also deprecated names."""
    if name not in ("SUITES", "Shift", "Suite", "get_suite", "play_battles"):
        return _of_today(name)
    from torchrl_drigm.evaluation._deprecated import named

    return named(name)
