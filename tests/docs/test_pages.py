"""What pages link to is there, what they import exists, and tables of settings are the configs'."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from torchrl_drigm.config import compose_config

ROOT = Path(__file__).parents[2]
READ_ON_GITHUB = ["README.md", "CHANGELOG.md", "findings/README.md"]
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]
SNIPPETS = [
    pytest.param(code, id=f"{page}-{i}")
    for page in PAGES
    for i, code in enumerate(
        re.findall(r"^```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    )
]


def anchors(page):
    """What GitHub makes of the headings of a page, and labels for Sphinx."""
    text = re.sub("```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


@pytest.mark.parametrize("page", READ_ON_GITHUB)
def test_links_of_what_sphinx_does_not_build(page):
    text = re.sub("```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        if not link.startswith("http"):
            file = (ROOT / page).parent / path if path else ROOT / page
            assert file.exists(), link
            assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("code", SNIPPETS)
def test_what_a_page_imports_of_the_package_is_there(code):
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module.partition(".")[0] == "torchrl_drigm":
            for alias in node.names:
                assert hasattr(importlib.import_module(node.module), alias.name), alias.name


def test_a_snippet_that_does_not_parse_is_found():
    assert len(SNIPPETS) > 20
    with pytest.raises(SyntaxError):
        ast.parse("from torchrl_drigm import")


@pytest.mark.parametrize("preset", ["paper", "released", "fast", "battles", "toy"])
def test_sizes_of_the_presets(preset):
    text = (ROOT / "docs" / "runs.md").read_text()
    head, row = re.search(r"^\| preset \|.*", text, re.M)[0], f"| `{preset}` |"
    sets = [cell.strip().removeprefix("ρ of ") for cell in head.split("|")[3:-1]]
    told = [
        float(cell) for cell in re.search(rf"^{re.escape(row)}.*", text, re.M)[0].split("|")[3:-1]
    ]
    config = {"battles": "battles", "toy": "torchrl"}.get(preset, "building")
    for name, rho in zip(sets, told, strict=True):
        cfg = compose_config(f"preset={preset}", f"uncertainty={name}", config=config)
        assert cfg.uncertainty.rho == rho


def test_every_preset_is_in_the_table():
    folder = ROOT / "torchrl_drigm" / "config" / "preset"
    told = re.findall(r"^\| `(\w+)` \| .* \| [\d.]+ \|$", (ROOT / "docs/runs.md").read_text(), re.M)
    assert set(told) == {file.stem for file in folder.glob("*.yaml")}
