"""Configurations, and the closed tables of names: what is found, what is refused, what is never imported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netchu import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from netchu.errors import UsageError
from netchu.registry import Configurable, Registry, is_netchus, to_json


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

    assert repr(Hidden(3)) == "Hidden(secret=3)"


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


def test_a_users_class_is_found_when_given() -> None:
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


# --- the tables of netchu ---------------------------------------------------------------------------------------------

# Every name that a user or a file may give, as messages write it.  Without one of them programs and files would break.
NAMES: dict[str, tuple[Registry[Any], str]] = {
    "activation": (
        activations._registry,
        """
        celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
        linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
        softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
        """,
    ),
    "constraint": (constraints._registry, "max_norm min_max_norm non_neg unit_norm"),
    "initializer": (
        initializers._registry,
        """
        constant glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform ones
        random_normal random_uniform truncated_normal variance_scaling zeros
        """,
    ),
    "layer": (
        layers.registry,
        """
        Activation ActivityRegularization AlphaDropout AveragePooling2D BatchNormalization Conv2D Dense
        DepthwiseConv2D Dropout ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling2D
        GlobalMaxPooling2D InputLayer LayerNormalization LeakyReLU MaxPooling2D PReLU Permute RandomRotation
        RandomTranslation RandomZoom ReLU Rescaling Reshape Softmax SpatialDropout2D ZeroPadding2D
        """,
    ),
    "loss": (
        losses._registry,
        """
        bce binary_crossentropy binary_focal_crossentropy categorical_crossentropy
        categorical_focal_crossentropy categorical_hinge cosine_similarity hinge huber huber_loss
        kl_divergence kld log_cosh mae mape mean_absolute_error mean_absolute_percentage_error
        mean_squared_error mean_squared_logarithmic_error mse msle poisson sparse_categorical_crossentropy
        squared_hinge
        """,
    ),
    "metric": (
        metrics._registry,
        """
        acc accuracy auc bce binary_accuracy binary_crossentropy binary_focal_crossentropy
        categorical_accuracy categorical_crossentropy categorical_focal_crossentropy categorical_hinge
        cosine_similarity f1_score f_beta_score false_negatives false_positives hinge huber huber_loss
        kl_divergence kld log_cosh log_cosh_error mae mape mean mean_absolute_error
        mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error mse msle poisson
        precision recall root_mean_squared_error sparse_categorical_accuracy sparse_categorical_crossentropy
        sparse_top_k_categorical_accuracy squared_hinge sum top_k_categorical_accuracy true_negatives
        true_positives
        """,
    ),
    "optimizer": (optimizers._registry, "adadelta adagrad adam adamax adamw lion nadam rmsprop sgd"),
    "regularizer": (regularizers._registry, "l1 l1l2 l2 orthogonal_regularizer"),
    "schedule": (
        optimizers.schedules._registry,
        """
        CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay OneCycle PiecewiseConstantDecay
        PolynomialDecay
        """,
    ),
}
ALIASES = {
    "acc": "Accuracy",
    "bce": "BinaryCrossentropy",
    "hard_swish": "hard_silu",
    "huber_loss": "Huber",
    "kld": "KLDivergence",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
    "swish": "silu",
}


def plain(name: str) -> str:
    return name.replace("_", "").lower()


@pytest.mark.parametrize("kind", NAMES)
def test_every_name_that_is_known(kind: str) -> None:
    registry, known = NAMES[kind]
    assert sorted(registry.names) == known.split()
    assert registry.kind == kind
    for name in known.split():
        entry = registry.find(name)
        assert plain(entry.__name__) == plain(ALIASES.get(name, name)), name
        for spelled in (name.upper(), plain(name)):
            assert registry.find(spelled) is entry, spelled
        assert entry in registry.entries


@pytest.mark.parametrize("kind", NAMES)
def test_no_other_name_is_known(kind: str) -> None:
    registry, known = NAMES[kind]
    accepted = {plain(name) for name in known.split()}
    public = {name for module in (layers, losses, metrics, optimizers) for name in module.__all__}
    for name in sorted(public | {"get", "Layer", "Loss", "Metric", "LossFunction", "MaxPool2D", "Input", "reduce"}):
        if plain(name) not in accepted:
            with pytest.raises(UsageError, match=f"Could not interpret {kind} identifier: '{name}'"):
                registry.find(name)


def test_the_name_of_a_loss_is_a_class_or_the_function_of_its_samples() -> None:
    for name in losses.names:
        function = losses.get_function(name)
        assert function in losses.functions
        assert plain(function.__name__) == plain(losses._registry.find(name).__name__)


def test_the_name_of_a_loss_that_is_no_metric_is_the_mean_of_the_loss() -> None:
    assert metrics._registry.find("huber") is losses.huber
    assert metrics._registry.find("kld") is losses.kl_divergence
    assert metrics._registry.find("kl_divergence") is metrics.KLDivergence
    assert metrics._registry.find("mse") is metrics.MeanSquaredError


def test_a_table_is_built_from_what_a_module_makes_public() -> None:
    class Circle(Shape):
        pass

    page = {"Shape": Shape, "Square": Square, "Box": Square, "Circle": Circle, "area": len, "side": plain}
    of_classes: Registry[Shape] = Registry.of(
        "shape", page, list(page), base=Shape, without={"Circle"}, aliases={"sq": "square"}, besides={"len": len}
    )
    assert of_classes.table == {"len": len, "square": Square, "sq": Square}
    assert of_classes.entries == (len, Square)
    of_functions: Registry[Any] = Registry.of("function", page, list(page))
    assert of_functions.table == {"side": plain}


def test_what_is_netchus_own() -> None:
    assert all(map(is_netchus, (losses.Huber, losses.Huber(), activations.relu, activations.linear)))
    assert not any(map(is_netchus, (Shape, Shape(), plain, lambda x: x, len, 3)))
