"""Configurations, and the closed tables of names: what is found, what is refused, what is never imported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netchu import activations, initializers, losses, metrics, optimizers
from netchu.errors import UsageError
from netchu.registry import Configurable, Registry, to_json


class Shape(Configurable):
    """A configurable thing with sides."""

    def __init__(self, sides: int = 3, *, name: str | None = None) -> None:
        self.sides, self.name = sides, name


class Square(Shape):
    """A subclass that passes the rest on and has a default of its own."""

    def __init__(self, size: float, sides: int = 4, **settings: Any) -> None:
        super().__init__(sides, **settings)
        self.size = size


SHAPES: Registry[Shape] = Registry("shape", {"shape": Shape, "big_square": Square})


def test_a_configuration_holds_the_constructors_arguments() -> None:
    assert Shape(5).get_config() == {"sides": 5, "name": None}
    assert Square(2.0, name="s").get_config() == {"size": 2.0, "sides": 4, "name": "s"}


def test_a_configuration_makes_the_object_again() -> None:
    again = Square.from_config(Square(2.0, name="s").get_config())
    assert (again.size, again.sides, again.name) == (2.0, 4, "s")


def test_repr_is_the_call_without_what_is_at_its_default() -> None:
    assert repr(Shape()) == "Shape()"
    assert repr(Shape(5)) == "Shape(sides=5)"
    assert repr(Square(2.0)) == "Square(size=2.0)"
    assert repr(Square(2.0, sides=3)) == "Square(size=2.0, sides=3)"


def test_repr_of_a_class_that_keeps_an_argument_elsewhere() -> None:
    class Hidden(Configurable):
        def __init__(self, secret: int) -> None:
            self.kept = secret

    assert repr(Hidden(3)) == "Hidden(...)"


JSON: list[tuple[Any, Any]] = [
    (None, None),
    (1.5, 1.5),
    ((1, (2, 3)), [1, [2, 3]]),
    ({1: (2,)}, {"1": [2]}),
    (np.float32(0.5), 0.5),
    (np.int64(3), 3),
    (activations.relu, "relu"),
    (Shape(4), {"class_name": "Shape", "config": {"sides": 4, "name": None}}),
    ([Shape(4)], [{"class_name": "Shape", "config": {"sides": 4, "name": None}}]),
]


@pytest.mark.parametrize(("value", "expected"), JSON)
def test_values_become_jsons_types(value: Any, expected: Any) -> None:
    assert to_json(value) == expected


@pytest.mark.parametrize("name", ["big_square", "BigSquare", "bigsquare", "BIG_SQUARE", "Square", "square"])
def test_a_name_is_found_however_it_is_spelled(name: str) -> None:
    assert SHAPES.find(name) is Square


def test_what_stands_for_an_object() -> None:
    shape = Shape(7)
    assert SHAPES.get(shape) is shape
    assert SHAPES.get("shape").sides == 3
    assert SHAPES.get(Shape).sides == 3
    assert SHAPES.get({"class_name": "Square", "config": {"size": 1.0}}).size == 1.0
    assert SHAPES.get({"class_name": "shape"}).sides == 3
    assert SHAPES.get(None) is None
    assert SHAPES.get(len) is len


def test_ones_own_class_is_found_when_given() -> None:
    class Hexagon(Shape):
        pass

    assert isinstance(SHAPES.get({"class_name": "Hexagon", "config": {}}, {"Hexagon": Hexagon}), Hexagon)
    with pytest.raises(UsageError, match="Hexagon"):
        SHAPES.get({"class_name": "Hexagon", "config": {}})


@pytest.mark.parametrize("identifier", [3, 2.5, ["shape"], {"name": "shape"}, {"class_name": 3}])
def test_something_else_is_refused_with_the_right_names(identifier: Any) -> None:
    with pytest.raises(UsageError, match=r"shape identifier: .*Known: big_square, shape"):
        SHAPES.get(identifier)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "netchu.tape.Variable", "__import__", "../shape", ""])
def test_a_name_outside_the_table_is_an_error_and_never_an_import(name: str) -> None:
    with pytest.raises(UsageError, match="Could not interpret shape identifier"):
        SHAPES.get(name)
    with pytest.raises(UsageError, match="Could not interpret shape identifier"):
        SHAPES.get({"class_name": name, "config": {}})


UNKNOWN: list[tuple[Any, str, str]] = [
    (activations.get, "relo", r"activation identifier: 'relo'.*softmax.*Did you mean 'relu'"),
    (initializers.get, "glorot", r"initializer identifier: 'glorot'.*glorot_uniform"),
    (losses.get, "cross", r"loss identifier: 'cross'.*sparse_categorical_crossentropy"),
    (metrics.get, "accurracy", r"metric identifier: 'accurracy'.*Did you mean 'accuracy'"),
    (optimizers.get, "adm", r"optimizer identifier: 'adm'\. Known: adadelta, .*, sgd\. Did you mean 'adam'"),
]


@pytest.mark.parametrize(("get", "name", "message"), UNKNOWN, ids=[name for _, name, _ in UNKNOWN])
def test_an_unknown_name_lists_the_known_ones(get: Any, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get(name)


VOCABULARY = [initializers, losses, metrics, optimizers]


@pytest.mark.parametrize("module", VOCABULARY, ids=lambda module: module.__name__)
def test_everything_in_the_tables_is_made_again_from_its_configuration(module: Any) -> None:
    for name in module._registry.table:
        made = module.get(name)
        again = type(made).from_config(made.get_config())
        assert again.get_config() == made.get_config(), name
        assert eval(repr(made), vars(module)).get_config() == made.get_config(), name
