"""The README's diff, applied as printed to a plain TorchRL script for QMIX and VDN on VMAS."""

import re
from pathlib import Path

import pytest
import torch

pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')

pytestmark = pytest.mark.vmas
README = Path(__file__).parents[2] / "README.md"

# The way of TorchRL's own script for VMAS: QMIX's state is all observations, VDN has none.
SCRIPT = """
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import VmasEnv
from torchrl.modules import EGreedyModule, QValueModule, SafeSequential
from torchrl.modules.models.multiagent import MultiAgentMLP, QMixer, VDNMixer
from torchrl.objectives import SoftUpdate
from torchrl.objectives import QMixerLoss

env = VmasEnv("balance", num_envs=4, n_agents=3, continuous_actions=False, max_steps=20, seed=0)
observation_shape = env.observation_spec_unbatched["agents", "observation"].shape
n_agents, n_actions = env.n_agents, env.full_action_spec["agents", "action"].space.n
net = MultiAgentMLP(
    observation_shape[-1],
    n_actions,
    n_agents,
    centralised=False,
    share_params=True,
    depth=1,
    num_cells=16,
)
values, chosen = ("agents", "action_value"), ("agents", "chosen_action_value")
qnet = SafeSequential(
    TensorDictModule(net, in_keys=[("agents", "observation")], out_keys=[values]),
    QValueModule(
        action_value_key=values,
        out_keys=[env.action_key, values, chosen],
        spec=env.full_action_spec_unbatched,
        action_space=None,
    ),
)
explore = TensorDictSequential(
    qnet, EGreedyModule(env.full_action_spec_unbatched, action_key=env.action_key)
)
if MIXER == "qmix":
    mixer = TensorDictModule(
        QMixer(observation_shape, mixing_embed_dim=8, n_agents=n_agents, device="cpu"),
        in_keys=[chosen, ("agents", "observation")],
        out_keys=["chosen_action_value"],
    )
else:
    mixer = TensorDictModule(
        VDNMixer(n_agents=n_agents, device="cpu"), [chosen], ["chosen_action_value"]
    )
collector = Collector(
    env,
    explore,
    frames_per_batch=80,
    total_frames=160,
    auto_register_policy_transforms=False,
)
replay_buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(160), batch_size=16)

loss = QMixerLoss(qnet, mixer, action_space="categorical")
loss.make_value_estimator(gamma=0.997)
optimizer = torch.optim.Adam(loss.parameters(), lr=5e-4)
target_updater = SoftUpdate(loss, eps=0.99)

for batch in collector:
    # the reward is shared: without its agent dimension
    batch["next", "reward"] = batch.get(("next", env.reward_key)).mean(-2)
    del batch["next", env.reward_key]
    replay_buffer.extend(batch.reshape(-1))
    for _ in range(2):
        losses = loss(replay_buffer.sample())
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        target_updater.step()
"""


def without_comment(line):
    return line.split("  #")[0].strip()


def apply_diff(script, diff):
    """Each line of the diff is looked for after the one before it, whatever its indentation."""
    lines, at = script.splitlines(), 0
    for line in filter(str.strip, diff.splitlines()):
        sign, text = line[0], without_comment(line[1:])
        if sign == "+":
            indent = re.match(" *", lines[at - 1]).group()
            lines.insert(at, indent + line[1:])
        else:
            at = next(i for i in range(at, len(lines)) if without_comment(lines[i]) == text)
            if sign == "-":
                lines[at] = re.match(" *", lines[at]).group() + "pass"
        at += 1
    return "\n".join(lines)


@pytest.mark.parametrize("estimator", ["kl_td0", "chi2_td0"])
def test_sets_with_two_dual_numbers_take_what_the_text_says(estimator):
    text = README.read_text()
    (options,) = re.findall(rf'"{estimator}"[^`]*`[^:]*: `DualNetwork\(\.\.\., (.*?)\)`', text)
    diff = re.search(r"```diff\n(.*?)```", text, re.DOTALL).group(1)
    diff = diff.replace('"tv_td0"', f'"{estimator}"').replace(", worst_value=worst_return", "")
    head, tail = apply_diff(SCRIPT, diff).split("collector = ", 1)
    given = "state_shape = (n_agents, observation_shape[-1])\n"
    script = head + given + "collector = " + tail
    names = {"MIXER": "vdn"}
    exec(script.replace("n_actions=n_actions)", f"n_actions=n_actions, {options})"), names)
    assert names["losses"]["loss_dual"].isfinite()
    with pytest.raises(ValueError, match=r"the dual network gives"):  # the diff as it stands
        exec(script, {"MIXER": "vdn"})


@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
def test_diff_makes_a_torchrl_script_robust(mixer):
    diff = re.search(r"```diff\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    patched = apply_diff(SCRIPT, diff)
    assert "QMixerLoss(qnet" in patched and "= QMixerLoss(" not in patched
    names = {"MIXER": mixer}
    torch.manual_seed(0)
    exec(SCRIPT, names)  # the script as it was works
    # what README tells the user to say
    given = "state_shape = (n_agents, observation_shape[-1])\nworst_return = -10.0\n"
    head, tail = patched.split("collector = ", 1)
    names = {"MIXER": mixer}
    exec(head + given + "collector = " + tail, names)
    assert type(names["loss"]).__name__ == "RobustQMixerLoss"
    assert names["losses"]["loss_dual"].isfinite()
    before = [p.clone() for p in names["dual"].parameters()]
    names["loss"](names["replay_buffer"].sample())["loss_dual"].backward()
    names["optimizer"].step()
    after = list(names["dual"].parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), "it learns"
