"""Checks that the networks share."""


def check_sizes(owner: str, **sizes: int) -> None:
    """Refuse a size below 1.

    Raises:
        ValueError: naming the network, the argument, its value and the valid range.

    Examples:
        >>> check_sizes("DRQN", n_agents=6)
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{owner}: {name} must be an int of at least 1, received {size!r}.")
