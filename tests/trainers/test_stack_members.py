"""Which runs go into a stack, and which are refused."""

import pytest

from tests.trainers.test_stack import SMALL, member
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers.stack import check_members, check_memory
from torchrl_drigm.trainers.stack.free_memory import free_memory


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("agent.hidden_size=16",), r"differ in agent.hidden_size cannot .* at once: 8, 16\. "),
        (("env=machines",), r"differ in env\.name cannot .*'harvest', 'machines'"),
        (("mixer=vdn",), r"differ in mixer\.name cannot be computed at once"),
        (("optim.lr_end_factor=1",), r"differ in optim\.lr_end_factor cannot be computed at"),
        (("uncertainty=cvar",), r"differ in uncertainty\.name .* -m hydra/launcher=joblib unc"),
        (("seed=0",), r"run 1 of the stack is the same as another: give each its own seed"),
    ],
)
def test_runs_that_differ_are_refused(overrides, message):
    cfgs = [
        compose_config(*SMALL, "uncertainty=tv", *own, config="torchrl") for own in ((), overrides)
    ]
    with pytest.raises(ValueError, match=message):
        check_members(cfgs)


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        ("building", ("agent=recurrent",), r"agent\.recurrent=true cannot be stacked"),
        ("building", ("uncertainty=group_dr",), r"uncertainty\.name=group_dr cannot be stack"),
        ("battles", ("agent=drqn",), r"evaluation\.interval: .* cannot be stacked"),
    ],
)
def test_kinds_that_cannot_be_stacked_are_refused(config, overrides, message):
    cfgs = [compose_config(*overrides, f"seed={i}", config=config) for i in range(2)]
    with pytest.raises(ValueError, match=message):
        check_members(cfgs)


def test_what_memory_does_not_hold_is_refused(tmp_path):
    run = member(tmp_path)
    needed = check_memory(run, 3, free=10**9)
    # two observations of two agents with 50 numbers, and states, of 60 steps of 3 runs
    assert needed > 3 * 60 * 2 * 2 * 50 * 4
    # copies of the environment have no part in it, but for what each step takes
    copies = ("env.num_envs=64", "collector.frames_per_batch=64")
    many = member(tmp_path / "many", *copies, "collector.init_random_frames=64")
    assert check_memory(many, 3, free=10**9) == pytest.approx(needed, rel=0.01)
    message = r"3 runs at once would take about .* free: stack no more than 1, or lower replay"
    with pytest.raises(ValueError, match=message):
        check_memory(run, 3, free=needed // 2)


GIGABYTE = 2**30


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 8),
        ({"": "max", "job": "max"}, 8),
        ({"job": 4 * GIGABYTE}, 4 - 2 + 1),
        ({"job/step": 3 * GIGABYTE, "job": 16 * GIGABYTE}, 3 - 2 + 1),
        ({"job/step": 16 * GIGABYTE, "job": 3 * GIGABYTE}, 3 - 2 + 1),
        ({"job": GIGABYTE}, 0),
    ],
)
def test_memory_is_that_of_the_machine_or_of_a_group_around(tmp_path, limits, expected):
    """In files as Linux has them: 8 GB free; each group has 2 GB, of which 1 GB is of files."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    text = f"MemTotal: 99999999 kB\nMemAvailable:   {8 * 1024**2} kB\n"
    (tmp_path / "proc" / "meminfo").write_text(text)
    (tmp_path / "proc" / "self" / "cgroup").write_text("1:cpu:/other\n0::/job/step\n")
    for group, limit in limits.items():
        folder = tmp_path / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{2 * GIGABYTE}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {GIGABYTE}\nfile 7\n")
    assert free_memory(tmp_path) == expected * GIGABYTE
