"""Sequential: layers one after the other, and back from a file.

    model = Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=5, batch_size=128)
    model.save("model.safetensors");  model = load_model("model.safetensors")

What a Sequential computes is the for-loop in `call`.  How it is trained stands in `training.py`.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from types import SimpleNamespace
from typing import Any

from netchu import activations, checks, engines, layers, losses, metrics, optimizers, random, saving
from netchu.errors import ModelFileError, NetchuError, ShapeError, UsageError, choices, printable
from netchu.layers.base import BatchShape, Layer, shapes_only, unused_name
from netchu.layers.core import InputLayer
from netchu.limits import refuse_keras_name
from netchu.registry import to_json
from netchu.stepping import CompiledSteps
from netchu.summary import summary_text
from netchu.tape import Tensor, Variable
from netchu.training import Trainer

__all__ = ["Sequential", "load_model"]


# The module that reads and writes Keras's files; on a floor above, and loaded when it is asked for.
KERAS_FILES = "netchu.interop.keras_files"
# format -> the module whose `export(model, filepath)` writes it; on a floor above, and loaded when it is asked for.
EXPORTERS = {"onnx": "netchu.interop.onnx"}


class Sequential(Trainer):
    """A model whose layers follow one another.

    Args:
        layers: in order; an `Input` first builds the model at once, otherwise it is built by the first data.
        name: for summaries.

    Attributes:
        info: a dictionary that `save` writes into the file and `load_model` reads: how the model was trained.

    Raises:
        UsageError: something that is no layer, or two layers of one given name.
    """

    def __init__(self, layers: Iterable[Layer] | None = None, *, name: str | None = None, **settings: Any) -> None:
        super().__init__(name=name, **settings)
        self._input: InputLayer | None = None
        self._layers: list[Layer] = []
        self._shapes: list[BatchShape] = []  # the model's input, then each layer's output, once they are known
        self.info: dict[str, Any] = {}
        for layer in layers or ():
            self.add(layer)

    # --- what it is made of ------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the Input."""
        return list(self._layers)

    def add(self, layer: Layer) -> None:
        """Put a layer at the end."""
        checks.check_layer(layer)
        if isinstance(layer, InputLayer):
            if self._layers or self._input is not None:
                raise UsageError("Sequential", expected="Input as the first entry only", got=f"{layer!r}")
            self._input = layer
            self._shapes = [layer.compute_output_shape(())]
            return
        if any(layer is known for known in self._layers):
            raise UsageError(
                f"All layers added to a Sequential model should have unique names. Layer '{layer.name}' is already in "
                "this model. Make another layer."
            )
        self._give_name(layer)
        self._layers.append(layer)
        if self._shapes:
            self._build_layer(layer)
        self._changed()

    def pop(self) -> Layer:
        """Take the last layer away and return it."""
        if not self._layers:
            raise UsageError("Sequential.pop", expected="at least one layer", got="layers=[]")
        layer = self._layers.pop()
        del self._shapes[len(self._layers) + 1 :]
        self._changed()
        return layer

    def _changed(self) -> None:
        """Compiled steps and slots belong to the layers there were: compile anew."""
        self.built = bool(self._layers) and len(self._shapes) == len(self._layers) + 1
        self.optimizer = None
        self._compiled_steps = CompiledSteps()

    def _give_name(self, layer: Layer) -> None:
        taken = {known.name for known in self._layers}
        if layer.name in taken and layer.named_by_user:
            raise UsageError(
                f"All layers added to a Sequential model should have unique names. Name '{layer.name}' is already the "
                "name of a layer in this model. Pass another `name`."
            )
        layer.name = unused_name(layer.name, taken)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name or at that index; UsageError lists the names if there is none."""
        if index is not None:
            if not -len(self._layers) <= index < len(self._layers):
                raise UsageError("get_layer", expected=f"an index below {len(self._layers)}", got=f"{index=}")
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise UsageError(choices("layer", name, [layer.name for layer in self._layers]))

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self._entries))}])"

    @property
    def _entries(self) -> list[Layer]:
        """The layers in order, the Input first if there is one."""
        return [*([self._input] if self._input is not None else []), *self._layers]

    # --- what it computes --------------------------------------------------------------------------------------------

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Each layer on what the one before it gave."""
        for layer in self._layers:
            x = layer(x, training=training)
        return x

    def build(self, input_shape: BatchShape) -> None:
        """Make all weights for inputs of `input_shape`, e.g. (None, 784)."""
        if not self._layers:
            raise UsageError("Sequential", expected="at least one layer", got="layers=[]", do="Call add().")
        if self._input is None:
            self._input = InputLayer(tuple(input_shape)[1:])
        self._shapes = [(None, *self._input.shape)]
        for layer in self._layers:
            self._build_layer(layer)
        self.built = True

    def _build_layer(self, layer: Layer) -> None:
        layer.ensure_built(self._shapes[-1])
        self._shapes.append(layer.compute_output_shape(self._shapes[-1]))

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """The shape after the last layer; ShapeError if the model has another input shape."""
        own = self._shapes[0] if self._shapes else input_shape
        if len(own) != len(input_shape) or any(None not in (n, m) and n != m for n, m in zip(own, input_shape)):
            raise ShapeError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer: expected shape={own}, found "
                f"shape={input_shape}"
            )
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    @property
    def input_shape(self) -> BatchShape:
        """(None, ...); UsageError while it is not known."""
        if not self._shapes:
            raise UsageError(
                "Sequential",
                expected="a built model",
                got="built=False",
                do="Put Input((width,)) first, or call build((None, width)).",
            )
        return self._shapes[0]

    @property
    def output_shape(self) -> BatchShape:
        """(None, ...); UsageError while it is not known."""
        return self._shapes[-1] if self.input_shape else ()

    def layers_with_shapes(self) -> list[tuple[Layer, BatchShape | None]]:
        """Each layer with the shape of its output, None while that is not known."""
        shapes = self._shapes[1:] if self.built else [None] * len(self._layers)
        return list(zip(self._layers, shapes))

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], None] = print,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Print the layers, the shapes of their outputs and the numbers of their parameters, in Keras's box.

        Args:
            line_length: columns; None for Keras's width.
            positions: where the columns end, as shares of the line.
            print_fn: what is called with the text.
            expand_nested: whether to show the layers of the models in it.
            show_trainable: whether to show which layers are trained.
        """
        print_fn(summary_text(self, line_length, positions, expand_nested, show_trainable))

    # --- configuration and files -------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON values."""
        return {"name": self.name, "layers": [to_json(layer) for layer in self._entries]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Sequential:
        """A model of this architecture, with new weights.

        Args:
            config: as `get_config` gives it.
            custom_objects: class name -> class, for layers of one's own.
        """
        if not isinstance(config["layers"], list):
            raise UsageError("Sequential", expected="layers as a list", got=f"layers={config['layers']!r:.60}")
        nested = SimpleNamespace(from_config=lambda config: cls.from_config(config, custom_objects))
        known = {"Sequential": nested, **(custom_objects or {})}
        entries = [layers.registry.get(entry, known) for entry in config["layers"]]
        return cls(entries, name=config.get("name"))

    def named_weights(self) -> dict[str, Variable]:
        """The weights by the names that files use: `dense/kernel`."""
        weights = set(map(id, self.weights))
        return {name: variable for name, variable in self.state().items() if id(variable) in weights}

    def save(self, filepath: str | PathLike[str]) -> None:
        """Write architecture, weights and compile settings to one `.safetensors` or `.keras` file, atomically.

        Of the two, `.keras` is Keras's and holds the optimizer's slots.  Metrics, losses and optimizers of one's own
        are part of neither.  Equal models give equal files.

        Raises:
            UsageError: the model is not built, the name has another ending, Keras does not have one of the layers, or
                there is more of something than a file may hold (see docs/file-format.md).
            ModelFileError: weights with NaN or infinity.
            OSError: the file cannot be written; an old one stays.
        """
        if not str(filepath).endswith((".safetensors", ".keras")):
            raise UsageError(
                "save", expected="a name ending in .safetensors or .keras", got=f"filepath={str(filepath)!r}"
            )
        if not self.built:
            raise UsageError("save", expected="a built model", got="built=False", do="Call build() or fit().")
        config = {"model": self.get_config(), "compile": self._compile_config()}
        _check_limits("save", config)
        _check_outputs("save", self)
        _refuse_namesakes(self)
        if str(filepath).endswith(".keras"):
            importlib.import_module(KERAS_FILES).save_model(self, filepath)
            return
        engine = engines.current()
        about = {
            "engine": engine.name,
            "engine_version": engine.version(),
            "threads": engine.threads(),
            "seed": random.seed(),
        }
        arrays = {name: variable.numpy() for name, variable in self.named_weights().items()}
        saving.write(filepath, config, {**about, **self.info}, arrays)

    def save_weights(self, filepath: str | PathLike[str]) -> None:
        """Write the weights to a `.weights.h5` file; see `netchu.interop.keras_files.save_weights`."""
        importlib.import_module(KERAS_FILES).save_weights(self, filepath)

    def load_weights(self, filepath: str | PathLike[str]) -> None:
        """Read weights from a `.weights.h5` file; see `netchu.interop.keras_files.load_weights`."""
        importlib.import_module(KERAS_FILES).load_weights(self, filepath)

    def export(self, filepath: str | PathLike[str], format: str = "onnx") -> None:
        """Write the model for other programs, which can use it without netchu; see `netchu.interop`.

        Args:
            filepath: a name ending in .onnx.
            format: `"onnx"`.

        Raises:
            UsageError: another format, or a model that the format cannot hold.
            MissingExtraError: the format's library is not installed.
            OSError: the file cannot be written; an old one stays.
        """
        if format not in EXPORTERS:
            raise UsageError(choices("export format", format, list(EXPORTERS)))
        importlib.import_module(EXPORTERS[format]).export(self, filepath)

    def _compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, where netchu knows it by name; None for an optimizer or a loss of one's own."""
        chosen = self._compiled_metrics
        if chosen is None or not optimizers.is_known(self.optimizer) or type(self.loss) not in losses.classes:
            return None
        plain, weighted = (
            [to_json(m) for m in given if isinstance(m, str) or type(m) in metrics.classes]
            for given in (chosen.plain_given, chosen.weighted_given)
        )
        both = {"optimizer": to_json(self.optimizer), "loss": to_json(self.loss)}
        return {**both, "metrics": plain, "weighted_metrics": weighted}


def _refuse_namesakes(model: Sequential) -> None:
    """Raise UsageError for code of one's own that a file could only name, and that would come back as netchu's."""
    for layer in model.layers:
        known = layers.registry.table.get(type(layer).__name__, type(layer))
        if known is not type(layer):
            raise UsageError(
                "save", expected="a class name that netchu does not use", got=f"{type(layer).__qualname__}"
            )
        of_netchu = type(layer).__name__ in layers.registry.table  # what a layer of one's own keeps is its own business
        for name, value in vars(layer).items():
            if of_netchu and inspect.isfunction(value) and value not in activations.known:
                raise UsageError(
                    "save",
                    expected=f"a function that netchu knows as {name} of layer {layer.name!r}",
                    got=f"{value.__qualname__}",
                    do="Write it as a layer of your own, and give its class to load_model(custom_objects=...).",
                )
        if isinstance(layer, Sequential):
            _refuse_namesakes(layer)


# What a file may ask for, at most.
MAX_LAYERS = 2000  # making a model takes time in proportion to their square
MAX_METRICS = 100
MAX_OUTPUT = 1 << 28  # numbers that a layer makes of one sample: 1 GiB in float32


def _check_limits(where: str, config: dict[str, Any]) -> None:
    """Raise UsageError if the configuration of a file asks for too much; looked at before anything is made of it."""
    counts = {"layers": (count_layers(config.get("model")), MAX_LAYERS)}
    chosen = config.get("compile") or {}
    for key in ("metrics", "weighted_metrics"):
        counts[key] = (len(chosen.get(key, [])), MAX_METRICS)
    for name, (count, most) in counts.items():
        if count > most:
            raise UsageError(where, expected=f"at most {most} {name}", got=f"{count}")


def _check_outputs(where: str, model: Sequential) -> None:
    """Raise UsageError if a layer makes more numbers of a sample than a prediction should ever need memory for."""
    for layer, shape in model.layers_with_shapes():
        if shape is not None and math.prod(n or 1 for n in shape) > MAX_OUTPUT:
            raise UsageError(
                where, expected=f"layers of at most {MAX_OUTPUT} outputs", got=f"output shape {shape} of {layer.name!r}"
            )
        if isinstance(layer, Sequential):
            _check_outputs(where, layer)


def count_layers(config: Any) -> int:
    """How many layers a configuration describes, those of inner models included."""
    entries = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(entries, list):
        return 0
    return sum(1 + count_layers(e.get("config") if isinstance(e, dict) else e) for e in entries)


# What making a layer from a hostile configuration can raise.
UNFIT = (
    NetchuError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def empty_model(config: Any, custom_objects: Mapping[str, Any] | None, path: str) -> Sequential:
    """A model of a file's architecture, whose weights have shapes but no memory yet.

    Args:
        config: as `Sequential.get_config` gives it.
        custom_objects: class name -> class, for layers of one's own.
        path: of the file, for messages.

    Raises:
        ModelFileError: it describes no model.
    """
    try:
        _check_limits("load_model", {"model": config})
        with shapes_only():
            model = Sequential.from_config(config, custom_objects)
            model.ensure_built(model.input_shape)
        _check_outputs("load_model", model)
    except UNFIT as error:
        raise ModelFileError(
            f"{path}: expected an architecture of known layers, got: {printable(f'{error!s:.300}')}"
        ) from None
    return model


def load_model(
    filepath: str | PathLike[str], custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Sequential:
    """Read a model that `save` wrote, or from a `.keras` file one that Keras wrote.

    Nothing in the file is executed; only netchu's own layers, and classes given here, are made.

    Args:
        filepath: of the model.
        custom_objects: class name -> class, for layers of one's own.
        compile: whether to compile it as it was.

    Raises:
        DataNotFoundError: no such file.
        ModelFileError: it is no such model, is damaged, names an unknown layer, or its tensors do not fit its
            architecture; found out before anything of its size is allocated.
    """
    if str(filepath).endswith(".keras"):
        read: Sequential = importlib.import_module(KERAS_FILES).load_model(filepath, custom_objects, compile)
        return read
    file = saving.read(filepath)
    model = empty_model(file.config.get("model"), custom_objects, file.path)
    variables = model.named_weights()
    expected = {name: saving.TensorSpec(v.dtype, v.shape) for name, v in variables.items()}
    wrong = [
        f"{name[:60]!r}: expected {expected.get(name, 'nothing')}, got {file.specs.get(name, 'nothing')}"
        for name in sorted({*expected, *file.specs})
        if expected.get(name) != file.specs.get(name)
    ]
    if wrong:
        raise ModelFileError(f"{file.path}: expected tensors that fit the architecture. {'; '.join(wrong[:5])[:1000]}")
    arrays = file.arrays()
    for name, variable in variables.items():
        variable.array = engines.current().asarray(arrays[name])
    model.info = file.info
    if compile and file.config.get("compile"):
        _compile_as_saved(model, file)
    return model


def _compile_as_saved(model: Sequential, file: saving.ModelFile) -> None:
    try:
        settings = file.config["compile"]
        _check_limits("load_model", {"compile": settings})
        if settings["loss"] is None:
            raise UsageError("compile", expected="a loss", got="loss=None")
        optimizer, loss = optimizers.get(settings["optimizer"]), losses.get(settings["loss"])
        plain, weighted = (settings.get(key, []) for key in ("metrics", "weighted_metrics"))
        model.compile(optimizer, loss, metrics=plain, weighted_metrics=weighted)
    except UNFIT as error:
        raise ModelFileError(
            f"{file.path}: expected compile settings with known names, got: {printable(f'{error!s:.300}')}"
        ) from None


def __getattr__(name: str) -> Any:
    refuse_keras_name("netchu.models", name)
    raise AttributeError(f"module 'netchu.models' has no attribute {name!r}")
