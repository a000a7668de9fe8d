"""Policies in a suite of one's own: how they fare, the more easily the guard wakes."""

from orchard_task import OrchardTask

from torchrl_drigm.evaluation import evaluate_all, format_table, summarize

if __name__ == "__main__":
    task = OrchardTask()
    suite = [{"name": f"{wakes:.0%}", "wakes": wakes} for wakes in (0.05, 0.1, 0.2, 0.4)]
    policies = {name: make() for name, make in task.references.items()}
    # policies["robust"] = load_team("runs/robust")    of torchrl_drigm.trainers
    results = evaluate_all(policies, task, suite, episodes=500)
    print(format_table(summarize(results)))  # of the return
    print(results.pivot_table(values="woken", index="policy", columns="shift", sort=False))
