"""Packages that import a module of theirs when one of its names is first used (PEP 562)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["attach"]


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose names come from its modules.

    Which module has which name is written once, where type checkers read it: as imports in the
    ``if TYPE_CHECKING:`` of the package's file, as in a stub.

    Args:
        package (str): the package's ``__name__``.
        file (str): its ``__file__``.

    Examples:
        >>> import torchrl_drigm.evaluation
        >>> "evaluate" in dir(torchrl_drigm.evaluation)
        True
    """
    homes = _homes(ast.parse(Path(file).read_text(encoding="utf-8")))
    module = sys.modules[package]
    module.__class__ = _Package

    def __getattr__(name: str) -> Any:
        if name in homes:
            found = getattr(import_module(homes[name]), name)
        elif not name.startswith("__") and find_spec(f"{package}.{name}") is not None:
            found = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        vars(module)[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*vars(module), *homes})

    return __getattr__, __dir__


class _Package(ModuleType):
    """A package in which no module hides what the package itself has by that name.

    Whoever imports ``evaluation.evaluate``, the module, makes Python write it into the package,
    where ``evaluate`` is the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and name in vars(self)["__all__"]:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        """By name, as other modules go to the processes of a sweep."""
        return import_module, (self.__name__,)


def _homes(tree: ast.Module) -> dict[str, str]:
    """The module of each name that a block for type checkers imports."""
    blocks = [
        node.body
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        name.name: node.module
        for block in blocks
        for node in block
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
