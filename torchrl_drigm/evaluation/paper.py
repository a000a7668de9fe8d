"""What the DrIGM paper reports, to stand beside what is measured here."""

from __future__ import annotations

import pandas as pd

__all__ = ["PAPER_TABLES", "beside_paper"]

#: Tables 1 and 2 of the paper: mean and standard error over five training runs of the normalised
#: return, by suite, mixer and uncertainty set. They were played with SustainGym 0.1.6, whose days
#: wrap: our suites of the names that end in ``_paper``. Of Figure 2 there are no numbers.
PAPER_TABLES: dict[str, dict[tuple[str, str], tuple[float, float]]] = {
    "season_paper": {
        ("vdn", "none"): (0.877, 0.012),
        ("qmix", "none"): (0.895, 0.008),
        ("qtran", "none"): (0.816, 0.036),
        ("vdn", "group_dr"): (0.624, 0.040),
        ("qmix", "group_dr"): (0.499, 0.022),
        ("qtran", "group_dr"): (0.508, 0.048),
        ("vdn", "tv"): (0.898, 0.008),
        ("qmix", "tv"): (0.916, 0.006),
        ("qtran", "tv"): (0.861, 0.006),
        ("vdn", "contamination"): (0.869, 0.013),
        ("qmix", "contamination"): (0.911, 0.005),
        ("qtran", "contamination"): (0.825, 0.028),
    },
    "climate_season_paper": {
        ("vdn", "none"): (0.440, 0.040),
        ("qmix", "none"): (0.478, 0.052),
        ("qtran", "none"): (0.654, 0.066),
        ("vdn", "group_dr"): (0.624, 0.056),
        ("qmix", "group_dr"): (0.383, 0.053),
        ("qtran", "group_dr"): (0.520, 0.049),
        ("vdn", "tv"): (0.627, 0.049),
        ("qmix", "tv"): (0.520, 0.048),
        ("qtran", "tv"): (0.733, 0.026),
        ("vdn", "contamination"): (0.551, 0.039),
        ("qmix", "contamination"): (0.500, 0.075),
        ("qtran", "contamination"): (0.682, 0.026),
    },
}


def beside_paper(scores: pd.DataFrame, suite: str) -> pd.DataFrame:
    """Our cells of Table 1 or 2 and the paper's.

    Args:
        scores: rows with the columns ``mixer``, ``uncertainty``, ``mean``, ``standard_error`` and
            ``n`` (runs).
        suite: a key of :data:`PAPER_TABLES`.

    Returns:
        ``scores`` with the columns ``paper`` and ``paper_error``, and ``distance``: the difference
        of the means in units of its standard error, the root of both squares' sum. NaN where the
        paper has no such cell, or there is one run alone.

    Examples:
        >>> own = {"mixer": "vdn", "uncertainty": "none", "mean": 0.86, "standard_error": 0.016}
        >>> table = beside_paper(pd.DataFrame([own | {"n": 5}]), "season_paper")
        >>> round(float(table["distance"].iloc[0]), 2)
        -0.85
    """
    cells = [
        PAPER_TABLES[suite].get(key, (float("nan"),) * 2)
        for key in zip(scores["mixer"], scores["uncertainty"], strict=True)
    ]
    table = scores.assign(paper=[c[0] for c in cells], paper_error=[c[1] for c in cells])
    error = (table["standard_error"] ** 2 + table["paper_error"] ** 2) ** 0.5
    return table.assign(distance=(table["mean"] - table["paper"]) / error)
