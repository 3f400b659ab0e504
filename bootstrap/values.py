"""``@dataclass`` as the standard library has it, for a small part of its price at a start.

The library writes the source of each class's methods and compiles it, up to a millisecond a class before Python 3.13,
and brings ``inspect`` along: together a third of what came before a command. Here all classes share their methods,
which look at the class's fields.

To the type checker these are the library's own functions, and whoever else asks finds dataclasses, too:
``dataclasses.replace``, ``fields`` and ``asdict`` work on them. What nobody here uses is left out: fields of a base
class, ``ClassVar``, ``InitVar``, ``kw_only``, and methods of the class's own in place of these.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

_MISSING: Any = object()
_put = object.__setattr__


class Field:
    """One field of a class, as :func:`fields` gives it."""

    __slots__ = ("compare", "default", "default_factory", "init", "metadata", "name", "repr")

    def __init__(
        self,
        default: Any = _MISSING,
        default_factory: Callable[[], Any] = _MISSING,
        init: bool = True,
        repr: bool = True,
        compare: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = ""
        self.default, self.default_factory = default, default_factory
        self.init, self.repr, self.compare = init, repr, compare
        self.metadata = metadata or {}


def _field(**rest: Any) -> Any:
    return Field(**rest)


def _dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, order: bool = False) -> Any:
    if cls is None:
        return lambda cls: _made(cls, frozen, slots, order)
    return _made(cls, frozen, slots, order)


def _made(cls: type, frozen: bool, slots: bool, order: bool) -> type:
    declared: list[Field] = []
    for name in cls.__annotations__:
        default = cls.__dict__.get(name, _MISSING)
        one = default if isinstance(default, Field) else Field(default)
        if type(one.default).__hash__ is None:
            raise ValueError(f"{cls.__name__}.{name}: all instances would share this default: give a default_factory")
        one.name = name
        declared.append(one)
    names = tuple(one.name for one in declared)
    compared = _values_of([one.name for one in declared if one.compare])
    methods: dict[str, Any] = {
        "__value_fields__": tuple(declared),
        "__dataclass_fields__": _LIBRARY_FIELDS,
        "__match_args__": tuple(one.name for one in declared if one.init),
        "__init__": _init(cls, declared),
        "__repr__": _repr,
        "__eq__": _comparison(operator.eq, compared),
        "__hash__": None,
    }
    if frozen:
        methods["__hash__"] = lambda self: hash(compared(self))
        methods["__setattr__"] = methods["__delattr__"] = _refuse
        methods["__reduce__"] = _reduce  # a copy is made like the original, since nothing can be set later
    if order:
        methods |= {f"__{sign}__": _comparison(getattr(operator, sign), compared) for sign in ("lt", "le", "gt", "ge")}
    body = {name: value for name, value in cls.__dict__.items() if name not in (*names, "__dict__", "__weakref__")}
    if slots:
        methods["__slots__"] = names
    else:
        body |= {one.name: one.default for one in declared if one.default is not _MISSING}
    made = type(cls)(cls.__name__, cls.__bases__, {**body, **methods})
    made.__qualname__ = cls.__qualname__
    return made


def _init(cls: type, declared: Sequence[Field]) -> Callable[..., None]:
    names = tuple(one.name for one in declared)
    count = len(names)
    needed = max((place for place, one in enumerate(declared, 1) if not one.init or one.default is _MISSING), default=0)
    defaults = tuple(one.default for one in declared)
    plain = all(one.init for one in declared)
    finish = "__post_init__" in cls.__dict__

    def __init__(self: Any, *given: Any, **named: Any) -> None:
        if not named and plain and needed <= len(given) <= count:
            given += defaults[len(given) :]
        else:
            given = _bound(cls.__name__, declared, given, named)
        for name, value in zip(names, given):  # noqa: B905  `strict` costs more than the loop
            if value is not _MISSING:
                _put(self, name, value)
        if finish:
            self.__post_init__()

    return __init__


def _bound(what: str, declared: Sequence[Field], given: Sequence[Any], named: dict[str, Any]) -> tuple[Any, ...]:
    """The value of each field. Raises :class:`TypeError` as any call does whose arguments do not fit."""
    values: list[Any] = []
    left = list(reversed(given))
    for one in declared:
        if one.init and left:
            values.append(left.pop())
        elif one.init and one.name in named:
            values.append(named.pop(one.name))
        elif one.default_factory is not _MISSING:
            values.append(one.default_factory())
        elif one.default is not _MISSING or not one.init:
            values.append(one.default)
        else:
            raise TypeError(f"{what}() misses the argument {one.name!r}")
    if left:
        raise TypeError(f"{what}() takes {len(given) - len(left)} positional arguments, {len(given)} were given")
    for name in named:
        raise TypeError(f"{what}() has no argument {name!r}, or was given it twice")
    return tuple(values)


def _values_of(names: Sequence[str]) -> Callable[[Any], Any]:
    return operator.attrgetter(*names) if names else lambda _: ()


def _comparison(operation: Callable[[Any, Any], Any], compared: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        return operation(compared(self), compared(other)) if other.__class__ is self.__class__ else NotImplemented

    return compare


def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in self.__value_fields__ if one.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse(self: Any, name: str, value: object = None) -> None:
    raise AttributeError(f"{self.__class__.__qualname__} is frozen: {name!r} stays as it is")


def _reduce(self: Any) -> tuple[Any, ...]:
    return self.__class__, tuple(getattr(self, one.name) for one in self.__value_fields__)


class _LibraryFields:
    """``__dataclass_fields__``, made for who asks: the standard library's functions, tests, debuggers."""

    def __get__(self, _: object, cls: Any) -> Mapping[str, Any]:
        import dataclasses

        made: Any = dataclasses.make_dataclass(cls.__name__, [one.name for one in cls.__value_fields__])
        found: dict[str, Any] = made.__dataclass_fields__
        for one in cls.__value_fields__:
            found[one.name].init, found[one.name].metadata = one.init, one.metadata
        cls.__dataclass_fields__ = found
        return found


_LIBRARY_FIELDS = _LibraryFields()


def _fields(of: Any) -> tuple[Field, ...]:
    found: tuple[Field, ...] = of.__value_fields__
    return found


def _replace(value: Any, /, **changes: Any) -> Any:
    kept = {
        one.name: getattr(value, one.name) for one in value.__value_fields__ if one.init and one.name not in changes
    }
    return value.__class__(**kept, **changes)


def _asdict(value: Any) -> dict[str, Any]:
    return {one.name: _plain(getattr(value, one.name)) for one in value.__value_fields__}


def _plain(value: Any) -> Any:
    if hasattr(value, "__value_fields__"):
        return _asdict(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_plain, value))
    return value


def _astuple(value: Any) -> tuple[Any, ...]:
    return tuple(getattr(value, one.name) for one in value.__value_fields__)


if TYPE_CHECKING:
    from dataclasses import asdict as asdict
    from dataclasses import astuple as astuple
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import replace as replace
else:
    asdict, astuple, dataclass, field, fields, replace = _asdict, _astuple, _dataclass, _field, _fields, _replace
