"""What docs/extending.md says, done with the files that it shows and nothing else."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensordict.nn import TensorDictModule
from torchrl.envs.utils import check_env_specs

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import evaluate, read_metrics
from torchrl_drigm.tasks import find_task
from torchrl_drigm.trainers import build, load_team

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()

ENVIRONMENT = ["orchard.py", "orchard_task.py", "conf/env/orchard.yaml"]
# row of the page's table: the files of one's own that it counts, and the overrides that use them
RECIPES = {
    "an uncertainty set": (
        ["mean_cvar.py"],
        ["uncertainty=own", "uncertainty.name=mean_cvar.MeanCVaR", "uncertainty.rho=0.8"],
    ),
    "a mixer that reads chosen values, state and more": (
        ["weighing_mixer.py"],
        ["mixer=own", "mixer.name=weighing_mixer.WeighingMixer", "+mixer.options.hidden_size=8"],
    ),
    "an environment with its task": (ENVIRONMENT, []),
    "a suite of shifts": (["guards.yaml"], ["evaluation.suite=guards.yaml"]),
}
SMALL = [
    *("env.num_envs=4", "collector.frames_per_batch=32", "collector.total_frames=96"),
    *("optim.updates_per_batch=2", "replay.batch_size=4", "agent.hidden_size=8", "log_interval=1"),
    *("uncertainty.dual_hidden_size=8", "progress_bar=false", "evaluation.episodes=4"),
]


def small(*overrides):
    dual = any(o.startswith("uncertainty=own") for o in overrides)
    sizes = [o for o in SMALL if dual or not o.startswith("uncertainty")]
    searched = "hydra.searchpath=[conf]"
    return compose_config("env=orchard", searched, *sizes, *overrides, config="torchrl")


class TestTable:
    """ "To add … touches …", with one's own files in place of the package's."""

    @pytest.mark.parametrize("row", RECIPES)
    def test_a_row_counts_the_files_of_its_recipe(self, row):
        files, _ = RECIPES[row]
        code = sum(file.endswith(".py") for file in files)
        counted = re.search(rf"\| {row} \| (\d)(.*?) \|", PAGE)
        assert int(counted[1]) == code
        assert ("YAML" in counted[2]) == (code != len(files))

    @pytest.mark.parametrize("row", RECIPES)
    def test_the_files_alone_are_enough(self, row, users_folder):
        """A run in the orchard, whose files are one of the rows, with those of one row besides."""
        files, overrides = RECIPES[row]
        users_folder(*ENVIRONMENT, *files)
        run = build(small(*overrides), "run")
        run.train()
        losses = read_metrics("run").filter(regex="^loss$|^value$")
        assert run.trainer.collected_frames == 96 and not losses.empty
        team = load_team("run")
        results = evaluate(team, suite=run.cfg.evaluation.suite, episodes=4)
        assert len(results) == 4 * results["shift"].nunique()
        for file in files:
            if file.endswith(".py"):
                assert Path(sys.modules[Path(file).stem].__file__).parent == Path.cwd()

    def test_every_file_of_a_recipe_is_on_the_page(self):
        for files, _ in RECIPES.values():
            for file in files:
                assert f"```{{literalinclude}} examples/{file}\n" in PAGE


class TestMixer:
    def test_it_reads_what_its_in_keys_name(self, users_folder):
        users_folder(*ENVIRONMENT, "weighing_mixer.py")
        mixer = build(small(*RECIPES[list(RECIPES)[1]][1]), "run").mixer["mixer"]
        assert isinstance(mixer, TensorDictModule) and mixer.module.net[0].out_features == 8
        torch.manual_seed(0)
        read = [torch.randn(5, 2, 1), torch.randn(5, 1), torch.randn(5, 2, 1)]
        read = [entry.requires_grad_() for entry in read]
        gradients = torch.autograd.grad(mixer.module(*read).sum(), read)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)

    def test_the_team_value_rises_with_each_agents(self, users_folder):
        users_folder("weighing_mixer.py")
        from weighing_mixer import WeighingMixer

        torch.manual_seed(0)
        mixer = WeighingMixer(2, (1,), 1)
        chosen = torch.randn(50, 2, 1, requires_grad=True)
        value = mixer(chosen, 9 * torch.randn(50, 1), 9 * torch.randn(50, 2, 1))
        assert value.shape == (50, 1)
        (slope,) = torch.autograd.grad(value.sum(), chosen)
        assert (slope > 0).all()


class TestEnvironment:
    @pytest.fixture
    def orchard(self, users_folder):
        users_folder(*ENVIRONMENT)
        import orchard

        return orchard

    def test_it_keeps_to_its_specs(self, orchard, caplog):
        check_env_specs(orchard.Orchard(3, seed=0))

    @pytest.mark.parametrize("n_hasty", [0, 1, 2])
    def test_haste_earns_and_wakes(self, orchard, n_hasty):
        env = orchard.Orchard(2000, wakes=0.25, seed=0)
        data = env.reset()
        data["agents", "action"] = (
            torch.tensor([i < n_hasty for i in range(2)]).long().expand(2000, 2)
        )
        data = env.step(data)["next"]
        assert (data["reward"] == 2 + n_hasty).all()
        woken = data["info", "woken"].float().mean()
        assert woken == pytest.approx(1 - 0.75**n_hasty, abs=0.04)
        assert torch.equal(data["terminated"], data["info", "woken"])

    def test_copies_start_over_on_their_own(self, orchard):
        env = orchard.Orchard(64, wakes=0.3, seed=0)
        steps = env.rollout(40, break_when_any_done=False)
        hours = (12 * steps["state"]).round().long().squeeze(-1)
        done = steps["next", "done"].squeeze(-1)
        assert (hours[:, 1:] == torch.where(done[:, :-1], 0, hours[:, :-1] + 1)).all()

    def test_training_and_tests_have_other_guards(self, orchard):
        task = find_task("orchard_task.OrchardTask")()
        seeds = [
            task.make_env(1, p, 0, {}).base_env.generator.initial_seed() for p in ("train", "test")
        ]
        assert seeds[0] != seeds[1]


class TestMetric:
    def test_it_is_a_column_of_the_table(self, users_folder):
        users_folder(*ENVIRONMENT)
        task = find_task("orchard_task.OrchardTask")()
        results = evaluate(task.references["always hasty"](), task, episodes=400)
        assert list(results) == ["suite", "shift", "episode", "woken", "return", "steps"]
        woken = results.groupby("shift", sort=False)["woken"].mean()
        expected = {
            shift: 1 - (1 - p) ** 24 for shift, p in {"sleepy": 0.05, "watchful": 0.2}.items()
        }
        assert woken.to_dict() == pytest.approx(expected, abs=0.06)


class TestSuite:
    def test_a_yaml_file_and_a_list_are_the_same(self, users_folder):
        users_folder(*ENVIRONMENT, "guards.yaml")
        task = find_task("orchard_task.OrchardTask")()
        suite = [{"name": "as trained"}, {"name": "light sleeper", "wakes": 0.1}]
        suite.append({"name": "dog", "wakes": 0.4})
        policy = task.references["always hasty"]()
        tables = [evaluate(policy, task, s, episodes=20) for s in ("guards.yaml", suite)]
        pd.testing.assert_frame_equal(*(table.drop(columns="suite") for table in tables))

    def test_the_script_of_the_page_prints_its_tables(self, users_folder, capsys):
        folder = users_folder(*ENVIRONMENT, "judge_orchard.py")
        runpy.run_path(str(folder / "judge_orchard.py"), run_name="__main__")
        printed = capsys.readouterr().out
        assert re.search(r"always quiet( +24\.0 ± 0\.0){4}", printed)
        assert re.search(r"always quiet( +0\.0+){4}", printed)


@pytest.mark.slow
def test_the_commands_of_the_page_run(users_folder, python):
    """Literally, but for the sizes of the runs."""
    folder = users_folder(*ENVIRONMENT, "mean_cvar.py", "weighing_mixer.py", "guards.yaml")
    block = re.search(r"```bash\n(cd docs/examples\n.*?)```", PAGE, re.DOTALL)[1]
    commands = block.replace("\\\n", " ").splitlines()[1:]
    assert [command.split()[3] for command in commands] == ["train", "train", "evaluate", "compare"]
    for command in commands:
        words = shlex.split(command)[1:]
        if "train" in words:
            own = "uncertainty=own" in words
            words += [word for word in SMALL if own or not word.startswith("uncertainty")]
        if "evaluate" in words:
            words += ["--episodes", "4"]
        done = python(*words, cwd=folder, PYTHONPATH=str(ROOT))
        assert done.returncode == 0, done.stderr[-3000:]
    assert "mean-CVaR WeighingMixer, ρ = 0.8" in done.stdout and "always quiet" in done.stdout
    assert (folder / "runs" / "robust" / "evaluation_guards.csv").exists()
