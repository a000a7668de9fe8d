"""The pages build without a warning, and are read without a network."""

import importlib.util
from html.parser import HTMLParser
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("sphinx", "myst_parser", "furo", "sphinx-mathjax-offline", "sustaingym")
CODE = "sphinx.ext.viewcode"
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


class Loaded(HTMLParser):
    """What a browser loads with a page, and whether there are formulas."""

    def __init__(self, page):
        super().__init__()
        self.addresses, self.formulas = [], False
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(attrs.get("src"))
        elif tag == "link" and attrs.get("rel") in ("stylesheet", "icon", "preload"):
            self.addresses.append(attrs.get("href"))
        self.formulas |= "math" in (attrs.get("class") or "").split()


def test_what_loads_from_elsewhere_is_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<script src="https://cdn/x.js"></script><span class="math"></span>')
    assert Loaded(page).addresses == ["https://cdn/x.js"] and Loaded(page).formulas


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f'needs {MISSING}: pip install "torchrl_drigm[docs]"')
def test_the_pages_build_and_load_nothing_from_elsewhere(python, tmp_path):
    # What warns of nothing and takes long: pages of source code, as many as all others, and every
    # name of the API in every page's table of contents.
    kept = [name for name in run_path(ROOT / "docs" / "conf.py")["extensions"] if name != CODE]
    options = ("-W", "--keep-going", "-q", "-D", f"extensions={','.join(kept)}")
    options += ("-D", "toc_object_entries=0")
    done = python("-m", "sphinx", *options, "docs", str(tmp_path), cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    with_formulas = set()
    for page in tmp_path.rglob("*.html"):
        loaded = Loaded(page)
        files = [address.partition("?")[0] for address in filter(None, loaded.addresses)]
        for file in files:
            assert "//" not in file and (page.parent / file).exists(), f"{page.name} loads {file}"
        if loaded.formulas:
            with_formulas.add(page.stem)
            assert any(file.endswith("tex-svg-full.js") for file in files), page.name
    assert {"theory", "which_set", "robust_qmixer", "api"} <= with_formulas
    assert "MathJax" in (tmp_path / "_static" / "tex-svg-full.js").read_text()
