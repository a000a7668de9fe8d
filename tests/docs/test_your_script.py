"""The scripts of docs/your_script.md, each for a few steps."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from tensordict import TensorDict

pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')

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


def test_the_environment_of_the_page(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
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
