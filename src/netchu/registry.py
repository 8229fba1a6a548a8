"""Objects that can be written down as JSON and made again, and the closed tables of names that a file may use.

A `Configurable` keeps each constructor argument in an attribute of the same name; its configuration, its copy and its
`repr` follow from that.  A `Registry` turns what Keras users write for an object (a name, a class, an object, a
configuration) into the object; a name that is not in its table is an error, never an import.
"""

from __future__ import annotations

import dis
import functools
import inspect
import operator
import re
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, NoReturn, Self, TypeVar

from netchu.errors import MissingAttributeError, NotInNetchuError, UsageError, unknown_name
from netchu.left_to_keras import NO_GRAPHS

T = TypeVar("T")
_MISSING = object()


class _SetAnew:
    """Stands for what a constructor was given in the place of which an attribute was set since."""


_ASIDE = ("_own_weights", "_given")  # attributes that hold others, or what was given for them, once more

late: dict[str, Callable[[], object]] = {}
"""What a lower floor needs of a higher one when it comes to it: `netchu/__init__.py`, the door, says how to load it."""


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

    A class of netchu's own keeps each constructor argument in an attribute of the same name.  Of a user's class, which
    may keep it elsewhere or not at all, what its constructor was given is noted, until an attribute of that name is set
    anew.

    What is netchu's own here has a name with an underscore: a user's class may call its attributes as it likes.

    Attributes:
        set_as_it_works: attributes that it sets itself after it was made, which no step depends on.
    """

    _changes = 0  # how often one of its public attributes was set anew: a step traced before knows the old value
    set_as_it_works = frozenset({"built", "name", "weights", "slots", "shared_slots"})

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """An object that knows, if its class is a user's, what it was made with."""
        if cls.__init__ is object.__init__ and (args or settings):  # Python says so only where there is no __new__
            raise TypeError(f"{cls.__name__}() takes no arguments")
        made = super().__new__(cls)
        if inspect.isfunction(cls.__init__) and not is_netchus(cls.__init__):
            object.__setattr__(made, "_given", _bound(cls, args, settings))
        return made

    def __getattr__(self, name: str) -> Any:
        """Reached only where there is no such attribute: says what is missing, `super().__init__()` above all."""
        known = next((vars(cls)[name] for cls in type(self).__mro__ if name in vars(cls)), None)
        if known is not None and hasattr(known, "__get__"):
            return known.__get__(self, type(self))  # a property whose own AttributeError came here: let it speak
        if any(name in _set_by(cls) for cls in type(self).__mro__):
            raise MissingAttributeError(
                f"You forgot to call `super().__init__()` in {type(self).__name__}.__init__",
                expected=f"the attribute {name!r}, which it sets",
                got="none",
                do="Call it first.",
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and name not in self.set_as_it_works and not thread.works:
            old = self.__dict__.get(name, getattr(type(self), name, _MISSING))  # a property says itself what it changes
            if old is not _MISSING and not isinstance(old, property) and not _is_same(old, value):
                self._changes += 1
                if name in (given := self.__dict__.get("_given", {})):
                    given[name] = _SetAnew
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values, base classes included where `**kwargs` is passed on.

        netchu's classes read the attribute of the same name.  A user's gives what its constructor was given, and the
        rest of what its base takes at the root (a layer's name, say): what it hands to a base by itself, as
        `super().__init__(0.5, **kwargs)`, it will hand again.
        """
        config: dict[str, Any] = {}
        given = self.__dict__.get("_given")
        for cls in type(self).__mro__:
            if "__init__" not in vars(cls) or cls is object:
                continue
            parameters = _parameters(cls)
            by_place = any(p.kind is p.VAR_POSITIONAL and (given or {}).get(p.name) for p in parameters)
            for p in parameters:
                if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name in config:
                    continue
                if given is not None and given.get(p.name, _SetAnew) is not _SetAnew:
                    config[p.name] = to_json(given[p.name])
                elif given is None or p.name in given or cls.__base__ is Configurable:
                    config[p.name] = to_json(getattr(self, p.name))
            if by_place:  # `*args` were handed on, and have no names: the attributes tell what became of them
                given = None
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
        return config

    def _parts(self, kind: type | tuple[type, ...]) -> list[Any]:
        """The attributes of a kind, also inside lists, tuples and dictionaries, each once, in order of assignment."""
        found: dict[int, Any] = {}
        kinds = kind if isinstance(kind, tuple) else (kind,)
        looked_into = (*kinds, list, tuple, dict)
        mine: list[Any] = [v for key, v in vars(self).items() if isinstance(v, looked_into) and key not in _ASIDE]
        waiting = mine[::-1]
        while waiting:
            value = waiting.pop()
            if id(value) not in found:  # a list may hold itself
                found[id(value)] = value
                if not isinstance(value, kinds):
                    inside = value.values() if isinstance(value, dict) else value
                    waiting += [part for part in inside if isinstance(part, looked_into)][::-1]
        return [value for value in found.values() if isinstance(value, kinds)]

    def refuse_unknown(self, arguments: dict[str, Any]) -> None:
        """Raise UsageError for keyword arguments that no constructor of the class takes; lists those that it does."""
        if arguments:
            takes = [p for cls in type(self).__mro__[:-1] if "__init__" in vars(cls) for p in _parameters(cls)]
            known = {p.name for p in takes if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            raise unknown_name("argument", next(iter(arguments)), sorted(known), where=type(self).__name__)

    def __array__(self, *arguments: Any, **settings: Any) -> NoReturn:
        """Whatever wants numbers of it, `Dense(3)(Input((4,)))` above all, is told that it has none."""
        raise NotInNetchuError(f"{self!r} is no array of numbers: {NO_GRAPHS}")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An object with these constructor arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        """The call that makes the object, without what is at its default."""
        classes = [cls for cls in reversed(type(self).__mro__[:-1]) if "__init__" in vars(cls)]  # a subclass goes last
        defaults = {p.name: to_json(p.default) for cls in classes for p in _parameters(cls)}
        try:
            config = self.get_config()
        except AttributeError:  # a user's class that keeps an argument under another name
            return f"{type(self).__name__}(...)"
        given_name = _plain(str(config.get("name"))).rstrip("0123456789")  # dense_1 is dense, numbered by its model
        if given_name == _plain(type(self).__name__):
            defaults["name"] = config.get("name")
        shown = [f"{key}={_short(value)}" for key, value in config.items() if not _same(value, defaults.get(key, ...))]
        return f"{type(self).__name__}({', '.join(shown)})"


def _parameters(cls: type) -> list[inspect.Parameter]:
    """What the constructor that a class itself defines takes, without `self`."""
    return list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]


def _bound(cls: type, args: tuple[Any, ...], settings: dict[str, Any]) -> dict[str, Any]:
    """What a class's constructor is given, by name; nothing if it does not take that, which it will say itself."""
    try:
        bound = inspect.signature(cls.__init__).bind(None, *args, **settings)  # type: ignore[misc]
    except TypeError:
        return {}
    bound.apply_defaults()
    given = dict(list(bound.arguments.items())[1:])
    by_keyword = [given.pop(p.name) for p in bound.signature.parameters.values() if p.kind is p.VAR_KEYWORD]
    return functools.reduce(operator.or_, by_keyword, given)


@functools.cache
def _set_by(cls: type) -> frozenset[str]:
    """The attributes that the constructor of a class of netchu's own sets."""
    if not is_netchus(cls) or "__init__" not in vars(cls):
        return frozenset()
    return frozenset(i.argval for i in dis.get_instructions(vars(cls)["__init__"]) if i.opname == "STORE_ATTR")


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


def without_defaults(config: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """A configuration without those settings of the base class that are as they always are."""
    return {key: value for key, value in config.items() if key not in defaults or value != defaults[key]}


def rewritten(config: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A configuration with other values for those of these settings that it has: a subclass may not take them all."""
    return config | {key: value for key, value in values.items() if key in config}


def unused_name(name: str, taken: Container[str]) -> str:
    """`name`, or with the first number that makes it new: dense, dense_1, dense_2."""
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


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
    classes = [base for base in reversed(cls.__mro__[:-1]) if "__init__" in vars(base)]
    found = {p.name: str(p.annotation) for base in classes for p in _parameters(base)}
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
        if not isinstance(name, str) or _plain(name) not in self._plain:
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
            found = found()
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
