"""Every `pip install` that the pages print: what it names exists, and its pins go together."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from torchrl_drigm.config import packages

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
MADE = ".venv-charging/constraints.txt"  # by a line before it
# With options in front or nothing but a name behind it is no line to type.
MENTIONED = {"pip install"}


def lines():
    """(page, line) of blocks of shell lines, and of what is in backticks in the text."""
    for page in PAGES:
        text = page.read_text()
        for block in re.findall(r"^ *```bash\n(.*?)```", text, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                if "pip install" in line:
                    yield page.name, line.strip()
        for line in re.findall(r"`(pip install[^`]*)`", re.sub("```.*?```", "", text, flags=re.S)):
            if line not in MENTIONED:
                yield page.name, line


LINES = sorted(set(lines()))


def pins(text):
    """What a constraints file pins, name by name."""
    found = [line.partition("#")[0].strip() for line in text.splitlines()]
    requirements = map(Requirement, filter(None, found))
    return {canonicalize_name(one.name): one.specifier for one in requirements}


def asked_for(extras):
    """Requirements of the package with these extras, `all` taken apart."""
    waiting = [*PROJECT["dependencies"], *(r for extra in extras for r in EXTRAS[extra])]
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name == PROJECT["name"]:
            waiting += [r for extra in requirement.extras for r in EXTRAS[extra]]
        else:
            yield requirement


def constraints_of(file):
    if file != MADE:
        return (ROOT / file).read_text()
    page = (ROOT / "docs" / "charging.md").read_text()
    (made,) = re.findall(rf"^(grep .*) > {re.escape(MADE)}$", page, re.MULTILINE)
    return subprocess.run(
        ["bash", "-c", made], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def parse(line):
    """Options and requirements of a line, as a shell hands them to pip."""
    words = shlex.split(line, comments=True)
    assert words[:2] == ["pip", "install"], "`pip` of the environment that is active"
    options, requirements, words = {}, [], iter(words[2:])
    for word in words:
        if word in ("-c", "-e"):
            options[word] = next(words)
        elif word.startswith("-"):
            options[word] = True
        else:
            requirements.append(word)
    return options, requirements


def test_there_are_lines():
    assert {page for page, _ in LINES} >= {"README.md", "quickstart.md", "charging.md"}
    assert "smac" not in [name for _, line in LINES for name in parse(line)[1]], "another project"


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_line_works_as_printed(page, line):
    options, requirements = parse(line)
    assert set(options) <= {"-c", "-e", "--no-deps"}
    # a shell would take brackets for a pattern, and > for a file
    unquoted = re.sub("\"[^\"]*\"|'[^']*'", "", line.partition(" #")[0])
    assert not re.search(r"[\[\]<>*]", unquoted)
    ours = options.get("-e")
    if ours is not None:
        extras = re.fullmatch(r"\.\[([\w,]+)\]", ours)[1].split(",")
        assert set(extras) <= set(EXTRAS)
        assert "-c" in options, "without, pip takes the newest PyTorch, and gigabytes with it"
    for requirement in requirements:
        if requirement.startswith("git+https://"):
            assert options == {"--no-deps": True}
        else:
            name = Requirement(requirement).name
            assert name not in (PROJECT["name"], PROJECT["name"].replace("_", "-")), (
                "it is in no registry"
            )
    if "-c" in options:
        pinned = pins(constraints_of(options["-c"]))
        wanted = [*(asked_for(extras) if ours else ()), *map(Requirement, requirements)]
        if ours:
            assert "torch" in pinned
        for one in wanted:
            pin = pinned.get(canonicalize_name(one.name))
            version = None if pin is None else next(iter(pin)).version
            assert version is None or one.specifier.contains(version), f"{one} against {version}"


def test_a_line_that_contradicts_the_pins_is_found():
    """That of charging stations with the constraints of all others."""
    pinned = pins((ROOT / "constraints.txt").read_text())
    (setuptools,) = (one for one in asked_for(["evcharging"]) if one.name == "setuptools")
    assert not setuptools.specifier.contains(next(iter(pinned["setuptools"])).version)


def test_messages_of_the_source_name_extras():
    source = "\n".join(file.read_text() for file in (ROOT / "torchrl_drigm").rglob("*.py"))
    named = set(re.findall(r"torchrl_drigm\[(\w+)\]", source))
    assert {"sustaingym", "evcharging", "smac", "smax", "onnx"} <= named <= set(EXTRAS)
    extras = {extra for *_, extra in packages._NEEDED.values()} - set(packages._OTHERS)
    assert extras and extras <= set(EXTRAS)
