"""Hyper-parameters of a set: the fields of its dataclass, with errors that name them."""

from __future__ import annotations

import dataclasses
from typing import Self


def in_order(cls: type) -> list[dataclasses.Field]:
    """All fields as the constructor takes them: those by keyword alone are last."""
    return sorted(dataclasses.fields(cls), key=lambda field: field.kw_only)


class Fields:
    """Mix into a class whose subclasses are frozen dataclasses."""

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        # the one that it inherits, or dataclass() would write another over it
        cls.__repr__ = cls.__repr__

    def __repr__(self) -> str:
        # what nobody asked for need not be read: keyword-only fields at their default
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in in_order(type(self))
            if field.repr and not (field.kw_only and getattr(self, field.name) == field.default)
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The names of the hyper-parameters."""
        return tuple(field.name for field in cls._fields())

    @classmethod
    def from_fields(cls, **fields) -> Self:
        """The set with these hyper-parameters.

        Raises:
            ValueError: for a field that the set does not have, or one that is missing.
        """
        cls._check_fields(fields)
        missing = [
            field.name
            for field in cls._fields()
            if field.default is field.default_factory is dataclasses.MISSING
            and field.name not in fields
        ]
        if missing:
            raise ValueError(
                f"{cls.__name__} needs {', '.join(missing)}, got {fields}. Its fields are "
                f"{list(cls.field_names())}."
            )
        return cls(**fields)

    def replace(self, **fields) -> Self:
        """The same set with other values of some hyper-parameters.

        Raises:
            ValueError: for a field that the set does not have, or a value that is not legal.

        Examples:
            >>> from torchrl_drigm.uncertainty import TotalVariation
            >>> TotalVariation(rho=0.2).replace(rho=0.3)
            TotalVariation(rho=0.3, worst_value=None)
        """
        self._check_fields(fields)
        return dataclasses.replace(self, **fields)

    @classmethod
    def _fields(cls) -> list[dataclasses.Field]:
        # a set may have another constructor, and then nothing that a config could give
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
        if "__dataclass_params__" not in vars(owner) or not owner.__dataclass_params__.init:
            return []
        return [field for field in in_order(cls) if field.init]

    @classmethod
    def _check_fields(cls, fields: dict) -> None:
        known = cls.field_names()
        unknown = [name for name in fields if name not in known]
        if unknown:
            name = f" ({cls.name!r})" if cls.name else ""
            has = f"its fields are {list(known)}" if known else "it has no fields"
            raise ValueError(
                f"{cls.__name__}{name} has no field {', '.join(map(repr, unknown))}: {has}. "
                "Correct the name or leave it out."
            )
