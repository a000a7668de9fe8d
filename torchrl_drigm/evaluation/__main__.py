"""Deprecated: ``python -m torchrl_drigm compare`` is the command now."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from torchrl_drigm.__main__ import main as run


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand ``compare`` and ``win-rates`` on to the command of today."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    print(
        "python -m torchrl_drigm.evaluation is deprecated and will go with the next release: use "
        "python -m torchrl_drigm compare, for battles with --win-rates.",
        file=sys.stderr,
    )
    if arguments[:1] == ["win-rates"]:
        arguments = ["compare", "--win-rates", *arguments[1:]]
    run(arguments)


if __name__ == "__main__":
    main()
