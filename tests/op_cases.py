"""The table of cases for every operation: what is checked against finite differences, and engine against engine.

A case is an operation, the function that calls it, and its inputs.  Inputs are drawn from a generator seeded by the
case's own label, so that a new case changes no other; they keep away from kinks by `MARGIN`, a thousand times the step
of the finite difference.  An operation that is in no case fails `test_ops.py`, which names it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from netchu import ops, tape
from netchu.engines import Shape

MARGIN = 0.02

SHAPES = [(), (5,), (2, 3, 4)]
BROADCASTS = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((4,), (3, 4)),
    ((3, 4), (3, 1)),
    ((1, 4), (3, 1)),
    ((2, 1, 4), (3, 1)),
    ((), (3,)),
    ((2, 3), ()),
]
AXES: list[tuple[Shape, Any]] = [
    ((5,), None),
    ((5,), 0),
    ((3, 4), None),
    ((3, 4), 0),
    ((3, 4), 1),
    ((3, 4), -1),
    ((3, 4), (0, 1)),
    ((2, 3, 4), 1),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (-1, 0)),
    ((1, 4), 0),
]
KEPT = [((5,), None), ((3, 4), -1), ((2, 3, 4), (0, 2))]
"""The reductions that are tried with keepdims=True too."""


@dataclass(frozen=True)
class Draw:
    """Uniform random numbers of a shape in [low, high], none nearer than MARGIN to a kink."""

    shape: Shape
    low: float = -2.0
    high: float = 2.0
    kinks: tuple[float, ...] = ()

    def array(self, rng: np.random.Generator) -> np.ndarray:
        x = rng.uniform(self.low, self.high, self.shape)
        for kink in self.kinks:
            side = np.where(x >= kink, 1.0, -1.0)
            x = np.where(np.abs(x - kink) < MARGIN, kink + side * 2 * MARGIN, x)
        return np.asarray(x)


@dataclass(frozen=True)
class Apart:
    """Numbers of a shape that differ from each other by at least 0.23: where order decides, none is nearly a tie.

    Two arguments with offsets 0 and 0.1 have no equal elements either.
    """

    shape: Shape
    offset: float = 0.0

    def array(self, rng: np.random.Generator) -> np.ndarray:
        n = int(np.prod(self.shape))
        return np.asarray((rng.permutation(n) - n // 2).reshape(self.shape) * 0.23 + self.offset)


@dataclass(frozen=True)
class Case:
    """One call of one operation.

    Attributes:
        operation: its name in `netchu.tape.operations`.
        label: unique; begins with the operation's name, so that an error names it.
        function: takes one Tensor for each input.
        inputs: drawn (`Draw`, `Apart`) or given arrays.
        differentiable: whether a gradient flows.
    """

    operation: str
    label: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    differentiable: bool = True

    def arrays(self, dtype: str = "float64") -> list[np.ndarray]:
        """The inputs, floating-point ones in `dtype`."""
        rng = np.random.default_rng(zlib.crc32(self.label.encode()))
        drawn = [x.array(rng) if isinstance(x, (Draw, Apart)) else np.asarray(x) for x in self.inputs]
        return [x.astype(dtype) if x.dtype.kind == "f" else x for x in drawn]


CASES: list[Case] = []


def case(
    operation: str, function: Callable[..., Any], *inputs: Any, also: str = "", differentiable: bool = True
) -> None:
    shapes = ", ".join(str(tuple(getattr(x, "shape", np.shape(x)))) for x in inputs)
    label = f"{operation}({shapes}{f'; {also}' if also else ''})"
    assert label not in {known.label for known in CASES}, f"two cases have the label {label}"
    CASES.append(Case(operation, label, function, inputs, differentiable))


# --- two arguments: broadcasts, and a Python number on either side ---------------------------------------------------

_TWO: list[tuple[str, Callable[..., Any], dict[str, Any], dict[str, Any]]] = [
    ("add", ops.add, {}, {}),
    ("subtract", ops.subtract, {}, {}),
    ("multiply", ops.multiply, {}, {}),
    ("divide", ops.divide, {}, {"low": 0.5}),
    ("power", ops.power, {"low": 0.3}, {}),
]
for _name, _op, _first, _second in _TWO:
    for _s1, _s2 in BROADCASTS:
        case(_name, _op, Draw(_s1, **_first), Draw(_s2, **_second))
    case(_name, lambda x, op=_op: op(x, 1.7), Draw((3, 4), **_first), also="number on the right")
    case(_name, lambda x, op=_op: op(1.7, x), Draw((3, 4), **_second), also="number on the left")
    case(_name, lambda x, op=_op: op(x, 2), Draw((3, 4), **_first), also="whole number on the right")
    case(_name, lambda x, op=_op: op(x, x), Draw((3, 4), low=0.4), also="the same argument twice")
case("power", lambda x: ops.power(x, 3), Draw((3, 4), low=-2, high=-0.3), also="negative base, whole exponent")

for _name, _op in {"maximum": ops.maximum, "minimum": ops.minimum}.items():
    for _s1, _s2 in BROADCASTS:
        case(_name, _op, Apart(_s1), Apart(_s2, 0.1))
    case(_name, lambda x, op=_op: op(x, 0.05), Apart((3, 4)), also="number on the right")
    case(_name, lambda x, op=_op: op(0.05, x), Apart((3, 4)), also="number on the left")

_MASK = np.arange(12).reshape(3, 4) % 3 == 0
for _s1, _s2 in (((3, 4), (3, 4)), ((4,), (3, 1)), ((), (3, 4)), ((2, 3, 4), (1, 4))):
    case("where", lambda a, b: ops.where(_MASK, a, b), Draw(_s1), Draw(_s2))
case("where", lambda a: ops.where(_MASK, a, 0.0), Draw((3, 4)), also="number on the right")
case("where", lambda b: ops.where(_MASK, 0.0, b), Draw((3, 4)), also="number on the left")

# --- one argument: shapes --------------------------------------------------------------------------------------------

_ONE: list[tuple[str, Callable[..., Any], dict[str, Any]]] = [
    ("negative", ops.negative, {}),
    ("absolute", ops.absolute, {"kinks": (0,)}),
    ("square", ops.square, {}),
    ("sqrt", ops.sqrt, {"low": 0.3}),
    ("rsqrt", ops.rsqrt, {"low": 0.3}),
    ("reciprocal", ops.reciprocal, {"low": -2, "high": -0.4}),
    ("exp", ops.exp, {}),
    ("expm1", ops.expm1, {}),
    ("log", ops.log, {"low": 0.3}),
    ("log1p", ops.log1p, {"low": -0.6}),
    ("sin", ops.sin, {}),
    ("cos", ops.cos, {}),
    ("tanh", ops.tanh, {}),
    ("erf", ops.erf, {}),
    ("clip", lambda x: ops.clip(x, -0.7, 1.1), {"kinks": (-0.7, 1.1)}),
    ("cast", lambda x: ops.cast(x, x.dtype), {}),
    ("relu", ops.relu, {"kinks": (0,)}),
    ("relu6", ops.relu6, {"low": -3, "high": 9, "kinks": (0, 6)}),
    ("leaky_relu", ops.leaky_relu, {"kinks": (0,)}),
    ("elu", ops.elu, {"kinks": (0,)}),
    ("selu", ops.selu, {"kinks": (0,)}),
    ("celu", ops.celu, {"kinks": (0,)}),
    ("sigmoid", ops.sigmoid, {"low": -4, "high": 4}),
    ("log_sigmoid", ops.log_sigmoid, {"low": -4, "high": 4}),
    ("softplus", ops.softplus, {"low": -4, "high": 4}),
    ("softsign", ops.softsign, {"kinks": (0,)}),
    ("silu", ops.silu, {"low": -4, "high": 4}),
    ("mish", ops.mish, {"low": -4, "high": 4}),
    ("gelu", ops.gelu, {"low": -3, "high": 3}),
    ("hard_sigmoid", ops.hard_sigmoid, {"low": -5, "high": 5, "kinks": (-3, 3)}),
    ("hard_silu", ops.hard_silu, {"low": -5, "high": 5, "kinks": (-3, 3)}),
    ("hard_tanh", ops.hard_tanh, {"kinks": (-1, 1)}),
    ("hard_shrink", ops.hard_shrink, {"kinks": (-0.5, 0.5)}),
    ("soft_shrink", ops.soft_shrink, {"kinks": (-0.5, 0.5)}),
    ("tanh_shrink", ops.tanh_shrink, {"low": 0.3}),
    ("squareplus", ops.squareplus, {}),
    ("sparse_plus", ops.sparse_plus, {"kinks": (-1, 1)}),
    ("sparse_sigmoid", ops.sparse_sigmoid, {"kinks": (-1, 1)}),
    ("threshold", lambda x: ops.threshold(x, 0.3, -1.0), {"kinks": (0.3,)}),
]
for _name, _op, _range in _ONE:
    for _shape in SHAPES:
        case(_name, _op, Draw(_shape, **_range))

case("leaky_relu", lambda x: ops.leaky_relu(x, 0.01), Draw((3, 4), kinks=(0,)), also="slope 0.01")
case("elu", lambda x: ops.elu(x, alpha=0.5), Draw((3, 4), kinks=(0,)), also="alpha 0.5")
case("celu", lambda x: ops.celu(x, alpha=0.5), Draw((3, 4), kinks=(0,)), also="alpha 0.5")
case("gelu", lambda x: ops.gelu(x, approximate=False), Draw((3, 4), -3, 3), also="exact")
case("hard_shrink", lambda x: ops.hard_shrink(x, 1.0), Draw((3, 4), kinks=(-1, 1)), also="threshold 1")
case("soft_shrink", lambda x: ops.soft_shrink(x, 1.0), Draw((3, 4), kinks=(-1, 1)), also="threshold 1")
case("squareplus", lambda x: ops.squareplus(x, 1), Draw((3, 4)), also="b 1")
case("multiply", lambda x: ops.glu(x), Draw((3, 4)), also="glu, last axis")
case("multiply", lambda x: ops.glu(x, axis=0), Draw((2, 3)), also="glu, first axis")

# --- reductions: axes, with and without keepdims ---------------------------------------------------------------------

_REDUCTIONS: list[tuple[str, Callable[..., Any], Callable[[Shape], Any]]] = [
    ("sum", ops.sum, Draw),
    ("mean", ops.mean, Draw),
    ("prod", ops.prod, lambda shape: Draw(shape, 0.5, 1.5)),
    ("max", ops.max, Apart),
    ("min", ops.min, Apart),
    ("logsumexp", ops.logsumexp, Draw),
    ("var", ops.var, Draw),
]
for _name, _op, _draw in _REDUCTIONS:
    for _shape, _axis in AXES:
        for _keep in (False, True) if (_shape, _axis) in KEPT else (False,):
            case(
                _name,
                lambda x, op=_op, axis=_axis, keep=_keep: op(x, axis=axis, keepdims=keep),
                _draw(_shape),
                also=f"axis={_axis}, keepdims={_keep}",
            )
case("var", lambda x: ops.std(x, axis=0), Draw((3, 4)), also="std, axis=0")
case("var", lambda x: ops.std(x), Draw((5,)), also="std")

# --- over an axis ----------------------------------------------------------------------------------------------------

for _name, _op in {"softmax": ops.softmax, "log_softmax": ops.log_softmax, "sparsemax": ops.sparsemax}.items():
    for _shape, _axis in (((5,), -1), ((3, 4), -1), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), 1)):
        _inputs = Apart(_shape) if _name == "sparsemax" else Draw(_shape)
        case(_name, lambda x, op=_op, axis=_axis: op(x, axis=axis), _inputs, also=f"axis={_axis}")
case("softmax", ops.softmax, Draw((3, 4)))

# --- products and shapes ---------------------------------------------------------------------------------------------

for _s1, _s2 in (
    ((3, 4), (4, 2)),
    ((1, 4), (4, 1)),
    ((5, 3, 4), (4, 2)),
    ((3, 4), (5, 4, 2)),
    ((5, 3, 4), (5, 4, 2)),
    ((2, 1, 3, 4), (5, 4, 2)),
):
    case("matmul", ops.matmul, Draw(_s1), Draw(_s2))
case("matmul", lambda x: ops.matmul(x, x), Draw((3, 3)), also="the same argument twice")

case("reshape", lambda x: ops.reshape(x, (4, 3)), Draw((3, 4)), also="(4, 3)")
case("reshape", lambda x: ops.reshape(x, (2, -1)), Draw((3, 4)), also="(2, -1)")
case("reshape", lambda x: ops.reshape(x, (1, 1)), Draw(()), also="(1, 1)")
case("reshape", ops.ravel, Draw((2, 3, 4)), also="ravel")
case("transpose", ops.transpose, Draw((3, 4)))
case("transpose", ops.transpose, Draw((2, 3, 4)))
case("transpose", lambda x: ops.transpose(x, (1, 2, 0)), Draw((2, 3, 4)), also="(1, 2, 0)")
case("transpose", lambda x: ops.transpose(x, (0, -1, 1)), Draw((2, 3, 4)), also="(0, -1, 1)")
case("transpose", lambda x: ops.swapaxes(x, 0, -1), Draw((2, 3, 4)), also="swapaxes")
for _axis in (0, 1, -1):
    case("expand_dims", lambda x, axis=_axis: ops.expand_dims(x, axis), Draw((3, 4)), also=f"axis={_axis}")
case("squeeze", ops.squeeze, Draw((1, 3, 1)))
case("squeeze", lambda x: ops.squeeze(x, 0), Draw((1, 3, 1)), also="axis=0")
case("squeeze", lambda x: ops.squeeze(x, (0, -1)), Draw((1, 3, 1)), also="axis=(0, -1)")
for _shape, _to in (((3, 1), (3, 4)), ((4,), (3, 4)), ((), (2, 3)), ((1, 3, 1), (2, 3, 4)), ((3, 4), (3, 4))):
    case("broadcast_to", lambda x, to=_to: ops.broadcast_to(x, to), Draw(_shape), also=f"to {_to}")

case("concatenate", lambda a, b: ops.concatenate([a, b]), Draw((2, 3)), Draw((4, 3)))
case("concatenate", lambda a, b, c: ops.concatenate([a, b, c], axis=-1), Draw((2, 3)), Draw((2, 1)), Draw((2, 2)))
case("concatenate", lambda a: ops.concatenate([a, a], axis=1), Draw((2, 3)), also="the same argument twice")
for _axis in (0, 1, -1):
    case("stack", lambda a, b, axis=_axis: ops.stack([a, b], axis), Draw((2, 3)), Draw((2, 3)), also=f"axis={_axis}")

_KEYS: list[tuple[str, Any]] = [
    ("1", 1),
    ("-1", -1),
    ("1:", slice(1, None)),
    ("::2", slice(None, None, 2)),
    ("::-1", slice(None, None, -1)),
    (":, 1", (slice(None), 1)),
    ("..., 0", (..., 0)),
    (":, None", (slice(None), None)),
    ("1, 1:3", (1, slice(1, 3))),
]
for _text, _key in _KEYS:
    case("get_item", lambda x, key=_key: x[key] * 1.0, Draw((3, 4)), also=f"[{_text}]")
for _text, _indices, _axis in (
    ("flat", [0, 5, 5, 11], None),
    ("axis=0", [2, 0, 2], 0),
    ("axis=-1", [[3, 0], [1, 1]], -1),
    ("axis=1, one", 2, 1),
):
    case("take", lambda x, i=_indices, axis=_axis: ops.take(x, np.asarray(i), axis), Draw((3, 4)), also=_text)
case("take", lambda x: ops.take(x, np.asarray([1, 1]), 1), Draw((2, 3, 4)), also="the middle axis")

# --- images: convolution and pooling ---------------------------------------------------------------------------------

# Image (height, width), window, strides, padding, dilation: both paddings, odd and even sizes, windows that are not
# square, windows that overlap, lie side by side and leave gaps.
_WINDOWS: list[tuple[Shape, Shape, Any, str, Any]] = [
    ((5, 6), (3, 2), 1, "valid", 1),
    ((5, 6), (2, 3), 1, "same", 1),
    ((6, 7), (3, 3), 2, "same", 1),
    ((7, 6), (3, 2), (2, 3), "valid", 1),
    ((4, 5), (2, 2), 2, "same", 1),
    ((4, 3), (1, 1), 1, "valid", 1),
    ((5, 4), (1, 1), (3, 2), "same", 1),
    ((3, 4), (3, 4), 1, "valid", 1),
    ((3, 2), (4, 3), 1, "same", 1),
    ((7, 6), (3, 2), 1, "valid", (2, 3)),
    ((6, 5), (2, 3), 1, "same", 2),
    ((7, 8), (2, 2), (3, 2), "same", (1, 3)),
]
for _image, _window, _strides, _padding, _dilation in _WINDOWS:
    _lie = {"strides": _strides, "padding": _padding}
    _text = f"{_window}, {_lie}".replace("'", "")
    if _dilation == 1:
        _image3 = Apart((2, *_image, 3))
        case("max_pool", lambda x, w=_window, k=_lie: ops.max_pool(x, w, **k), _image3, also=_text)
        case("average_pool", lambda x, w=_window, k=_lie: ops.average_pool(x, w, **k), _image3, also=_text)
    _lie = _lie | {"dilation_rate": _dilation}
    _text = f"{_lie}".replace("'", "")
    if _strides == 1 or _dilation == 1:
        case(
            "conv", lambda x, w, k=_lie: ops.conv(x, w, **k), Draw((2, *_image, 3)), Draw((*_window, 3, 4)), also=_text
        )
    case(
        "depthwise_conv",
        lambda x, w, k=_lie: ops.depthwise_conv(x, w, **k),
        Draw((2, *_image, 3)),
        Draw((*_window, 3, 2)),
        also=_text,
    )
case("max_pool", lambda x: ops.max_pool(x, 2), Apart((1, 5, 5, 1)), also="strides left out")
case("average_pool", lambda x: ops.average_pool(x, 2), Draw((1, 5, 5, 1)), also="strides left out")
case("pad", lambda x: ops.pad(x, ((0, 1), (2, 0))), Draw((2, 3)))
case("pad", lambda x: ops.pad(x, ((0, 0), (0, 0)), constant_values=5.0), Draw((2, 3)), also="nothing")
case("pad", lambda x: ops.pad(x, ((1, 0), (0, 0), (1, 2)), constant_values=-1.5), Draw((2, 2, 3)), also="of -1.5")

# --- images: an affine map, sampled ----------------------------------------------------------------------------------

# Turned and made larger, moved beyond the edges, mirrored.
_MAPS = np.array(
    [[0.8, -0.5, 1.2, 0.4, 0.9, -0.7, 0, 0], [1, 0, -4.3, 0, 1, 2.6, 0, 0], [-1.3, 0, 3.1, 0.1, -0.7, 2.2, 0, 0]],
    "float32",
)
for _fill in ("constant", "nearest", "reflect", "wrap"):
    for _sampled in ("bilinear", "nearest"):
        case(
            "affine_transform",
            lambda x, i=_sampled, f=_fill: ops.image.affine_transform(x, _MAPS, i, f, 0.25),
            Draw((3, 4, 5, 2)),
            also=f"{_sampled}, {_fill}",
        )

# Places inside, between and outside, in other numbers than the image has.
_PLACES = np.random.default_rng(7).uniform(-1.5, 5.5, (2, 3, 3, 6)).astype("float32")
for _fill in ("constant", "nearest"):
    case(
        "sample",
        lambda x, f=_fill: ops.image.sample(x, *_PLACES, fill_mode=f, fill_value=0.25),
        Draw((3, 4, 5, 2)),
        also=_fill,
    )

# --- cross-entropies -------------------------------------------------------------------------------------------------

_LABELS = np.array([1, 0, 3])
_ONE_HOT = np.eye(4)[_LABELS]


def _ce(function: Callable[..., Any], target: Any, *, logits: bool = True, **settings: Any) -> Callable[..., Any]:
    return lambda output: function(target, output, from_logits=logits, **settings)


_scce, _cce, _bce = ops.sparse_categorical_crossentropy, ops.categorical_crossentropy, ops.binary_crossentropy
case("sparse_crossentropy", _ce(_scce, _LABELS), Draw((3, 4)), also="logits")
case("sparse_crossentropy", _ce(_scce, _LABELS[:, None]), Draw((3, 4)), also="labels (n, 1)")
case("sparse_crossentropy", _ce(_scce, np.array([[0, 1, 1], [2, 2, 0]])), Draw((2, 3, 4)), also="labels (2, 3)")
case("sparse_crossentropy", _ce(_scce, _LABELS, axis=0), Draw((4, 3)), also="classes on axis 0")
case("sparse_crossentropy", lambda z: _scce(_LABELS, ops.softmax(z)), Draw((3, 4)), also="of a softmax")
case("sparse_crossentropy", _ce(_scce, _LABELS, logits=False), Draw((3, 4), 0.1, 0.9), also="probabilities")
case("crossentropy", lambda t, z: _cce(t, z, from_logits=True), Draw((3, 4), 0.1, 0.9), Draw((3, 4)), also="logits")
case("crossentropy", _ce(_cce, _ONE_HOT), Draw((3, 4)), also="one-hot")
case("crossentropy", lambda z: _cce(_ONE_HOT, ops.softmax(z)), Draw((3, 4)), also="of a softmax")
case("crossentropy", _ce(_cce, _ONE_HOT.T, axis=0), Draw((4, 3)), also="classes on axis 0")
case("binary_crossentropy", lambda t, z: _bce(t, z, from_logits=True), Draw((3, 2), 0.1, 0.9), Draw((3, 2), -4, 4))
case("binary_crossentropy", lambda z: _bce(np.eye(3), ops.sigmoid(z)), Draw((3, 3), -4, 4), also="of a sigmoid")
case("log", _ce(_cce, _ONE_HOT, logits=False), Draw((3, 4), 0.1, 0.9), also="cross-entropy of probabilities")
case("log", _ce(_bce, np.eye(3), logits=False), Draw((3, 3), 0.1, 0.9), also="binary cross-entropy of probabilities")

# --- no gradient flows -----------------------------------------------------------------------------------------------

NOT_DIFFERENTIABLE = {
    "all", "any", "argmax", "argmin", "equal", "floor", "greater", "greater_equal", "in_top_k", "isfinite", "isnan",
    "less", "less_equal", "logical_and", "logical_not", "logical_or", "not_equal", "one_hot", "ones_like", "round",
    "sign", "stop_gradient", "zeros_like",
}  # fmt: skip
"""Whole numbers, truth values and constants: their derivative is 0 or does not exist, and the tape ends there."""


def _flat(name: str, function: Callable[..., Any], *inputs: Any, also: str = "") -> None:
    case(name, function, *inputs, also=also, differentiable=False)


for _shape, _axis in (((5,), None), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), 1)):
    for _name, _op in {"argmax": ops.argmax, "argmin": ops.argmin}.items():
        _flat(_name, lambda x, op=_op, axis=_axis: op(x, axis), Apart(_shape), also=f"axis={_axis}")
    for _name, _op in {"any": ops.any, "all": ops.all}.items():
        _flat(_name, lambda x, op=_op, axis=_axis: op(x > 0, axis), Draw(_shape), also=f"axis={_axis}")
for _name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    _compare = getattr(ops, _name)
    _flat(_name, _compare, Apart((3, 4)), Apart((4,)))
    _flat(_name, lambda x, op=_compare: op(x, 0.2), Apart((3, 4)), also="number")
for _name in ("logical_and", "logical_or"):
    _connect = getattr(ops, _name)
    _flat(_name, lambda a, b, op=_connect: op(a > 0, b > 0), Draw((3, 4)), Draw((4,)))
_flat("logical_not", lambda a: ops.logical_not(a > 0), Draw((3, 4)))
for _name in ("sign", "floor", "round", "ones_like", "zeros_like", "stop_gradient"):
    for _shape in ((), (3, 4)):
        _flat(_name, getattr(ops, _name), Draw(_shape))
for _name in ("isfinite", "isnan"):
    _flat(_name, getattr(ops, _name), np.array([0.0, np.nan, np.inf, -np.inf]))
_flat("one_hot", lambda i: ops.one_hot(i, 4), np.array([[0, 3], [1, 1]]))
_flat("one_hot", lambda i: ops.one_hot(i, 4), np.array([-1, 4]), also="outside the range")
for _k in (1, 2, 4):
    _flat("in_top_k", lambda p, k=_k: ops.in_top_k(_LABELS, p, k), Apart((3, 4)), also=f"k={_k}")

NETCHU_OPERATIONS = sorted(
    name for name, function in tape.operations.items() if function.__module__.startswith("netchu")
)
GRADIENT_CASES = [one for one in CASES if one.differentiable]
