"""What is at stake in a building whose heaters fail: bold and cautious control, no learning.

A controller that knows the physics takes the powers that would bring every zone to its set point in
one step, but no more than a share of the maximum. Bold ones are better where little fails: the
table tells whether a world leaves a robust set anything to find, before a team is trained in it.

    python examples/failing_building.py                          a minute
    python examples/failing_building.py env.failures.rate=0.1    another building
"""

import argparse

import pandas as pd
import torch

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import OneStepOracle, evaluate
from torchrl_drigm.tasks import make_task, power_to_level

CAPS = (0.2, 0.4, 0.6, 1.0)
SEVERITIES = (1.0, 2.0, 3.0, 4.0, 6.0)


class CappedOracle(OneStepOracle):
    """The one-step oracle with powers of at most ``cap``; it counts the failures it sees."""

    def __init__(self, cap):
        super().__init__()
        self.cap, self.failures = cap, 0

    def act(self, observation):
        """The level nearest to the clamped power; a failed heater has all its time left."""
        self.failures += int((self.env.steps_left == self.env.failures.steps).sum())
        levels = self.env.n_action_levels
        highest = power_to_level(torch.tensor([-self.cap, self.cap]), levels)
        return super().act(observation).clamp(*highest.tolist())


def main() -> None:
    """Play and print."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--episodes", type=int, default=50, help="days at each severity")
    parser.add_argument("overrides", nargs="*", help="of env=building_failures")
    args = parser.parse_args()
    task = make_task(compose_config("env=building_failures", *args.overrides))
    rows = {}
    for cap in CAPS:
        row = {}
        for severity in SEVERITIES:
            policy = CappedOracle(cap)
            suite = [{"name": f"{severity:g}", "severity": severity}]
            results = evaluate(policy, task, suite, episodes=args.episodes)
            row[severity] = results["normalized_return"].mean()
            row[f"failures at {severity:g}"] = policy.failures / args.episodes
        rows[cap] = row
    table = pd.DataFrame(rows).T
    returns = table[list(SEVERITIES)].rename(columns="{:g}".format)
    print("mean normalised return, by cap on the power and severity")
    print(returns.to_string(float_format="{:.3f}".format))
    print("failures a day")
    failures = table.drop(columns=list(SEVERITIES))
    failures.columns = returns.columns
    print(failures.to_string(float_format="{:.1f}".format))


if __name__ == "__main__":
    main()
