"""Warnings about a run, as a user reads them: one line, and ours."""

from __future__ import annotations

import warnings

__all__ = ["warn_of_run"]


def warn_of_run(message: str) -> None:
    """Warn of what a run does, wherever in a library's loop that was noticed.

    The warning counts as this package's, whose name filters may take (``module``). No line of
    source is shown behind it, as what matters is in the config, and it is shown each time.

    Args:
        message (str): what is wrong, and the remedy.

    Examples:
        >>> with warnings.catch_warnings(record=True, action="always") as told:
        ...     warn_of_run("seed=0 is taken.")
        >>> print(warnings.formatwarning(told[0].message, UserWarning, told[0].filename, 1), end="")
        torchrl_drigm:1: UserWarning: seed=0 is taken.
    """
    place = __name__.partition(".")[0]
    warnings.warn_explicit(message, UserWarning, filename=place, lineno=1, module=place)
