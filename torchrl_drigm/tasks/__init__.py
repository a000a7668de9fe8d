"""Tasks: what the trainers and the evaluation know about each simulator.

Every public module of this folder is found by itself, so that a task is one file.
"""

import importlib
import pkgutil

__all__ = []
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    if not _module.name.rpartition(".")[-1].startswith("_"):
        _found = importlib.import_module(_module.name)
        globals().update({_name: getattr(_found, _name) for _name in _found.__all__})
        __all__ += _found.__all__
