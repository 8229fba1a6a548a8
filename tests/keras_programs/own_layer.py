"""A layer of one's own: weights made in `build`, a regularizer, a loss added in `call`, another way in training."""

import keras
import numpy as np
from keras import layers, ops, regularizers
from same_start import same_start


class Gated(keras.Layer):
    """`x @ kernel + bias` through a gate, whose openness costs; the gate is twice as sharp in training."""

    def __init__(self, units=32, cost=1e-2, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.cost = cost

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(
            shape=shape,
            initializer="glorot_uniform",
            regularizer=regularizers.L2(1e-3),
            trainable=True,
            name="kernel",
        )
        self.gate = self.add_weight(shape=shape, initializer="glorot_uniform", constraint="max_norm", name="gate")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

    def call(self, inputs, training=False):
        gate = ops.sigmoid(ops.matmul(inputs, self.gate) * (2.0 if training else 1.0))
        self.add_loss(self.cost * ops.mean(ops.square(gate)))
        if training:
            self.seen.assign(self.seen + 1.0)
        return ops.tanh(ops.matmul(inputs, self.kernel) + self.bias) * gate

    def get_config(self):
        config = super().get_config()
        config.update({"units": self.units, "cost": self.cost})
        return config


with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))

model = keras.Sequential(
    [
        keras.Input(shape=(28, 28)),
        layers.Rescaling(1.0 / 255),
        layers.Flatten(),
        Gated(24, name="first"),
        Gated.from_config(Gated(16, cost=1e-3, name="second").get_config()),
        layers.Dense(10, kernel_regularizer=regularizers.L1L2(l1=1e-4, l2=1e-3)),
    ]
)
same_start(model)
print("losses before a call with data:", len(model.losses))
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=3e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="right")],
)
history = model.fit(
    x_train, y_train, batch_size=50, epochs=3, validation_data=(x_test, y_test), shuffle=False, verbose=2
)

score = model.evaluate(x_test, y_test, batch_size=50, verbose=0, return_dict=True)
predictions = model.predict(x_test[:10], verbose=0)
print("steps seen:", [int(layer.seen) for layer in model.layers if isinstance(layer, Gated)])
print("weights:", [(weight.name, tuple(weight.shape)) for weight in model.weights])
print("trainable:", len(model.trainable_weights), "not:", len(model.non_trainable_weights))
