"""Sphinx configuration."""

from importlib.util import find_spec

import torchrl_drigm

project = "torchrl_drigm"
author = "torchrl_drigm contributors"
copyright = "2026, torchrl_drigm contributors"
release = version = torchrl_drigm.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "torchrl_drigm"

# Formulas without a network: MathJax as one file, glyphs included, in place of a CDN's.
mathjax = find_spec("sphinx-mathjax-offline")
if mathjax is None:
    raise ModuleNotFoundError(
        'The docs need sphinx-mathjax-offline: pip install -c constraints.txt -e ".[docs]"'
    )
mathjax_path = "tex-svg-full.js"
html_static_path = [f"{mathjax.submodule_search_locations[0]}/static/mathjax/{mathjax_path}"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
# Signatures without types: the docstrings give types and shapes in words.
autodoc_typehints = "none"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
