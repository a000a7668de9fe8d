"""Calls in processes side by side that are stopped by a signal, and take their time to save."""

import os
import signal
import sys
import time
from functools import partial

from torchrl_drigm import _signals
from torchrl_drigm.commands._processes import one_by_one


def saving(name, seconds):
    """What a run does in a process of its own."""
    with _signals.saves_first(lambda: None) as came:
        with open(f"{name}.started", "w") as file:
            file.write(str(os.getpid()))
        while not came:
            time.sleep(0.01)
        time.sleep(seconds)
        open(f"{name}.saved", "w").close()
    raise _signals.raised(came[0])


if __name__ == "__main__":
    from tests.commands import stopped_child

    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever ignores it, ignores it
    calls = [(n, partial(stopped_child.saving, str(n), float(sys.argv[1]))) for n in range(4)]
    try:
        with _signals.ends_at_once():
            list(one_by_one(calls, 2))
    except KeyboardInterrupt:
        sys.exit(130)
