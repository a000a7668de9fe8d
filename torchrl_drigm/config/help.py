"""What ``--help`` says: every field, its value, and what it means, as the YAML files tell it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from omegaconf import OmegaConf

from torchrl_drigm.config.compose import composing, config_path

__all__ = ["comments_of", "help_text"]

GROUPS = ("env", "agent", "mixer", "uncertainty", "preset")
COLUMN = 40  # where comments stand

_FOOTER = """
several values of a field, a run for each:        -m seed=0,1,2 mixer=vdn,qmix
a folder of the run; a stopped one goes on there: hydra.run.dir=DIR
a folder of configs of your own, and one of them: --config-dir=DIR --config-name=NAME
the composed config alone; Hydra's own help:      --cfg job; --hydra-help"""
# which the command train alone understands, and not for battles
_AT_ONCE = """
several runs at once, in one process:             runs=16, or 'optim.lr=[1e-3,3e-3]'"""


def help_text(
    command: str, config: str, overrides: Sequence[str] = (), search: str | None = None
) -> str:
    """What a command line answers to ``--help``.

    Args:
        command (str): what is typed before overrides.
        config (str): name of the config.
        overrides (sequence of str): which change what is shown.
        search (str, optional): folder of configs of one's own.

    Raises:
        hydra.errors.HydraException: for what does not compose.

    Examples:
        >>> text = help_text("python -m torchrl_drigm train building", "building")
        >>> next(line for line in text.splitlines() if line.startswith("device"))
        'device: cpu                             # cpu, cuda'
    """
    found = [] if search is None else [f"hydra.searchpath=[file://{search}]"]
    with composing(config, [*found, *overrides]) as words:
        cfg = compose(config, words, return_hydra_config=True)
    choices = cfg.hydra.runtime.choices
    fields = OmegaConf.masked_copy(cfg, [name for name in cfg if name != "hydra"])
    folders = [*([] if search is None else [Path(search)]), config_path()]
    told = _read(folders, "fields/learning", "") | _read(folders, config, "")
    for group in GROUPS[:-1]:
        told |= _read(folders, f"{group}/{choices[group]}", f"{group}.", about=group)
    lines = [f"usage: {command} [FIELD=VALUE ...] [-m]", "", "choices:"]
    for group in GROUPS:
        names = {file.stem for folder in folders for file in (folder / group).glob("*.yaml")}
        lines.append(f"  {group}: {', '.join(sorted(names))} ({choices[group]})")
    lines += ["", "fields, with what they are set to by these choices:", ""]
    at_once = " train " in f"{command} " and "interval" not in cfg.evaluation
    footer = _FOOTER + _AT_ONCE if at_once else _FOOTER
    return "\n".join([*lines, *_lines(OmegaConf.to_container(fields), told), footer])


def comments_of(text: str, prefix: str = "") -> dict[str, str]:
    r"""The comment of each field in a YAML file, by the field's full name.

    A comment stands behind a field, and goes on below itself, or stands before several fields that
    have none of their own.

    Args:
        text (str): of the file.
        prefix (str): of the names.

    Examples:
        >>> comments_of("# both\na: 1\nb:\n  c: 2  # one\n        # more\n")
        {'a': 'both', 'b': 'both', 'b.c': 'one more'}
    """
    told: dict[str, str] = {}
    path: list[tuple[int, str]] = []  # indentation and key of the fields around this line
    above: list[str] = []  # lines of a comment that stands before fields
    column, name, goes_on = -1, "", False  # of the last comment behind a field; whether above does
    for line in text.splitlines():
        key = re.match(r"( *)(\w+):(?= |$)", line)
        if key is not None:
            path = [*(step for step in path if step[0] < len(key[1])), (len(key[1]), key[2])]
            name = prefix + ".".join(word for _, word in path)
            behind = re.search(r"\s# ?(.*)$", line)
            if behind is not None:
                told[name], above = behind[1], []
            elif above:
                told[name] = " ".join(above)
            column = -1 if behind is None else behind.start() + 1
        elif line.lstrip().startswith("#"):
            words = line.lstrip("# ")
            if line.index("#") == column:
                told[name] += f" {words}"
                continue
            above, column = [*(above if goes_on else []), words], -1
        else:
            above, column = above if line.strip() else [], -1
        goes_on = key is None and bool(above)
    return told


def _read(folders: Sequence[Path], name: str, prefix: str, about: str = "") -> dict[str, str]:
    """Comments of a file, and of those that it takes its fields from.

    The first line of the file is the comment of the group ``about``.
    """
    file = next(f for folder in folders if (f := folder / f"{name}.yaml").is_file())
    text = file.read_text(encoding="utf-8")
    told: dict[str, str] = {}
    for base in re.findall(r"^ *- (\w+)(?:@_here_)?(?= |$)", _defaults(text), re.MULTILINE):
        above = f"{name.rpartition('/')[0]}/{base}".lstrip("/")
        if any((folder / f"{above}.yaml").is_file() for folder in folders):
            told |= _read(folders, above, prefix)
    if about and text.startswith("#"):
        told[about] = text.splitlines()[0].lstrip("# ")
    return told | comments_of(text, prefix)


def _defaults(text: str) -> str:
    found = re.search(r"^defaults:(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return "" if found is None else found[1]


def _lines(fields: Mapping[str, Any], told: Mapping[str, str], name: str = "") -> Iterator[str]:
    for key, value in fields.items():
        full, field = f"{name}{key}", f"{'  ' * name.count('.')}{key}:"
        if isinstance(value, Mapping) and value:
            yield _line(field, told.get(full))
            yield from _lines(value, told, f"{full}.")
        else:
            yield _line(f"{field} {_flow(value)}", told.get(full))


def _line(field: str, comment: str | None) -> str:
    return field if not comment else f"{field:{COLUMN - 1}} # {comment}"


def _flow(value: Any) -> str:
    """A value as it is typed."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
