"""Uncertainty sets: what the adversary may do to the distribution of the next state.

A set is one object, in one file of this folder or in a file of your own. What it knows (its name,
its legal sizes, its backup, its exact worst case) is read by losses, by
:mod:`torchrl_drigm.tabular`, by configs and by plots. Every public module here is found by itself:
a new set is a new file.
"""

import importlib
import pkgutil

# First: a file of a set imports these from this package, also while it is being found.
from torchrl_drigm.uncertainty.base import UncertaintySet, check_radius, check_share
from torchrl_drigm.uncertainty.registry import find_set, make_set, named_sets

__all__ = [
    "UncertaintySet",
    "check_radius",
    "check_share",
    "find_set",
    "make_set",
    "named_sets",
]

for _found in pkgutil.iter_modules(__path__):
    if not _found.name.startswith("_"):
        _module = importlib.import_module(f"{__name__}.{_found.name}")
        _new = [name for name in _module.__all__ if name not in __all__]
        globals().update({name: getattr(_module, name) for name in _new})
        __all__ += _new
