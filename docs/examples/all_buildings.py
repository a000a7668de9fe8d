"""What controllers that learn nothing reach in SustainGym's buildings: the table of the page."""

import sys

from torchrl_drigm.evaluation import REFERENCES, RETURN_SCALES, evaluate
from torchrl_drigm.tasks import BuildingTask

SHOWN = ("do nothing", "proportional control", "one-step oracle")
print("| building | zones |", " | ".join(SHOWN), "|")
print("|---|---|---|---|---|")
for building in sys.argv[1:] or RETURN_SCALES:
    task = BuildingTask(building=building)
    row = [str(task.train_env(seed=0).n_agents)]
    for name in SHOWN:
        results = evaluate(REFERENCES[name](), task, [{"name": "trained"}], episodes=50)
        row.append(f"{results['normalized_return'].mean().round(2) + 0.0:.2f}")
    print(f"| {building} |", " | ".join(row), "|", flush=True)
