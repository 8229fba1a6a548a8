"""Sequential: layers one after the other.

    model = Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=5, batch_size=128)

What a Sequential computes is the for-loop in `call`.  How it is trained stands in `netchu.training`, how it is saved in
`saving.py` beside this one, and how a file becomes one in `loading.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from types import SimpleNamespace
from typing import Any

from netchu import layers
from netchu.arguments import checked_list, is_whole
from netchu.errors import MissingAttributeError, ShapeError, UsageError, unknown_name
from netchu.layers.base import BatchShape, Layer
from netchu.layers.core import InputLayer
from netchu.models import saving
from netchu.models.summary import summary_text
from netchu.registry import to_json, unused_name
from netchu.system.printing import say
from netchu.tensor import Tensor
from netchu.training.trainer import Trainer


class Sequential(Trainer):
    """A model whose layers follow one another.

    Args:
        layers: in order; an `Input` first builds the model at once, otherwise it is built by the first data.
        name: for summaries.

    Raises:
        UsageError: something that is no layer, or two layers of one given name.
    """

    def __init__(self, layers: Iterable[Layer] | None = None, *, name: str | None = None, **settings: Any) -> None:
        super().__init__(name=name, **settings)
        self._input: InputLayer | None = None
        self._layers: list[Layer] = []
        self._shapes: list[BatchShape] = []  # the model's input, then each layer's output, once they are known
        for layer in () if layers is None else checked_list("Sequential", layers=layers):
            self.add(layer)

    # --- what it is made of ------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the Input."""
        return list(self._layers)

    def add(self, layer: Layer) -> None:
        """Put a layer at the end; call `compile` anew afterwards.

        Args:
            layer: a new one; an `Input` comes first and builds the model.

        Raises:
            UsageError: no layer, one that is in the model already, or another with a name that was given twice.
        """
        _check_layer(layer)
        if isinstance(layer, InputLayer):
            if self._layers or self._input is not None:
                raise UsageError("Sequential", expected="Input as the first entry only", got=f"{layer!r}")
            self._input = layer
            self._shapes = [layer.compute_output_shape(())]
            return
        if any(layer is known for known in self._layers):
            raise UsageError(
                "All layers added to a Sequential model should have unique names",
                expected="a layer that is not in this model",
                got=f"layer '{layer.name}', which is",
                do="Make another layer.",
            )
        self._give_name(layer)
        if isinstance(layer, Sequential) and not self._layers and self._input is None and layer.built:
            self._input = InputLayer(layer.input_shape[1:])  # the inner model says what goes in
            self._shapes = [layer.input_shape]
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
        """Traced steps and slots belong to the layers there were: compile anew."""
        self.built = bool(self._layers) and len(self._shapes) == len(self._layers) + 1
        self.optimizer = None
        self.forget_traced_steps()
        self._changes += 1  # a model around this one is to trace its steps anew, too

    def _give_name(self, layer: Layer) -> None:
        taken = {known.name for known in self._layers}
        if layer.name in taken and layer.named_by_user:
            raise UsageError(
                "All layers added to a Sequential model should have unique names",
                expected="a name that no layer of this model has",
                got=f"name='{layer.name}'",
                do="Pass another `name`.",
            )
        layer.name = unused_name(layer.name, taken)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name or at that index.

        Args:
            name: of the layer.
            index: of the layer in `layers`; goes before the name.

        Raises:
            UsageError: there is none; the message lists the names.
        """
        if index is not None:
            if not is_whole(index) or not -len(self._layers) <= index < len(self._layers):
                raise UsageError("get_layer", expected=f"an index below {len(self._layers)}", got=f"{index=}")
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise unknown_name("layer", name, [layer.name for layer in self._layers])

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self.input_and_layers))}])"

    @property
    def input_and_layers(self) -> list[Layer]:
        """The layers in order, the Input first if there is one."""
        return [*([self._input] if self._input is not None else []), *self._layers]

    @property
    def calls_layers_in_order(self) -> bool:
        """Whether nobody has given its class a `call` of another kind."""
        return type(self).call is Sequential.call

    # --- what it computes --------------------------------------------------------------------------------------------

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
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
        layer._build_inside(self._shapes[-1])
        self._shapes.append(layer.compute_output_shape(self._shapes[-1]))

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """The shape after the last layer; ShapeError if the model has another input shape."""
        input_shape = tuple(checked_list("compute_output_shape", input_shape=input_shape))
        own = self._shapes[0] if self._shapes else input_shape
        if len(own) != len(input_shape) or any(None not in (n, m) and n != m for n, m in zip(own, input_shape)):
            raise ShapeError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer",
                expected=f"shape={own}",
                got=f"shape={input_shape}",
            )
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    @property
    def input_shape(self) -> BatchShape:
        """(None, ...); UsageError while it is not known."""
        if not self._shapes:
            raise MissingAttributeError(
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
        print_fn: Callable[[str], None] = say,
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
        if not callable(print_fn):
            raise UsageError("summary", expected="print_fn as a function of a text", got=f"print_fn={print_fn!r:.60}")
        print_fn(summary_text(self, line_length, positions, expand_nested, show_trainable))

    # --- configuration and files -------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON values."""
        return {"name": self.name, "layers": [to_json(layer) for layer in self.input_and_layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, type[Layer]] | None = None) -> Sequential:
        """A model of this architecture, with new weights.

        Args:
            config: as `get_config` gives it.
            custom_objects: class name -> class, for layers of your own.
        """
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
            got = f"layers={config.get('layers')!r:.60}" if isinstance(config, Mapping) else f"config={config!r:.60}"
            raise UsageError("Sequential", expected="layers as a list", got=got)
        if not isinstance(custom_objects, (Mapping, type(None))):
            got = f"custom_objects={custom_objects!r:.60}"
            raise UsageError("Sequential", expected="custom_objects as a dictionary, name -> class", got=got)
        inner = SimpleNamespace(from_config=lambda config: cls.from_config(config, custom_objects))
        known = {"Sequential": inner, **(custom_objects or {})}
        return cls([layers.registry.get(entry, known) for entry in config["layers"]], name=config.get("name"))

    def save(self, filepath: str | PathLike[str]) -> None:
        """Write architecture, weights and compile settings to one `.safetensors` or `.keras` file, atomically.

        Of the two, `.keras` is Keras's and holds the optimizer's slots.  Metrics, losses and optimizers of your own
        are part of neither.  Equal models give equal files.

        Raises:
            UsageError: the model is not built, the name has another ending, Keras does not have one of the layers, or
                there is more of something than a file may hold (see docs/file-format.md).
            ModelFileError: weights with NaN or infinity.
            OSError: the file cannot be written; an old one stays.
        """
        saving.save_model(self, filepath)

    def check_savable(self, filepath: str | PathLike[str]) -> None:
        """Raise what `save` would, but for trouble with the disk and weights that are not finite; write nothing."""
        saving.checked_documents(self, str(filepath))

    def save_weights(self, filepath: str | PathLike[str]) -> None:
        """Write the weights, and the optimizer's state, to a `.weights.h5` file, which Keras reads, too.

        Raises:
            UsageError: the model is not built, or the name has another ending.
            ModelFileError: weights with NaN or infinity.
            OSError: the file cannot be written; an old one stays.
        """
        from netchu.interop import keras  # loaded when it is asked for

        keras.save_weights(self, filepath)

    def load_weights(self, filepath: str | PathLike[str]) -> None:
        """Read the weights of a `.weights.h5` file, which netchu or Keras wrote; leave the optimizer as it is.

        Raises:
            UsageError: the model is not built, or the name has another ending.
            DataNotFoundError: no such file.
            ModelFileError: it is no such file, is damaged, or its arrays do not fit; then no weight has changed.
        """
        from netchu.interop import keras  # loaded when it is asked for

        keras.load_weights(self, filepath)

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
        saving.export_model(self, filepath, format)


def _check_layer(layer: object) -> None:
    """Raise UsageError, in Keras's words, for what is no layer."""
    if isinstance(layer, type) and issubclass(layer, Layer):
        do = f"Write {layer.__name__}(...)."
        raise UsageError("Sequential", expected="a layer", got=f"the class {layer.__name__}", do=do)
    if not isinstance(layer, Layer):
        raise UsageError(
            "Only instances of `netchu.layers.Layer` can be added to a Sequential model",
            expected="a layer",
            got=f"{layer!r:.80} (of type {type(layer)})",
        )
