"""What docs/your_environment.md says, done with the files that it shows and small runs."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch

pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")

from torchrl_drigm.__main__ import main
from torchrl_drigm.commands._runs import train_run
from torchrl_drigm.config import compose_config
from torchrl_drigm.tasks import make_task

PAGE = (Path(__file__).parents[2] / "docs" / "your_environment.md").read_text()
FILES = ["cranes.py", "wind.yaml", "judge_cranes.py"]
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]
TRAIN = [words[4:] for words in COMMANDS if words[3:4] == ["train"]]
SMALL = [
    *("env.num_envs=4", "collector.frames_per_batch=32", "collector.total_frames=64"),
    *("collector.init_random_frames=32", "replay.batch_size=8", "agent.hidden_size=8"),
    *("+env.kwargs.steps=9", "evaluation.episodes=2", "progress_bar=false"),
]


@pytest.fixture
def here(users_folder):
    return users_folder(*FILES)


def test_the_version_of_pettingzoo_is_the_pinned_one():
    pins = (Path(__file__).parents[2] / "constraints.txt").read_text()
    (pinned,) = re.findall(r"^pettingzoo==(\S+)$", pins, re.MULTILINE)
    assert set(re.findall(r"pettingzoo (\d[\d.]*\d)", PAGE)) == {pinned}


def test_every_file_is_on_the_page():
    shown = re.findall(r"```{literalinclude} examples/(.*)\n", PAGE)
    assert shown == FILES


def test_one_loads_slowly_or_takes_the_risk(here):
    import cranes

    env = cranes.make_env(wind=0.0, steps=3)
    env.reset(seed=0)
    rewards = [sum(env.step({"east": cranes.FAST, "west": 0})[1].values()) for _ in range(3)]
    assert rewards == [3, 3, 3] and not env.agents
    env = cranes.make_env(wind=1e3, steps=50)
    env.reset(seed=0)
    earned = []
    for _ in range(2 * cranes.REPAIR + 2):
        _, rewards, _, _, infos = env.step({"east": cranes.FAST, "west": cranes.SLOW})
        earned.append(rewards["east"])
        assert infos["east"]["action_mask"].tolist() == [1, env.repair["east"] == 0]
    # caught in the first step, still for ten, and caught again
    assert earned == [2.0, *[0.0] * cranes.REPAIR] * 2
    assert rewards["west"] == 1


def test_the_look_at_it_runs(here, capsys, caplog):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    printed = capsys.readouterr().out
    assert "torch.Size([60, 2, 2]) torch.Size([60, 4])" in printed


@pytest.mark.slow
def test_from_training_to_the_picture(here, capsys):
    assert [words[0] for words in TRAIN] == ["torchrl"] * 3
    for _, *fields in TRAIN:
        (folder,) = (f.partition("=")[2] for f in fields if f.startswith("hydra.run.dir"))
        fields = [f for f in fields if not f.startswith("hydra.run.dir")]
        cfg = compose_config(*fields, *SMALL, config="torchrl")
        torch.manual_seed(0)
        train_run(cfg, folder)
    (evaluate,) = (w[3:] for w in COMMANDS if w[3:4] == ["evaluate"])
    main([*evaluate, "--episodes", "1"])
    (compare,) = (w[3:] for w in COMMANDS if w[3:4] == ["compare"])
    main(compare)
    import judge_cranes

    assert ["python", "judge_cranes.py"] in COMMANDS
    judge_cranes.main(episodes=2)
    printed = capsys.readouterr().out
    for row in (*judge_cranes.RUNS, "careful", "CVaR QMIX, ρ = 0.7", "nominal QMIX"):
        assert re.search(rf"^{row}.*\d", printed, re.MULTILINE), row
    assert (here / "runs" / "cranes.png").exists()
    assert len(pd.read_csv(here / "results" / "evaluation_wind.csv")) == 4


def test_the_rule_beside_the_teams_is_what_it_says(here):
    import cranes
    import judge_cranes

    cfg = compose_config("env=custom", "env.make=cranes:make_env", config="torchrl")
    env = make_task(cfg).make_env(3, "test", 0, {"wind": 4.0})
    steps = env.rollout(60, judge_cranes.careful, break_when_any_done=False)
    fast = steps["agents", "action"] == cranes.FAST
    gusts, repair = steps["agents", "observation"].unbind(-1)
    assert torch.equal(fast, (gusts == 0) & (repair == 0)) and (repair > 0).any()
