"""Evaluation under shift: suites, reference policies, statistics and plots."""

from torchrl_drigm.evaluation.battles import play_battles
from torchrl_drigm.evaluation.compare import compare_runs
from torchrl_drigm.evaluation.evaluate import evaluate
from torchrl_drigm.evaluation.files import atomic_path, save_results
from torchrl_drigm.evaluation.methods import describe_runs
from torchrl_drigm.evaluation.metrics import read_metrics
from torchrl_drigm.evaluation.plots import plot_returns, plot_training_curve
from torchrl_drigm.evaluation.policies import (
    REFERENCES,
    DoNothing,
    OneStepOracle,
    ProportionalControl,
    RandomPolicy,
    ReferencePolicy,
    power_to_level,
)
from torchrl_drigm.evaluation.returns import RETURN_SCALES, normalise_return
from torchrl_drigm.evaluation.statistics import format_table, summarize
from torchrl_drigm.evaluation.suites import SUITES, Shift, Suite, get_suite
from torchrl_drigm.evaluation.win_rate_plots import (
    plot_noise_levels,
    plot_rho_sweep,
    plot_win_rates,
)
from torchrl_drigm.evaluation.win_rates import final_win_rates, read_win_rates

__all__ = [
    "REFERENCES",
    "RETURN_SCALES",
    "SUITES",
    "DoNothing",
    "OneStepOracle",
    "ProportionalControl",
    "RandomPolicy",
    "ReferencePolicy",
    "Shift",
    "Suite",
    "atomic_path",
    "compare_runs",
    "describe_runs",
    "evaluate",
    "final_win_rates",
    "format_table",
    "get_suite",
    "normalise_return",
    "play_battles",
    "plot_noise_levels",
    "plot_returns",
    "plot_rho_sweep",
    "plot_training_curve",
    "plot_win_rates",
    "power_to_level",
    "read_metrics",
    "read_win_rates",
    "save_results",
    "summarize",
]
