"""Objects that can be written down as JSON and made again, and the closed tables of names that a file may use.

A `Configurable` keeps each constructor argument in an attribute of the same name; its configuration, its copy and its
`repr` follow from that.  A `Registry` turns what Keras users write for an object (a name, a class, an object, a
configuration) into the object; a name that is not in its table is an error, never an import.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, Self, TypeVar

from netchu.errors import UsageError, unknown_name

T = TypeVar("T")
_MISSING = object()


class _Thread(threading.local):
    works = False


thread = _Thread()
"""Whether this thread is inside a step or a layer's call: what it sets then, it sets itself as it works, and that makes
no traced step stale."""


@contextmanager
def working() -> Iterator[None]:
    """While it is open, this thread is inside a step."""
    before = thread.works
    thread.works = True
    try:
        yield
    finally:
        thread.works = before


class Configurable:
    """Base of layers, optimizers, losses, metrics and initializers: `get_config`, `from_config`, `repr`.

    Attributes:
        changes: how often one of its public attributes was set anew: a step traced before knows the old value.
        set_as_it_works: attributes that it sets itself after it was made, which no step depends on.
    """

    changes = 0
    set_as_it_works = frozenset({"built", "changes", "name", "weights", "slots", "shared_slots"})

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and name not in self.set_as_it_works and not thread.works:
            old = self.__dict__.get(name, getattr(type(self), name, _MISSING))  # a property says itself what it changes
            if old is not _MISSING and not isinstance(old, property) and not _is_same(old, value):
                self.changes += 1
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values.

        The default reads, for each parameter of `__init__`, the attribute of the same name (base classes included when
        `**kwargs` is passed on).  Override it when a parameter is kept elsewhere.
        """
        config: dict[str, Any] = {}
        for cls in type(self).__mro__:
            if "__init__" not in vars(cls) or cls is object:
                continue
            parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
            for p in parameters:
                if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in config:
                    config[p.name] = to_json(getattr(self, p.name))
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
        return config

    def refuse_unknown(self, arguments: dict[str, Any]) -> None:
        """Raise UsageError for keyword arguments that no constructor of the class takes; lists those that it does."""
        if arguments:
            known = {
                p.name
                for cls in type(self).__mro__[:-1]
                if "__init__" in vars(cls)
                for p in list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
                if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            }
            raise unknown_name("argument", next(iter(arguments)), sorted(known), where=type(self).__name__)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An object with these constructor arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        """The call that makes the object, without what is at its default."""
        defaults = {
            p.name: to_json(p.default)
            for cls in reversed(type(self).__mro__[:-1])  # so that a subclass has the last word
            if "__init__" in vars(cls)
            for p in inspect.signature(vars(cls)["__init__"]).parameters.values()
        }
        try:
            config = self.get_config()
        except AttributeError:  # a user's class that keeps an argument under another name
            return f"{type(self).__name__}(...)"
        given_name = _plain(str(config.get("name"))).rstrip("0123456789")  # dense_1 is dense, numbered by its model
        if given_name == _plain(type(self).__name__):
            defaults["name"] = config.get("name")
        shown = [f"{key}={_short(value)}" for key, value in config.items() if not _same(value, defaults.get(key, ...))]
        return f"{type(self).__name__}({', '.join(shown)})"


def _is_same(old: Any, new: Any) -> bool:
    """Whether an attribute that is set keeps its value; only plain values are compared."""
    return old is new or (type(old) is type(new) and isinstance(new, (bool, int, float, str)) and old == new)


def _same(value: Any, default: Any) -> bool:
    """Whether a configuration says what the default says, which may be a name: GlorotUniform() and "glorot_uniform"."""
    if isinstance(value, dict) and isinstance(default, str) and "class_name" in value:
        return _plain(value["class_name"]) == _plain(default) and all(v is None for v in value["config"].values())
    return bool(value == default)


def _short(value: Any) -> str:
    return f"{value['class_name']}(...)" if isinstance(value, dict) and "class_name" in value else repr(value)


def to_json(value: Any) -> Any:
    """`value` in JSON's types: objects as {"class_name", "config"}, functions by name, tuples as lists."""
    if isinstance(value, Configurable):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if inspect.isfunction(value):
        return value.__name__
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


def snake_case(name: str) -> str:
    """`BatchNormalization` -> `batch_normalization`, `PReLU` -> `p_re_lu`: names of objects, as Keras makes them."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", name).lower()


def _plain(name: str) -> str:
    """`GlorotUniform`, `glorot_uniform` and `glorotuniform` are one name."""
    return name.replace("_", "").lower()


# What a constructor's annotation promises -> the types, and the largest size, that a configuration may have there.
_PLAIN_TYPES: dict[str, tuple[tuple[type, ...], float]] = {
    "bool": ((bool, int), 1),
    "float": ((int, float), 3.4028234663852886e38),  # float32's largest
    "int": ((int,), 2**63 - 1),
    "str": ((str,), 0),
}


@functools.cache
def _plain_arguments(cls: type) -> dict[str, str]:
    """The annotation of each constructor argument, base classes included, that is a plain type or that or None."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        if "__init__" in vars(base):
            found |= {p.name: str(p.annotation) for p in inspect.signature(vars(base)["__init__"]).parameters.values()}
    return {name: text for name, text in found.items() if text.removesuffix(" | None") in _PLAIN_TYPES}


def check_plain_arguments(cls: type, config: Mapping[str, Any]) -> None:
    """Raise UsageError for a text where the constructor asks for a number, or one too large for float32 or int64.

    Python itself does not look at annotations; what comes from a file is not believed.
    """
    for name, annotation in _plain_arguments(cls).items():
        kind = annotation.removesuffix(" | None")
        types, largest = _PLAIN_TYPES[kind]
        value: Any = config.get(name)
        if name not in config or (value is None and annotation != kind):
            continue
        too_large = isinstance(value, (int, float)) and not -largest <= value <= largest
        if too_large or not isinstance(value, types):
            raise UsageError(cls.__name__, expected=f"{name} as {annotation}", got=f"{name}={value!r:.60}")


class Registry(Generic[T]):
    """A closed table of names for one kind of object.

    Names are compared without capitals and underscores: `"GlorotUniform"` and `"glorot_uniform"` are one.

    Args:
        kind: what messages call it, e.g. `"optimizer"`.
        table: name as messages write it -> class (called without arguments for a name) or function (returned as it is).
    """

    def __init__(self, kind: str, table: Mapping[str, Any]) -> None:
        self.kind = kind
        self.table = dict(table)
        self._plain = {_plain(name): entry for name, entry in table.items()}
        self._plain |= {_plain(entry.__name__): entry for entry in table.values()}

    @classmethod
    def of(
        cls,
        kind: str,
        module: Mapping[str, Any],
        public: Iterable[str],
        *,
        base: type | None = None,
        without: Container[str] = (),
        aliases: Mapping[str, str] | None = None,
        besides: Mapping[str, Any] | None = None,
        spelled: Callable[[str], str] = snake_case,
    ) -> Self:
        """The table of what a module of the vocabulary makes public.

            Registry.of("loss", globals(), __all__, base=Loss, aliases={"mse": "mean_squared_error"})

        Args:
            kind: see `Registry`.
            module: its `globals()`.
            public: its `__all__`.
            base: take the classes that are derived from it, each under its own name; None takes the functions.
            without: public names that neither a user nor a file may give for an object.
            aliases: Keras's short names -> names of the table.
            besides: further entries, which answer to names that are free.
            spelled: how messages write the name of a class or function.
        """
        table = {
            spelled(name): module[name]
            for name in public
            if name not in without and _is_entry(module.get(name), name, base)
        }
        table |= {short: table[name] for short, name in (aliases or {}).items()}
        return cls(kind, {name: entry for name, entry in (besides or {}).items() if name not in table} | table)

    @property
    def names(self) -> list[str]:
        """Every name, as messages write it."""
        return list(self.table)

    @property
    def entries(self) -> tuple[Callable[..., Any], ...]:
        """Every class or function of the table, once."""
        return tuple(dict.fromkeys(self.table.values()))

    def find(self, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The class or function of that name; UsageError lists the right names if there is none."""
        if custom_objects and name in custom_objects:
            return custom_objects[name]
        if _plain(name) not in self._plain:
            raise unknown_name(self.kind, name, self.names)
        return self._plain[_plain(name)]

    def get(self, identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> T | Any:
        """The object for a name, a class, a {"class_name", "config"}, a callable or the object itself; None stays None.

        Raises:
            UsageError: a name that is not in the table (the message lists those that are), or something else.
        """
        if identifier is None:
            return None
        if isinstance(identifier, Mapping) and isinstance(identifier.get("class_name"), str):
            cls = self.find(identifier["class_name"], custom_objects)
            config = identifier.get("config", {})
            if not isinstance(config, Mapping):
                raise UsageError(self.kind, expected="its configuration as an object", got=f"config={config!r:.60}")
            if cls in self.table.values():  # a user's own class may annotate what it likes
                check_plain_arguments(cls, config)
            return cls.from_config(dict(config))
        found: Callable[..., Any] = identifier
        if isinstance(identifier, str):
            found = self.find(identifier, custom_objects)
        if isinstance(found, type):
            return found()
        if callable(found) or isinstance(found, Configurable):
            return found
        raise unknown_name(self.kind, identifier, self.names)


def _is_entry(thing: object, name: str, base: type | None) -> bool:
    """Whether it belongs in a table: a function; or, where a base is given, a class derived from it, by its name."""
    if base is None:
        return inspect.isfunction(thing)
    return isinstance(thing, type) and issubclass(thing, base) and thing is not base and thing.__name__ == name


def is_netchus(thing: object) -> bool:
    """Whether a class, a function, or the class of an object is netchu's own code and not a user's."""
    code = thing if hasattr(thing, "__code__") or isinstance(thing, type) else type(thing)
    return (code.__module__ or "").startswith("netchu.")
