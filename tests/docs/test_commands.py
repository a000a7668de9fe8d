"""Commands that the pages print: each `train` and `choose` composes, each script is there."""

import re
import shlex
from pathlib import Path

import pytest

from torchrl_drigm.commands._stacks import members_of, stack_overrides
from torchrl_drigm.commands._sweeps import read_sweep
from torchrl_drigm.config import check_config, compose_config

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands():
    """(page, words) of every command in a block of shell lines, without its comment."""
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                yield page.name, shlex.split(line, comments=True)


TRAIN = [
    pytest.param(words[4], words[5:], id=f"{page}-{' '.join(words[4:])}")
    for page, words in commands()
    if words[:4] == ["python", "-m", "torchrl_drigm", "train"]
    if not any(word.startswith("--config-dir") for word in words)  # files of the recipes
]


@pytest.mark.parametrize(("config", "words"), TRAIN)
def test_overrides_of_a_page_compose(config, words):
    fields = [word for word in words if "=" in word and not word.startswith("hydra")]
    if "-m" in words:  # the first of each list of a sweep; those in brackets are a stack's
        fields = [word if "[" in word else word.partition(",")[0] for word in fields]
    cfg = compose_config(*stack_overrides(fields), config=config)
    for member in members_of(cfg).values() if "stack" in cfg else [cfg]:
        check_config(member)


CHOOSE = [
    pytest.param(words[4:], id=f"{page}-{' '.join(words[4:])}")
    for page, words in commands()
    if words[:4] == ["python", "-m", "torchrl_drigm", "choose"]
]


@pytest.mark.parametrize("words", CHOOSE)
def test_a_sweep_of_a_page_composes(words):
    config, *fields = [word for word in words if not word.startswith("-")]
    fields = [field for field in fields if "=" in field]
    sweep = read_sweep(config, fields)
    assert len(sweep.runs(ROOT / "nowhere")) == len(sweep.values) * len(sweep.seeds)


def test_scripts_of_the_pages_are_there():
    scripts = {word for _, words in commands() for word in words[1:2] if word.endswith(".py")}
    folders = (ROOT, ROOT / "docs" / "examples")  # of the latter a page shows what is in them
    missing = [s for s in scripts if not any((folder / s).exists() for folder in folders)]
    assert len(scripts) > 5 and not missing


def test_no_page_uses_the_deprecated_command():
    using = [page for page, words in commands() if "torchrl_drigm.evaluation" in words]
    assert not using
