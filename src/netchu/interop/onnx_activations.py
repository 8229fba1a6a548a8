"""Each activation function of netchu as ONNX operators of opset 17, which knows Relu but not Mish or Gelu.

Formulas are those of `netchu.ops.activations`; g is the graph, x the name of the input, the name of the output is
returned.  A function takes the defaults that a layer gives it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from netchu import activations
from netchu.errors import UsageError
from netchu.interop.onnx_graph import Graph
from netchu.ops.activations import SELU_ALPHA, SELU_SCALE

FLOAT = 1  # onnx.TensorProto.FLOAT

Maker: TypeAlias = Callable[[Graph, str], str]


def operator(name: str, **attributes: Any) -> Maker:
    """An activation that ONNX has itself."""
    return lambda g, x: g.add(name, x, **attributes)


def relu(g: Graph, x: str, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> str:
    """`x` above `threshold`, else `negative_slope * (x - threshold)`; at most `max_value`."""
    if threshold != 0.0:
        below = g.add("Mul", negative_slope, g.add("Sub", x, threshold))
        y = g.add("Where", g.add("Greater", x, threshold), x, below)
    elif negative_slope != 0.0:
        y = g.add("LeakyRelu", x, alpha=float(negative_slope))
    else:
        y = g.add("Relu", x)
    return y if max_value is None else g.add("Min", y, max_value)


def _gelu(g: Graph, x: str) -> str:
    doubled = g.add("Add", 1.0, g.add("Erf", g.add("Mul", x, 1 / math.sqrt(2))))
    return g.add("Mul", g.add("Mul", 0.5, x), doubled)


def _squareplus(g: Graph, x: str) -> str:
    root = g.add("Sqrt", g.add("Add", g.add("Mul", x, x), 4.0))
    return g.add("Mul", 0.5, g.add("Add", x, root))


def _sparse_sigmoid(g: Graph, x: str) -> str:
    return g.add("Clip", g.add("Mul", 0.5, g.add("Add", x, 1.0)), 0.0, 1.0)


def _sparse_plus(g: Graph, x: str) -> str:
    """t * t + max(x - 1, 0) for t = sparse_sigmoid(x): the square up to 1, where t stays 1, and the rest above."""
    t = _sparse_sigmoid(g, x)
    return g.add("Add", g.add("Mul", t, t), g.add("Relu", g.add("Sub", x, 1.0)))


def _glu(g: Graph, x: str) -> str:
    value, gate = g.add_many("Split", 2, x, axis=g.axis(-1))
    return g.add("Mul", value, g.add("Sigmoid", gate))


def _sparsemax(g: Graph, x: str) -> str:
    """`max(x - tau, 0)`, tau from the longest head of the sorted row that lies above the head's own threshold."""
    x = g.channels(x, first=False)
    n = g.shape[-1] or 0
    last = np.asarray([-1])
    largest, _ = g.add_many("TopK", 2, x, np.asarray([n]), axis=-1)
    heads = g.add("CumSum", largest, np.asarray(-1))
    above = g.add("Add", 1.0, g.add("Mul", np.arange(1, n + 1, dtype=np.float32), largest))
    inside = g.add("Cast", g.add("Greater", above, heads), to=FLOAT)
    total = g.add("ReduceSum", g.add("Mul", largest, inside), last)
    tau = g.add("Div", g.add("Sub", total, 1.0), g.add("ReduceSum", inside, last))
    return g.add("Relu", g.add("Sub", x, tau))


MAKERS: dict[str, Maker] = {
    "celu": operator("Celu", alpha=1.0),
    "elu": operator("Elu", alpha=1.0),
    "exponential": operator("Exp"),
    "gelu": _gelu,
    "glu": _glu,
    "hard_shrink": operator("Shrink", lambd=0.5, bias=0.0),
    "hard_sigmoid": operator("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_silu": operator("HardSwish"),
    "hard_tanh": lambda g, x: g.add("Clip", x, -1.0, 1.0),
    "leaky_relu": operator("LeakyRelu", alpha=0.2),
    "linear": lambda g, x: x,
    "log_sigmoid": lambda g, x: g.add("Neg", g.add("Softplus", g.add("Neg", x))),
    "log_softmax": lambda g, x: g.add("LogSoftmax", x, axis=g.axis(-1)),
    "mish": lambda g, x: g.add("Mul", x, g.add("Tanh", g.add("Softplus", x))),
    "relu": relu,
    "relu6": lambda g, x: g.add("Clip", x, 0.0, 6.0),
    "selu": operator("Selu", alpha=SELU_ALPHA, gamma=SELU_SCALE),
    "sigmoid": operator("Sigmoid"),
    "silu": lambda g, x: g.add("Mul", x, g.add("Sigmoid", x)),
    "soft_shrink": operator("Shrink", lambd=0.5, bias=0.5),
    "softmax": lambda g, x: g.add("Softmax", x, axis=g.axis(-1)),
    "softplus": operator("Softplus"),
    "softsign": operator("Softsign"),
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "sparsemax": _sparsemax,
    "squareplus": _squareplus,
    "tanh": operator("Tanh"),
    "tanh_shrink": lambda g, x: g.add("Sub", x, g.add("Tanh", x)),
}


def activate(g: Graph, x: str, function: Callable[..., Any], where: str) -> str:
    """`function(x)`.

    Args:
        g: the graph.
        x: the name of the input.
        function: an activation of netchu.
        where: whose activation it is, for the message.

    Raises:
        UsageError: a function of your own, or one that needs more arguments than a layer gives.
    """
    if function not in activations.known or function.__name__ not in MAKERS:
        shown = getattr(function, "__qualname__", repr(function))
        raise UsageError(
            where, expected="an activation that ONNX operators can say", got=f"activation={shown}",
            do=f"Use one of {', '.join(MAKERS)}.",
        )  # fmt: skip
    return MAKERS[function.__name__](g, x)
