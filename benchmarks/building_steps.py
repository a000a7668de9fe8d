"""Environment steps per second of SustainGymEnv against sustaingym's own step, interleaved.

    python benchmarks/building_steps.py            # about half a minute
    python benchmarks/building_steps.py --full     # 40 repetitions
    python benchmarks/building_steps.py --copies 16 64 --repeats 20

The baseline is one ``BuildingEnv`` of sustaingym in a Python loop. A measurement is one day of
OfficeSmall in Tucson, its reset and 288 steps, on random actions drawn beforehand, for all alike.
``env.step`` is TorchRL's public path, with its specs and tensordicts; ``_step`` below it is the
physics and the new tensordict alone. A step of B copies counts as B steps.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import warnings
from collections.abc import Callable

import torch
from _timing import Table, interleaved, print_header, ratios, show
from torchrl.envs import EnvBase

from torchrl_drigm.envs import SustainGymEnv

ACTION = ("agents", "action")
CLIMATE = ("Hot_Dry", "Tucson")
LEVELS = 200
STEPS = 288


def sustaingym_day() -> Callable[[], None]:
    """A day of sustaingym's own environment."""
    from sustaingym.envs.building import BuildingEnv, ParameterGenerator

    # The generator prints the list of zones, and calls a pvlib function deprecated in 0.13.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The parse_epw function was deprecated")
        env = BuildingEnv(ParameterGenerator("OfficeSmall", *CLIMATE, is_continuous_action=False))
    actions = list(torch.randint(LEVELS, (STEPS, env.n)).numpy())

    def day() -> None:
        env.reset(seed=0)
        for action in actions:
            env.step(action)

    return day


def building_day(copies: int, bare: bool) -> Callable[[], None]:
    """A day of ``copies`` environments, by ``env.step`` or by ``_step``."""
    env: EnvBase = SustainGymEnv("building", climates=[CLIMATE], num_envs=copies, seed=0)
    actions = torch.randint(LEVELS, (STEPS, copies, env.n_agents)).unbind()

    def day() -> None:
        tensordict = env.reset()
        step = env._step if bare else env.step
        for action in actions:
            step(tensordict.set(ACTION, action))

    return day


def main() -> None:
    """Time every number of copies and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 16, 256, 4096])
    parser.add_argument("--repeats", type=int, default=7, help="days of each (7)")
    parser.add_argument("--full", action="store_true", help="40 days of each")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print_header("Environment steps per second, OfficeSmall in Tucson: SustainGymEnv / sustaingym")

    paths = {"env.step": False, "_step": True}
    days = {"sustaingym": sustaingym_day()}
    for copies in args.copies:
        days |= {(copies, path): building_day(copies, bare) for path, bare in paths.items()}
    times = interleaved(days, 40 if args.full else args.repeats, warmup=1)

    table = Table({"copies": 12, "path": 10, "ratio": 26, "steps/s": 40, "ms per step": 28})
    own = times.pop("sustaingym")
    for (copies, path), seconds in times.items():
        table.row(
            str(copies),
            path,
            show([copies * ratio for ratio in ratios(own, seconds)], 1) + "x",
            show([copies * STEPS / second for second in seconds], 0),
            show(seconds, 3, 1e3 / STEPS),
        )
    table.row(
        "sustaingym",
        "step",
        "1x",
        show([STEPS / second for second in own], 0),
        show(own, 3, 1e3 / STEPS),
    )


if __name__ == "__main__":
    main()
