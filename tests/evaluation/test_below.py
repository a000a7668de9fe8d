"""A team below a policy that needs no learning is told so, with what to try."""

import pandas as pd
import pytest
from omegaconf import OmegaConf

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation.below import below_reference, without_update
from torchrl_drigm.evaluation.report import RESULTS, report_returns, stack_table


def table(**returns):
    """Two shifts of two episodes, whose means are the numbers given."""
    rows = [
        {"suite": "s", "policy": policy.replace("_", " "), "shift": shift, "episode": episode}
        | {"return": mean + step + more}
        for policy, mean in returns.items()
        for shift, step in (("a", -0.5), ("b", 0.5))
        for episode, more in enumerate((-0.25, 0.25))
    ]
    return pd.DataFrame(rows)


def run_in(folder, *overrides):
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(compose_config(*overrides), folder / "config.yaml")
    return folder


def test_the_line_names_both_numbers_and_fields_of_the_run(tmp_path):
    results = table(TV_QMIX=-13.4, random=-3.0, do_nothing=-2.0, one_step_oracle=0.9)
    assert below_reference(results, "TV QMIX", run_in(tmp_path)) == (
        "TV QMIX is below 'do nothing' (raw return -13.4 and -2): it has learned nothing, or "
        "something wrong. Try mixer=vdn, optim.lr below 0.008, env.reward_scale other than 0.1, or "
        "collector.total_frames above 80000."
    )
    told = below_reference(results, "TV QMIX", run_in(tmp_path, "mixer=vdn", "optim.lr=1e-3"))
    assert told.partition("wrong. ")[2] == (
        "Try optim.lr below 0.001, env.reward_scale other than 0.1, or "
        "collector.total_frames above 80000."
    )


@pytest.mark.parametrize(
    "others",
    [
        {"random": -3.0, "do_nothing": -2.5},
        {"proportional_control": 0.8, "one_step_oracle": 0.9},  # which know something
        {},
    ],
    ids=["above both", "others were played", "none was played"],
)
def test_there_is_nothing_to_say(tmp_path, others):
    assert below_reference(table(TV_QMIX=-2.0, **others), "TV QMIX", run_in(tmp_path)) is None


def test_below_one_of_them_is_enough(tmp_path):
    results = table(TV_QMIX=-2.75, random=-3.0, do_nothing=-2.5)
    assert "below 'do nothing'" in below_reference(results, "TV QMIX", run_in(tmp_path))


def test_it_stands_below_the_table_of_a_run(tmp_path, capsys):
    run_in(tmp_path, "uncertainty=none")
    report_returns(table(nominal_QMIX=-9.0, random=-3.0), tmp_path, "nominal QMIX")
    assert "\n\nnominal QMIX is below 'random'" in capsys.readouterr().out
    report_returns(table(nominal_QMIX=-1.0, random=-3.0), tmp_path, "nominal QMIX")
    assert "below" not in capsys.readouterr().out


def test_of_runs_at_once_each_is_named_that_lacks_controls(tmp_path, capsys):
    members = {}
    for seed in range(12):
        folder = run_in(tmp_path / f"seed_{seed}", "uncertainty=tv", f"seed={seed}")
        table(TV_QMIX=-1.0).to_csv(folder / RESULTS, index=False)
        members[folder] = OmegaConf.load(folder / "config.yaml")
    stack_table(tmp_path, members, list(members))
    shown = capsys.readouterr().out
    commands = [line for line in shown.splitlines() if line.endswith(" --controls")]
    assert commands == [
        f"  python -m torchrl_drigm evaluate {tmp_path}/seed_{seed} --controls"
        for seed in range(10)
    ]
    assert shown.endswith("\n  and so for 2 more runs\n")


def test_of_runs_at_once_those_are_named_that_it_is_true_of(tmp_path, capsys):
    members = {}
    for seed, mean in enumerate((-9.0, -1.0)):
        folder = run_in(tmp_path / f"seed_{seed}", "uncertainty=none", f"seed={seed}")
        table(nominal_QMIX=mean, random=-3.0).to_csv(folder / RESULTS, index=False)
        members[folder] = OmegaConf.load(folder / "config.yaml")
    stack_table(tmp_path, members, list(members))
    shown = capsys.readouterr().out
    assert "\nseed_0: nominal QMIX is below 'random'" in shown
    assert "seed_1: " not in shown


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (
            ["collector.total_frames=511"],
            "total_frames=511 is below collector.init_random_frames=512",
        ),
        (["optim.updates_per_batch=0"], "No update was made, since optim.updates_per_batch=0: "),
        (["collector.total_frames=512"], None),  # its last batch is learned from
    ],
)
def test_a_team_without_an_update_is_none_that_has_learned(tmp_path, capsys, overrides, why):
    run_in(tmp_path, "uncertainty=none", *overrides)
    report_returns(table(nominal_QMIX=-9.0, random=-3.0), tmp_path, "nominal QMIX")
    shown = capsys.readouterr().out
    assert ("No update was made" in shown) == (why is not None)
    assert ("below 'random'" in shown) == (why is None)
    assert without_update(tmp_path / "nowhere") is None
    assert why is None or why in without_update(tmp_path)
