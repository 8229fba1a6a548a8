"""The table of special values: every public operation, called with numbers at which formulas break.

A call is written once, as a function of `ops`, and made with netchu's operations on each engine and with real Keras's
on TensorFlow, the judge.  Values: zeros of both signs, infinities, NaN, the largest and the smallest numbers, halves,
ties; arrays that are empty, have one element or no axes; every element type, and two of them together; a Python number
on either side; negative axes and indices.  `test_special_values.py` makes the calls, and adds denormals.

`differences` compares element for element: type, shape, NaN, infinity, and the number itself.  The sign of a zero
counts where it shows: in what is divided by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

INF, NAN = np.inf, np.nan
DTYPES = ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"]
FLOATS = ["float16", "float32", "float64"]


def specials(dtype: str) -> np.ndarray:
    """The numbers of a type at which formulas break, (n,)."""
    if dtype == "bool":
        return np.array([False, True])
    if "int" in dtype:
        most = np.iinfo(dtype)
        return np.array(sorted({most.min, max(most.min, -1), 0, 1, 2, 3, 7, most.max}), dtype)
    most = np.finfo(dtype)
    kinks = [0.5, 1, 1.5, 2.5, 3, 6, 20]
    return np.array(
        [0.0, -0.0, INF, -INF, NAN, most.tiny, -most.tiny, most.max, most.min, *kinks, *(-k for k in kinks)],
        dtype,
    )  # fmt: skip


def some(dtype: str) -> np.ndarray:
    """A few ordinary numbers of a type, (2, 2), for calls where the types are what matters."""
    return np.array([[1, 0], [2, 1]]).astype(dtype)


@dataclass(frozen=True)
class Call:
    """One call of one public operation.

    Attributes:
        operation: its name in `netchu.ops`.
        what: the values, for the label.
        function: takes the module `ops` and the inputs.
        inputs: arrays; Tensors are made of them.
        gradient: whether the gradients of the sum of the result are compared, too.
    """

    operation: str
    what: str
    function: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]
    gradient: bool = False

    @property
    def label(self) -> str:
        return f"{self.operation}({self.what})"


CALLS: list[Call] = []


def call(operation: str, what: str, function: Callable[..., Any] | None, *inputs: Any, gradient: bool = False) -> None:
    """Add a call; without a function it is the operation on the inputs."""
    by_name = function or (lambda ops, *arrays: getattr(ops, operation)(*arrays))
    CALLS.append(Call(operation, what, by_name, tuple(map(np.asarray, inputs)), gradient))


F32 = specials("float32")
EMPTY, ONE, NO_AXES = np.zeros((0, 2), "float32"), np.array([2.5], "float32"), np.float32(-0.5)
SHAPES = {"empty": EMPTY, "one": ONE, "no axes": NO_AXES}

# --- one argument, elementwise ---------------------------------------------------------------------------------------

SMOOTH = [
    "abs", "absolute", "square", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh",
    "erf", "negative", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "sigmoid", "log_sigmoid", "softplus",
    "softsign", "silu", "swish", "mish", "gelu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hard_shrink",
    "soft_shrink", "tanh_shrink", "squareplus", "sparse_plus", "sparse_sigmoid",
]  # fmt: skip
FLAT = ["sign", "floor", "round", "isfinite", "isnan", "logical_not", "ones_like", "zeros_like", "stop_gradient"]
for _name in (*SMOOTH, *FLAT):
    for _dtype in DTYPES:
        call(_name, f"every {_dtype}", None, specials(_dtype), gradient=_name in SMOOTH and _dtype == "float32")
    for _what, _x in SHAPES.items():
        call(_name, _what, None, _x, gradient=_name in SMOOTH and _what != "empty")
for _dtype in DTYPES:
    _x = specials(_dtype)
    call("clip", f"every {_dtype}, 0, 2", lambda ops, x: ops.clip(x, 0, 2), _x, gradient=_dtype == "float32")
    call("threshold", f"every {_dtype}, 1, 0", lambda ops, x: ops.threshold(x, 1, 0), _x, gradient=_dtype == "float32")
    for _to in DTYPES:
        call("cast", f"{_dtype} to {_to}", lambda ops, x, to=_to: ops.cast(x, to), some(_dtype))
call("clip", "float bounds", lambda ops, x: ops.clip(x, -0.5, 0.5), F32, gradient=True)
call("clip", "infinite bounds", lambda ops, x: ops.clip(x, -INF, INF), F32, gradient=True)
call("gelu", "exact", lambda ops, x: ops.gelu(x, approximate=False), F32, gradient=True)
call("cast", "fractions to whole numbers", lambda ops, x: ops.cast(x, "int32"), np.float32([-1.7, 1.7, -0.5, 0.5]))
call("cast", "every float32 to bool", lambda ops, x: ops.cast(x, "bool"), F32)

# --- two arguments ---------------------------------------------------------------------------------------------------

ARITHMETIC = ["add", "subtract", "multiply", "divide", "true_divide", "power", "maximum", "minimum"]
COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
LOGIC = ["logical_and", "logical_or"]
for _name in (*ARITHMETIC, *COMPARISONS, *LOGIC):
    for _dtype in ("int8", "float32"):
        _x = specials(_dtype)
        _smooth = _name in ARITHMETIC and _dtype == "float32"
        if _name != "power" or _dtype == "float32":
            call(_name, f"every two of {_dtype}", None, _x[:, None], _x[None, :], gradient=_smooth)
    for _first in DTYPES:
        for _second in DTYPES:
            call(_name, f"{_first}, {_second}", None, some(_first), some(_second))
        for _number in (True, 2, 0.5):
            by_name = lambda ops, x, o=_name, n=_number: getattr(ops, o)(x, n)  # noqa: E731
            turned = lambda ops, x, o=_name, n=_number: getattr(ops, o)(n, x)  # noqa: E731
            call(_name, f"{_first}, {_number}", by_name, some(_first))
            call(_name, f"{_number}, {_first}", turned, some(_first))
    for _what, _x in SHAPES.items():
        call(_name, _what, None, _x, _x)
for _exponent in (0, 1, 2, -1, 0.5, 3.0, -2.5):
    call("power", f"** {_exponent}", lambda ops, x, n=_exponent: ops.power(x, n), F32, gradient=True)
for _base in (0, 1, 2, -1, 0.5):
    call("power", f"{_base} **", lambda ops, x, n=_base: ops.power(n, x), F32, gradient=True)
for _first in DTYPES:
    for _second in DTYPES:
        _two = (some(_first), some(_second))
        _types = f"{_first}, {_second}"
        call("where", _types, lambda ops, a, b: ops.where(np.eye(2) > 0, a, b), *_two)
        call("concatenate", _types, lambda ops, a, b: ops.concatenate([a, b], axis=-1), *_two)
        call("stack", _types, lambda ops, a, b: ops.stack([a, b], axis=-1), *_two)
        call("matmul", _types, None, *_two)
    for _number in (True, 2, 0.5):
        call("where", f"{_first}, {_number}", lambda ops, a, n=_number: ops.where(np.eye(2) > 0, a, n), some(_first))
call("where", "two numbers", lambda ops, c: ops.where(c, 1, 2.5), np.array([True, False]))
call("where", "numbers as condition", lambda ops, c, a: ops.where(c, a, -a), F32, F32)
call("where", "every float32", lambda ops, a: ops.where(a > 1, a, -a), F32, gradient=True)
for _cut in ("sqrt", "log", "reciprocal", "exp", "square", "rsqrt"):
    call(
        "where", f"{_cut} cut off", lambda ops, a, f=_cut: ops.where(a < 1, a, getattr(ops, f)(a)),
        np.float32([0, 0.5, 4]), gradient=True,
    )  # fmt: skip
_F = np.float32([[0, -0.0, 1], [INF, 2, -1]])
call("matmul", "infinity", None, _F, _F.T.copy(), gradient=True)
call("matmul", "NaN", None, np.float32([[NAN, 1]]), np.float32([[1], [2]]), gradient=True)
call("matmul", "empty inside", None, np.zeros((2, 0), "float32"), np.zeros((0, 3), "float32"), gradient=True)
call("matmul", "empty", None, np.zeros((0, 2), "float32"), np.ones((2, 3), "float32"))
call("matmul", "uint8 that overflow", None, np.uint8([[200]]), np.uint8([[2]]))
call("matmul", "int8 that overflow", None, np.int8([[100, 100]]), np.int8([[2], [2]]))

# --- reductions ------------------------------------------------------------------------------------------------------

_MOST = np.finfo("float32").max
ROWS = np.array(
    [[0, -0.0, 0], [INF, INF, 1], [INF, -INF, 0], [NAN, 1, 2], [1, NAN, INF], [_MOST, _MOST, -_MOST], [-INF] * 3,
     [0, 4, 3], [0, 0, 3], [2, 2, 1], [1, 2, 2], [INF, 0, 0], [-INF, 0, 3], [1e30, 1e30, 1e-30], [5, 5, 5]],
    "float32",
)  # fmt: skip
REDUCTIONS = ["sum", "mean", "prod", "max", "min", "logsumexp", "var", "std"]
POSITIONS = ["argmax", "argmin"]
TRUTHS = ["any", "all"]
OVER_AN_AXIS = ["softmax", "log_softmax", "sparsemax"]
for _name in (*REDUCTIONS, *POSITIONS, *TRUTHS, *OVER_AN_AXIS):
    _smooth = _name in REDUCTIONS or _name in OVER_AN_AXIS
    along = lambda ops, x, o=_name: getattr(ops, o)(x, axis=-1)  # noqa: E731
    first = lambda ops, x, o=_name: getattr(ops, o)(x, axis=0)  # noqa: E731
    call(_name, "rows", along, ROWS, gradient=_smooth)
    call(_name, "one element", along, ONE, gradient=_smooth)
    call(_name, "axis 0 of ordinary numbers", first, np.float32([[1, 2, 3], [4, 4, 0]]), gradient=_smooth)
    for _dtype in DTYPES:
        call(_name, f"every {_dtype}", along, specials(_dtype)[None])
        call(_name, f"large {_dtype}", along, np.array([[100, 100, 3]]).astype(_dtype))
    call(_name, "no rows", along, np.zeros((0, 3), "float32"))
    call(_name, "empty rows", along, np.zeros((3, 0), "float32"))
    if _name not in OVER_AN_AXIS:
        call(_name, "empty", None, np.zeros((0,), "float32"))
        call(_name, "no axes", None, NO_AXES, gradient=_smooth)
        call(_name, "kept", lambda ops, x, o=_name: getattr(ops, o)(x, axis=-2, keepdims=True), ROWS[:3])
    if _name in (*REDUCTIONS, *TRUTHS):
        call(_name, "two axes", lambda ops, x, o=_name: getattr(ops, o)(x, axis=(0, -1)), np.float32([[1, 2], [0, 4]]),
             gradient=_smooth)  # fmt: skip
call("mean", "int32 that overflow", None, np.int32([2**31 - 1, 2**31 - 1]))
call("softmax", "far apart", None, np.float32([[1000, -1000], [88, -88]]), gradient=True)
call("log_softmax", "far apart", None, np.float32([[1000, -1000], [88, -88]]), gradient=True)
for _dtype in DTYPES:
    call("glu", f"every {_dtype}", None, specials(_dtype)[: len(specials(_dtype)) // 2 * 2])
call("glu", "special", None, np.float32([[1, INF, -INF, NAN], [0, 100, -100, -0.0]]), gradient=True)

# --- choosing, moving, making ----------------------------------------------------------------------------------------

M = np.float32([[0, -0.0, INF, 1], [NAN, 2, 2, -INF], [3, 1, 3, 0]])
for _dtype in DTYPES:
    _x = specials(_dtype)
    call("top_k", f"every {_dtype}", lambda ops, x: ops.top_k(x, len(x)), _x[_x == _x])
    for _name in ("ravel", "reshape", "squeeze", "transpose", "expand_dims", "broadcast_to", "pad", "take", "get_item"):
        _arguments = {
            "reshape": (-1,), "expand_dims": (-1,), "broadcast_to": ((3, 2, 2),), "pad": (((1, 0), (0, 2)),),
            "take": (1,), "get_item": (-1,),
        }.get(_name, ())  # fmt: skip
        by_name = lambda ops, x, o=_name, a=_arguments: getattr(ops, o)(x, *a)  # noqa: E731
        call(_name, _dtype, by_name, some(_dtype))
    call("swapaxes", _dtype, lambda ops, x: ops.swapaxes(x, 0, -1), some(_dtype))
    call("one_hot", f"labels of {_dtype}", lambda ops, x: ops.one_hot(x, 3), np.array([0, 1, 1]).astype(_dtype))
    call("zeros", _dtype, lambda ops, d=_dtype: ops.zeros((2,), dtype=d))
    call("ones", _dtype, lambda ops, d=_dtype: ops.ones((2,), dtype=d))
    call("full", _dtype, lambda ops, d=_dtype: ops.full((2,), 1, dtype=d))
    if _dtype not in ("bool", "uint8", "int8"):
        call("arange", _dtype, lambda ops, d=_dtype: ops.arange(3, dtype=d))
    call("convert_to_tensor", _dtype, None, specials(_dtype))
    call("convert_to_numpy", _dtype, None, specials(_dtype))
call("top_k", "ties", lambda ops, x: ops.top_k(x, 3), np.float32([[1, 5, 5, 3], [0, -0.0, 0, 0], [INF, INF, -INF, 1]]))
call("top_k", "NaN", lambda ops, x: ops.top_k(x, 3), np.float32([NAN, 1, 2, INF]))
call("in_top_k", "ties", lambda ops, x: ops.in_top_k(np.int32([2, 0, 1, 1]), x, 1),
     np.float32([[0.3, 0.3, 0.3], [1, 2, 0], [0, 1, 1], [2, 1, 1]]))  # fmt: skip
for _k in (1, 2, 5):
    call("in_top_k", f"special, k={_k}", lambda ops, x, k=_k: ops.in_top_k(np.int32([0, 1, 3, 3]), x, k),
         np.float32([[NAN, 1, 2, 3], [1, NAN, 2, 3], [0, 1, 2, INF], [0, 1, 2, 3]]))  # fmt: skip
call("in_top_k", "labels outside", lambda ops, x: ops.in_top_k(np.int32([-1, 4]), x, 2), np.ones((2, 3), "float32"))
for _what, _labels in {"-1 and too large": [-1, 4, 0], "none": []}.items():
    call("one_hot", _what, lambda ops, x: ops.one_hot(x, 3), np.array(_labels, "int32"))
call("one_hot", "a number", lambda ops: ops.one_hot(2, 3))
call("one_hot", "300 classes, bytes", lambda ops, x: ops.one_hot(x, 300), np.uint8([0, 255]))
for _text, _indices in {"0": 0, "-1": -1, "[]": [], "[[-3, 2], [0, 0]]": [[-3, 2], [0, 0]]}.items():
    call("take", f"{_text}, axis 0", lambda ops, x, i=_indices: ops.take(x, np.array(i, "int32"), 0), M, gradient=True)
    call("take", _text, lambda ops, x, i=_indices: ops.take(x, np.array(i, "int32")), M, gradient=True)
    call("take", f"{_text}, axis 1", lambda ops, x, i=_indices: ops.take(x, np.array(i, "int32"), -1), M, gradient=True)
for _dtype in ("uint8", "int8", "int64"):
    call("take", f"indices of {_dtype}", lambda ops, x, d=_dtype: ops.take(x, np.array([0, 2], d), 0), M)
call("take", "a Python number", lambda ops, x: ops.take(x, 0), M)
for _text, _key in {
    "0": 0, "-1": -1, "int64": np.int64(1), "int8": np.int8(-1), "an array of no axes": np.array(2), "None": (None, 0),
    "slice": slice(-2, None), "backwards": slice(None, None, -1), "nothing": slice(3, None), "..., -1": (..., -1),
    "two": (-1, slice(None, -1)),
}.items():  # fmt: skip
    call("get_item", f"[{_text}]", lambda ops, x, k=_key: ops.get_item(x, k), M, gradient=True)
    call("get_item", f"tensor[{_text}]", lambda ops, x, k=_key: x[k], M, gradient=True)
for _shape in (-1, (2, -1), [12], (12,), (np.int64(3), 4), (4, 3)):
    call("reshape", f"to {_shape}", lambda ops, x, s=_shape: ops.reshape(x, s), M, gradient=True)
call("reshape", "empty", lambda ops, x: ops.reshape(x, (2, 0, 3)), np.zeros((0, 2), "float32"))
call("ravel", "special", None, M, gradient=True)
call("ravel", "no axes", None, NO_AXES, gradient=True)
call("transpose", "(-1, 0)", lambda ops, x: ops.transpose(x, (-1, 0)), M, gradient=True)
call("swapaxes", "-1, -2", lambda ops, x: ops.swapaxes(x, -1, -2), M, gradient=True)
for _axis in (0, -1, 1, (0, -1)):
    call("expand_dims", f"{_axis}", lambda ops, x, a=_axis: ops.expand_dims(x, a), M, gradient=True)
for _axis in (0, -1, (0, -1)):
    call("squeeze", f"{_axis}", lambda ops, x, a=_axis: ops.squeeze(x, a), M.reshape(1, 3, 4, 1), gradient=True)
call("squeeze", "no axes", None, NO_AXES, gradient=True)
call("broadcast_to", "special", lambda ops, x: ops.broadcast_to(x, (2, 3, 4)), M, gradient=True)
call("broadcast_to", "to no rows", lambda ops, x: ops.broadcast_to(x, (0, 4)), M[:1])
for _axis in (0, -1):
    call("concatenate", f"axis {_axis}", lambda ops, x, a=_axis: ops.concatenate([x, x], axis=a), M, gradient=True)
    call("stack", f"axis {_axis}", lambda ops, x, a=_axis: ops.stack([x, x], axis=a), M, gradient=True)
call("concatenate", "with an empty one", lambda ops, x, y: ops.concatenate([x, y]), M, np.zeros((0, 4), "float32"))
call("pad", "of NaN", lambda ops, x: ops.pad(x, ((1, 1), (0, 1)), constant_values=NAN), M, gradient=True)
call("pad", "a number of whole numbers", lambda ops, x: ops.pad(x, ((1, 1),), constant_values=7), np.int32([1, 2]))
for _text, _arguments in {
    "(3)": (3,), "(0)": (0,), "(-2)": (-2,), "(3.0)": (3.0,), "(0.0, 1.0, 0.25)": (0.0, 1.0, 0.25),
    "(5, 0, -2)": (5, 0, -2),
    "(0, 1, 0.5)": (0, 1, 0.5), "(1, 2.5)": (1, 2.5), "(int64)": (np.int64(3),), "(float64)": (np.float64(2),),
    "(float32)": (np.float32(2),), "(-1, 1, 0.5)": (-1, 1, 0.5),
}.items():  # fmt: skip
    call("arange", _text, lambda ops, a=_arguments: ops.arange(*a))
for _value in (3, True, 2.5, NAN, -0.0):
    call("full", f"{_value}", lambda ops, v=_value: ops.full((2,), v))
call("full", "a length for a shape", lambda ops: ops.full(2, 1.5))
call("zeros", "no elements", lambda ops: ops.zeros((0, 2)))
call("zeros", "a length for a shape", lambda ops: ops.zeros(3))
call("ones", "no axes", lambda ops: ops.ones(()))
for _what, _value in {
    "[1]": [1], "1": 1, "True": True, "[1.5]": [1.5], "[1, 2.5]": [1, 2.5], "[]": [], "[True, False]": [True, False],
    "2**31 - 1": 2**31 - 1, "int64 in a list": [np.int64(1)], "an array of float64": np.array([1.5]), "1e39": 1e39,
    "a list of lists": [[1, 2], [3, 4]], "-0.0": -0.0, "2**31": 2**31,
}.items():  # fmt: skip
    call("convert_to_tensor", _what, lambda ops, v=_value: ops.convert_to_tensor(v))
    call("convert_to_numpy", _what, lambda ops, v=_value: ops.convert_to_numpy(ops.convert_to_tensor(v)))
call("shape", "of an array", None, M)
call("shape", "of a list", lambda ops: ops.shape([[1, 2, 3]]))
call("is_tensor", "a tensor", None, M)
call("is_tensor", "a number", lambda ops: ops.is_tensor(1.0))

# --- losses ----------------------------------------------------------------------------------------------------------

_P = np.float32([[0, 1, 0], [0.2, 0.3, 0.5], [1, 1, 2], [1e-30, 1, 1e-8]])
_Z = np.float32([[1000, -1000, 0], [INF, 0, 0], [0, -INF, 1], [88, 89, -200]])
_HOT = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
_BITS = np.float32([[1, 0, 1], [0, 1, 0], [0, 0.5, 1], [1, 0, 0]])
for _what, _output, _logits in (("probabilities", _P, False), ("logits", _Z, True)):
    call("sparse_categorical_crossentropy", _what,
         lambda ops, p, z=_logits: ops.sparse_categorical_crossentropy(np.int32([0, 1, 2, 0]), p, from_logits=z),
         _output, gradient=True)  # fmt: skip
    call("categorical_crossentropy", _what,
         lambda ops, p, z=_logits: ops.categorical_crossentropy(_HOT, p, from_logits=z),
         _output, gradient=True)  # fmt: skip
    call("binary_crossentropy", _what,
         lambda ops, p, z=_logits: ops.binary_crossentropy(_BITS, p, from_logits=z),
         _output, gradient=True)  # fmt: skip

# --- images ----------------------------------------------------------------------------------------------------------

IMAGE = np.float32([0, -0.0, INF, 1, 2, 2, -INF, 3, 0.5, 7, 7, 7, -1, 1, 0, 4]).reshape(1, 4, 4, 1)
TAME = np.float32([0, -0.0, 5, 1, 2, 2, -3, 3, 0.5, 7, 7, 7, -1, 1, 0, 4]).reshape(1, 4, 4, 1)
KERNEL = np.float32([[1, 0], [-1, 2]]).reshape(2, 2, 1, 1)
for _padding in ("valid", "same"):
    pools = {"max_pool": 3, "average_pool": 3}
    for _name, _size in pools.items():
        call(_name, f"{_padding}", lambda ops, x, o=_name, s=_size, p=_padding: getattr(ops, o)(x, s, 1, p), IMAGE)
        call(_name, f"{_padding}, tame", lambda ops, x, o=_name, s=_size, p=_padding: getattr(ops, o)(x, s, 2, p), TAME,
             gradient=True)  # fmt: skip
    for _name in ("conv", "depthwise_conv"):
        call(_name, f"{_padding}", lambda ops, x, w, o=_name, p=_padding: getattr(ops, o)(x, w, 1, p), TAME, KERNEL,
             gradient=True)  # fmt: skip
        call(_name, f"{_padding}, no images", lambda ops, x, w, o=_name, p=_padding: getattr(ops, o)(x, w, 1, p),
             TAME[:0], KERNEL)  # fmt: skip
call("max_pool", "no images", lambda ops, x: ops.max_pool(x, 2), TAME[:0])
call("average_pool", "no images", lambda ops, x: ops.average_pool(x, 2), TAME[:0])
call("max_pool", "NaN", lambda ops, x: ops.max_pool(x, 2), np.float32([1, NAN, 2, 3]).reshape(1, 2, 2, 1))
for _fill in ("constant", "nearest", "reflect", "wrap"):
    for _how in ("bilinear", "nearest"):
        call("image.affine_transform", f"{_fill}, {_how}",
             lambda ops, x, f=_fill, h=_how: ops.image.affine_transform(
                 x, np.float32([[1, 0.5, -2, 0, 1.5, 1, 0, 0]]), interpolation=h, fill_mode=f),
             TAME)  # fmt: skip

# --- mistakes --------------------------------------------------------------------------------------------------------

MISTAKES: list[Call] = []
"""Calls for which netchu has a sentence: axes that are not there or no whole numbers, shapes that do not fit."""


def mistake(operation: str, what: str, function: Callable[..., Any] | None, *inputs: Any) -> None:
    """Add a call that is to be refused."""
    call(operation, what, function, *inputs)
    MISTAKES.append(CALLS.pop())


COLUMN = np.ones((2, 1), "float32")
for _axis in (2, -3, 0.5, "a"):
    for _name in (*REDUCTIONS, *POSITIONS, *TRUTHS, *OVER_AN_AXIS, "glu", "expand_dims", "squeeze"):
        _axis_of = {"expand_dims": {2: 3, -3: -4}}.get(_name, {}).get(_axis, _axis)
        mistake(_name, f"axis {_axis_of}", lambda ops, x, o=_name, a=_axis_of: getattr(ops, o)(x, axis=a), COLUMN)
    mistake("transpose", f"(0, {_axis})", lambda ops, x, a=_axis: ops.transpose(x, (0, a)), COLUMN)
    mistake("swapaxes", f"0, {_axis}", lambda ops, x, a=_axis: ops.swapaxes(x, 0, a), COLUMN)
    mistake("take", f"axis {_axis}", lambda ops, x, a=_axis: ops.take(x, np.int32([0]), axis=a), COLUMN)
    mistake("concatenate", f"no axis {_axis}", lambda ops, x, a=_axis: ops.concatenate([x, x], axis=a), COLUMN)
    _axis_of = {2: 3, -3: -4}.get(_axis, _axis)
    mistake("stack", f"no axis {_axis_of}", lambda ops, x, a=_axis_of: ops.stack([x, x], axis=a), COLUMN)
mistake("transpose", "an axis twice", lambda ops, x: ops.transpose(x, (0, 0)), COLUMN)
mistake("transpose", "too few axes", lambda ops, x: ops.transpose(x, (0,)), COLUMN)
mistake("squeeze", "a longer axis", lambda ops, x: ops.squeeze(x, 0), COLUMN)
mistake("reshape", "to another size", lambda ops, x: ops.reshape(x, (3,)), COLUMN)
mistake("reshape", "two unknown lengths", lambda ops, x: ops.reshape(x, (-1, -1)), COLUMN)
mistake("broadcast_to", "another length", lambda ops, x: ops.broadcast_to(x, (3, 1)), COLUMN)
mistake("concatenate", "shapes that do not fit", lambda ops, x: ops.concatenate([x, x[:, None]]), COLUMN)
mistake("concatenate", "nothing", lambda ops: ops.concatenate([]))
mistake("stack", "shapes that differ", lambda ops, x: ops.stack([x, x[:1]]), COLUMN)
mistake("stack", "nothing", lambda ops: ops.stack([]))
for _name in (*ARITHMETIC, *COMPARISONS):
    mistake(_name, "shapes that do not fit", None, np.ones(2, "float32"), np.ones(3, "float32"))
mistake("where", "shapes that do not fit", None, np.array([True, False]), np.ones(3), np.ones(3))
mistake("one_hot", "fewer than no classes", lambda ops, x: ops.one_hot(x, -1), np.int32([0]))
mistake("top_k", "no axes", lambda ops, x: ops.top_k(x, 1), NO_AXES)
mistake("matmul", "no axes", None, NO_AXES, NO_AXES)

# --- comparing -------------------------------------------------------------------------------------------------------

RTOL = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-12}
"""For each element by itself: exp and tanh of two libraries differ by a few units in the last place, and a formula
takes several of them; in float16 each of its steps rounds to 5e-4."""

GRADIENT_ATOL = 5e-7
"""Slopes such as 1 - tanh(x)**2 are differences of numbers near 1, rounded in float32 to 6e-8 each."""

NARROW = {"int64": "int32", "float64": "float32"}


def narrowed(array: np.ndarray) -> np.ndarray:
    """An array as JAX holds it: in 32 bits; whole numbers that have none become the nearest that do."""
    if array.dtype == np.int64:
        bounds = np.iinfo("int32")
        array = np.clip(array, bounds.min, bounds.max)
    with np.errstate(over="ignore"):
        return array.astype(NARROW.get(array.dtype.name, array.dtype))


Outcome: TypeAlias = list[Any] | Exception
"""What a call gives: a list of NumPy arrays and None; or the exception that it raises."""


def outcome(function: Callable[[], Any]) -> Outcome:
    """What a function gives."""
    try:
        with np.errstate(all="ignore"):
            result = function()
            several = result if isinstance(result, (list, tuple)) else [result]
            return [one if one is None else np.asarray(one) for one in several]
    except Exception as error:
        return error


def differences(actual: Outcome, expected: Outcome, *, atol: float = 0.0) -> str:
    """How two outcomes differ; empty if they do not.  Two exceptions do not."""
    if isinstance(expected, Exception):
        return "" if isinstance(actual, Exception) else "no error"
    if isinstance(actual, Exception):
        return f"raises {type(actual).__name__}: {actual!s:.100}"
    if len(actual) != len(expected):
        return f"{len(actual)} results instead of {len(expected)}"
    return "; ".join(filter(None, (_difference(a, b, atol) for a, b in zip(actual, expected))))


def _difference(a: Any, b: Any, atol: float) -> str:
    if a is None or b is None:
        return "" if a is b else f"{a} instead of {b}"
    if a.dtype != b.dtype:
        return f"{a.dtype} instead of {b.dtype}"
    if a.shape != b.shape:
        return f"shape {a.shape} instead of {b.shape}"
    if a.dtype.kind != "f":
        wrong = a != b
    else:
        atol = atol if a.dtype == np.float32 else 0.0
        smallest = 4 * float(np.finfo(a.dtype).tiny)  # near it a library may take everything for 0
        with np.errstate(all="ignore"):
            near = np.abs(a.astype("float64") - b) <= RTOL[a.dtype.name] * np.abs(b.astype("float64")) + smallest + atol
        same = (a == b) | (np.isnan(a) & np.isnan(b)) | (near & np.isfinite(a) & np.isfinite(b))
        wrong = ~same
    if not wrong.any():
        return ""
    at = np.argwhere(wrong)[:4].tolist()
    found = ", ".join(f"{i}: {a[tuple(i)]} instead of {b[tuple(i)]}" for i in at)
    return f"{int(wrong.sum())} of {wrong.size}: {found}"
