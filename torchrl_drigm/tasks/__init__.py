"""Tasks: what the trainers and the evaluation know about each simulator.

Every public module of this folder is found by itself, so that a task is one file. They are imported
when a name of theirs is first asked for.
"""

import importlib
import pkgutil
from typing import Any


def load() -> dict[str, Any]:
    """Import every module of this folder; its names, as of this package."""
    if "__all__" not in globals():
        found: dict[str, Any] = {}
        for module in pkgutil.iter_modules(__path__, f"{__name__}."):
            if not module.name.rpartition(".")[-1].startswith("_"):
                one = importlib.import_module(module.name)
                found |= {name: getattr(one, name) for name in one.__all__}
        globals().update(found, __all__=list(found))
    return globals()


def __getattr__(name: str) -> Any:
    if name == "__all__" or not name.startswith("__"):
        names = load()
        if name in names:
            return names[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(load())
