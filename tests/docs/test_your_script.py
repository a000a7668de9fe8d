"""The code of docs/your_script.md: its scripts, each for a few steps, and its snippets in one."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from tensordict import TensorDict

pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')

from tests.examples.test_readme import SCRIPT

pytestmark = pytest.mark.vmas
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "your_script.md").read_text()
SHOWN = re.findall(r"```{literalinclude} examples/(.*)\n", PAGE)


@pytest.mark.parametrize(
    ("file", "sizes", "losses"),
    [
        (
            "recurrent_vmas.py",
            {"frames": 200, "num_envs": 1, "length": 100, "batch_size": 2},
            ["loss"],
        ),
        (
            "qtran_vmas.py",
            {"frames": 110, "num_envs": 1},
            ["loss_td", "loss_opt", "loss_nopt", "loss_dual"],
        ),
        ("group_dr_vmas.py", {"frames": 330, "num_envs": 1, "steps": 4}, ["loss"]),
    ],
)
def test_it_learns(file, sizes, losses, capsys, monkeypatch):
    assert file in SHOWN
    steps = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: steps.append(self) or step(self))
    torch.manual_seed(0)
    script = runpy.run_path(str(DOCS / "examples" / file))
    loss = script["main"](**sizes)
    printed = capsys.readouterr().out
    assert steps and re.search(r"return -?\d+\.\d\d, loss", printed)
    for name in losses:
        assert re.search(rf"{name} -?\d+\.\d+", printed), f"{name} is finite"
    targets = loss.target_local_value_network_params.values(True, True)
    params = loss.local_value_network_params.values(True, True)
    assert any(not torch.equal(a, b) for a, b in zip(targets, params, strict=True))
    if file == "group_dr_vmas.py":
        assert "reward models: mean squared error" in printed


CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_loss_of_the_page_in_torchrls_script():
    """What the page says before its first heading of an environment, in the order it is said in."""
    robust, step, contamination, optimizers, _ = CODE
    names = {"MIXER": "qmix"}
    exec(SCRIPT, names)
    names["state_shape"] = (names["n_agents"], names["observation_shape"][-1])
    names["worst_return"], names["batch"] = -10.0, names["replay_buffer"].sample()
    updater = "target_updater = SoftUpdate(loss, eps=0.99)"  # of the script, as it was
    exec(f"{robust}{updater}", names)
    said = re.search(r"`(loss\.set_keys\(state=.*?\))`;", PAGE)[1]
    exec(said, names)
    exec(step, names)
    exec(optimizers, names)
    mine = [group["params"] for o in names["optimizers"] for group in o.param_groups]
    assert all(p.grad is not None for params in mine for p in params), "both losses reach them"
    assert sum(map(len, mine)) == len(list(names["loss"].parameters()))
    exec(f"{contamination}{updater}", names)
    assert set(names["loss"](names["batch"]).keys()) == {"loss"}


def test_the_environment_of_the_page(capsys):
    exec(CODE[-1], {})
    assert "torch.Size([4, 5, 1])" in capsys.readouterr().out


def test_what_the_page_says_of_torchrls_recurrent_modules():
    from torchrl.modules import GRUModule

    gru = GRUModule(
        input_size=5,
        hidden_size=8,
        in_keys=[("agents", "observation"), "state", "is_init"],
        out_keys=[("agents", "out"), ("next", "state")],
    )
    flags = torch.zeros(4, 1, dtype=torch.bool)
    team = TensorDict({"agents": {"observation": torch.randn(4, 3, 5)}, "is_init": flags}, [4])
    (said,) = re.findall(r"they raise `(.*?)`", PAGE, re.DOTALL)
    with pytest.raises(ValueError, match=re.escape(" ".join(said.split()))):
        gru(team)
