"""Sets by name: those of the package, and one's own by name or by import path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from torchrl_drigm._named import find_class

if TYPE_CHECKING:
    from torchrl_drigm.uncertainty.base import UncertaintySet

__all__ = ["find_set", "make_set", "named_sets"]

_SETS: dict[str, type[UncertaintySet]] = {}
_LISTENERS: list[Callable[[type[UncertaintySet]], None]] = []


def named_sets() -> dict[str, type[UncertaintySet]]:
    """The sets that have a name, by name: the package's, and those defined by others since.

    Examples:
        >>> from torchrl_drigm.uncertainty import named_sets
        >>> [name for name in ("contamination", "none", "tv") if name in named_sets()]
        ['contamination', 'none', 'tv']
    """
    return dict(_SETS)


def add_named(cls: type[UncertaintySet]) -> None:
    """Take a class in under its name, and tell those who listen.

    Raises:
        ValueError: if another class has the name. (The same class of the same file is no other: a
            script that is imported beside being run, a cell of a notebook that is run again.)
    """
    known = _SETS.get(cls.name)
    if known is not None and _origin(known) != _origin(cls):
        raise ValueError(
            f"{cls.__qualname__} of {_origin(cls)[0]} is called name={cls.name!r}, and so is "
            f"{known.__qualname__} of {_origin(known)[0]}. Give it a name of its own."
        )
    _SETS[cls.name] = cls
    for tell in _LISTENERS:
        tell(cls)


def for_every_named_set(call: Callable[[type[UncertaintySet]], None]) -> None:
    """Call a function with each named set, those to come included."""
    for cls in _SETS.values():
        call(cls)
    _LISTENERS.append(call)


def find_set(
    name: str, *, may_import: bool = True, field: str = "uncertainty"
) -> type[UncertaintySet]:
    """The class of a set by its name, or by the path that it is imported from.

    Args:
        name (str): a name, ``"tv"``, or a path, ``"my_module.ChiSquared"``.
        may_import (bool): whether the module of a path may be imported, which executes it. Where
            the name comes out of a file that others may have written, pass ``False``: the module
            must then have been imported before. Defaults to ``True``.
        field (str): what errors call the name. Defaults to ``"uncertainty"``.

    Raises:
        ValueError: for a name that nobody has, a module that is not found or may not be imported,
            and a path to something else than a set.

    Examples:
        >>> from torchrl_drigm.uncertainty import find_set
        >>> find_set("tv").__name__
        'TotalVariation'
        >>> find_set("torchrl_drigm.uncertainty.TotalVariation") is find_set("tv")
        True
    """
    from torchrl_drigm.uncertainty.base import UncertaintySet

    return find_class(field, name, _SETS, UncertaintySet, may_import)


def make_set(name: str, *, may_import: bool = True, **fields) -> UncertaintySet:
    """A set from its name and the values of its fields, as a config has them.

    Args:
        name (str): as :func:`find_set` takes it.
        may_import (bool): as :func:`find_set` takes it.
        **fields: the hyper-parameters of the set.

    Raises:
        ValueError: for a name that is not found, a field that the set does not have, one that is
            missing, or a value that is not legal.

    Examples:
        >>> from torchrl_drigm.uncertainty import make_set
        >>> make_set("tv", rho=0.2, worst_value=-1.0)
        TotalVariation(rho=0.2, worst_value=-1.0)
    """
    return find_set(name, may_import=may_import).from_fields(**fields)


def _origin(cls: type) -> tuple[str, str]:
    """The file that a class is defined in, or its module where there is none, and its name."""
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) or cls.__module__, cls.__qualname__
