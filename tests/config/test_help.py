"""``--help``: every field, its value, and what it means, from the comments of the YAML files."""

from dataclasses import fields

import pytest
from omegaconf import OmegaConf

from tests.cpu_time import ROOT, run_python
from torchrl_drigm.config import compose_config, config_path, schema
from torchrl_drigm.config.help import comments_of, help_text


def choices(group):
    return [file.stem for file in sorted((config_path() / group).glob("*.yaml"))]


CHOICES = [
    f"{group}={name}"
    for group in ("env", "agent", "mixer", "uncertainty")
    for name in choices(group)
]


def told(config="building", *overrides):
    """Lines of the fields: what stands before a comment, and the comment."""
    text = help_text("python x", config, overrides).split("by these choices:\n\n")[1]
    lines = text.partition("\n\nseveral values")[0].splitlines()
    return {line.partition("#")[0].rstrip(): line.partition("# ")[2] for line in lines}


@pytest.mark.parametrize(
    "override",
    [
        f"{group}={name}"
        for group in ("env", "agent", "mixer", "uncertainty")
        for name in choices(group)
    ]
    + ["preset=paper"],
)
def test_every_field_of_every_choice_says_what_it_means(override):
    silent = [field for field, comment in told("torchrl", override).items() if not comment]
    assert not silent


@pytest.mark.parametrize("config", ["building", "battles", "torchrl"])
def test_every_field_of_a_config_is_there_with_its_value(config):
    shown = told(config)
    assert all(shown.values())
    text = "\n".join(shown)
    assert OmegaConf.create(text) == compose_config(config=config), "it is the config itself"


def test_overrides_change_the_values_and_choices_the_meanings():
    assert told()["  rho: 0.3"] == "the paper tries 0.1 to 0.5"
    assert told("building", "uncertainty=kl", "uncertainty.rho=0.5")["  rho: 0.5"].startswith(
        "radius"
    )
    # of the file that a file takes its fields from
    assert told("torchrl", "env=building_failures")["  building: OfficeSmall"] == "six zones"


def test_what_every_preset_sets_has_a_meaning():
    told = comments_of((config_path() / "fields" / "learning.yaml").read_text(encoding="utf-8"))
    parts = {
        "optim": schema.OptimConfig,
        "replay": schema.ReplayConfig,
        "exploration": schema.ExplorationConfig,
        "target": schema.TargetConfig,
        "collector": schema.CollectorConfig,
    }
    names = {f"{part}.{field.name}" for part, cls in parts.items() for field in fields(cls)}
    assert set(told) == names | set(parts)


def test_a_config_and_a_choice_of_ones_own(tmp_path):
    (tmp_path / "mixer").mkdir()
    (tmp_path / "mixer" / "big.yaml").write_text(
        "# Large.\ndefaults: [qmix]\nembed_dim: 99  # units\n"
    )
    (tmp_path / "mine.yaml").write_text("defaults:\n  - building\n  - _self_\nseed: 4  # mine\n")
    text = help_text("python x", "mine", ["mixer=big"], str(tmp_path))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "mixer: # Large." in lines
    assert "embed_dim: 99 # units" in lines and "seed: 4 # mine" in lines
    assert "mixer: big, own, qmix, qtran, vdn (big)" in lines
    assert "threads: 1 # of PyTorch; one is fastest for networks of this size" in lines


@pytest.mark.parametrize(
    "words", [["-m", "torchrl_drigm", "train", "battles"], [ROOT / "examples" / "smac_rqmix.py"]]
)
def test_it_is_printed_without_pytorch(words, tmp_path):
    done = run_python(*words, "mixer=vdn", "--help", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("usage: python ") and "name: vdn" in done.out
    assert done.seconds < 2 and not list(tmp_path.iterdir())


def test_what_does_not_compose_is_told(tmp_path):
    done = run_python("-m", "torchrl_drigm", "train", "building", "sede=1", "--help", cwd=tmp_path)
    assert done.code == 1 and "Could not override 'sede'" in done.err


def test_several_runs_at_once_are_told_of_where_there_are_such():
    command = "python -m torchrl_drigm train building"
    assert "in one process:             runs=16" in help_text(command, "building")
    assert "runs=16" not in help_text("python examples/sustaingym_rqmix.py", "building")
    assert "runs=16" not in help_text("python -m torchrl_drigm train battles", "battles")
