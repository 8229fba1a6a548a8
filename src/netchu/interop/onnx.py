"""ONNX files: a trained model for ONNX Runtime, and for all that reads ONNX, without netchu or Python.

    model.export("digits.onnx")                        # or: netchu export digits.safetensors digits.onnx --verify
    y = netchu.interop.onnx.run("digits.onnx", x)      # what ONNX Runtime makes of it

The file holds what the model computes outside training.  Its one input is called `input`, its one output `output`;
both are float32, have the model's shapes, channels last, and take any number of samples.  Weights keep netchu's names
(`dense/kernel`).  Opset 17 and IR version 8, both of 2022, so that runtimes of that time on read it.

Needs `pip install 'netchu[onnx]'`.  Limits: netchu's own layers and activations, float32, at most 2 GiB.
"""

from __future__ import annotations

import importlib
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from netchu.errors import ModelFileError, UsageError, missing_extra
from netchu.interop.model import Model, check_order
from netchu.interop.onnx_graph import Graph
from netchu.interop.onnx_layers import add_model
from netchu.layers.base import BatchShape
from netchu.system.disk import write_atomically

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
IR_VERSION = 8
MAX_WEIGHT_BYTES = 2**31 - 2**24  # a protobuf ends at 2 GiB; 16 MiB for all that is not weights
BATCH = 1000  # samples at a time in `run`


def need(*libraries: str) -> None:
    """Import libraries; raise MissingExtraError with the pip line for the first that is not installed."""
    for library in libraries:
        try:
            importlib.import_module(library)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != library:
                raise
            raise missing_extra("Writing or running an ONNX file", library, "onnx") from None


def export(model: Model, filepath: str | PathLike[str]) -> None:
    """Write a model to an ONNX file, atomically; equal models give equal files.

    Args:
        model: built.
        filepath: a name ending in .onnx; an old file of that name is replaced.

    Raises:
        UsageError: a model that is not built, a layer or activation of your own, numbers that are not float32.
        ModelFileError: weights with NaN or infinity.
        MissingExtraError: onnx is not installed.
        OSError: the file cannot be written; an old one stays.
    """
    if not fspath(filepath).endswith(".onnx"):
        raise UsageError("export", expected="a name ending in .onnx", got=f"filepath={fspath(filepath)!r}")
    need("onnx")
    import onnx

    proto = to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(filepath, proto.SerializeToString(deterministic=True))


def to_proto(model: Model) -> ModelProto:
    """The model as the object that an ONNX file holds; see `export`."""
    from onnx import TensorProto, helper, numpy_helper

    graph = to_graph(model)
    nodes = [helper.make_node(n.operator, n.inputs, n.outputs, n.name, **n.attributes) for n in graph.nodes]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, _dimensions(shape))
        for name, shape in (("input", model.input_shape), ("output", model.output_shape))
    ]
    weights = [numpy_helper.from_array(a, name) for name, a in graph.constants.items()]
    return helper.make_model(
        helper.make_graph(nodes, model.name, ends[:1], ends[1:], weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="netchu",
        doc_string=f"Input: float32 {_shown(model.input_shape)}. Output: float32 {_shown(model.output_shape)}.",
    )


def to_graph(model: Model) -> Graph:
    """The model as a list of operators that ends in `output`.

    Args:
        model: built.

    Raises:
        UsageError, ModelFileError: see `export`.
    """
    if not model.built:
        raise UsageError("export", expected="a built model", got="built=False", do="Call build() or fit().")
    check_order("export", model)
    weights = model.named_weights()
    graph = Graph({id(variable): name for name, variable in weights.items()}, model.input_shape)
    add_model(graph, model)
    graph.value = graph.channels(graph.value, first=False)
    if not graph.nodes:  # a model that does nothing outside training
        graph.add("Identity", graph.value)
    graph.nodes[-1].outputs[0] = "output"
    for name, array in graph.constants.items():
        if not np.isfinite(array).all():
            raise ModelFileError("export", expected="finite weights", got=f"NaN or infinity in {name!r}")
    size = sum(array.nbytes for array in graph.constants.values())
    if size > MAX_WEIGHT_BYTES:
        raise UsageError("export", expected=f"at most {MAX_WEIGHT_BYTES:,} bytes of weights", got=f"{size:,}")
    return graph


def _dimensions(shape: BatchShape) -> list[int | str]:
    """(None, None, 3) -> ["batch", "axis_1", 3]: a dimension that is not known has a name."""
    return [("batch" if i == 0 else f"axis_{i}") if n is None else n for i, n in enumerate(shape)]


def _shown(shape: BatchShape) -> str:
    return f"({', '.join(map(str, _dimensions(shape)))})"


def run(filepath: str | PathLike[str], x: Any) -> np.ndarray:
    """What ONNX Runtime computes from `x` with the model in a file, on one thread.

    Args:
        filepath: a file that `export` wrote.
        x: (batch, ...), as the model takes it.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: it warns of what it finds in the machine, not in the file
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(fspath(filepath), options, providers=["CPUExecutionProvider"])
    x = np.asarray(x, np.float32)
    parts = [session.run(["output"], {"input": x[i : i + BATCH]})[0] for i in range(0, len(x), BATCH)]
    return np.concatenate(parts)
