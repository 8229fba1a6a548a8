"""Batch normalization, classes that count more than others, weighted metrics, and batches from a generator."""

import keras
import numpy as np
from keras import layers
from same_start import same_start

with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train, x_test = (np.expand_dims(x.astype("float32"), -1) for x in (x_train[:600], x_test))
y_train = y_train[:600]

model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.RandomTranslation(0.0, 0.0),  # the layer is there; what it draws differs between libraries
        layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.Activation("relu"),
        layers.Conv2D(16, 3, padding="same", kernel_regularizer="l2"),
        layers.BatchNormalization(momentum=0.9, scale=False),
        layers.LeakyReLU(negative_slope=0.1),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ]
)
same_start(model)
model.summary()
model.compile(
    optimizer=keras.optimizers.RMSprop(learning_rate=5e-4),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
    weighted_metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top_3")],
)
counts = np.bincount(y_train, minlength=10)
class_weight = {digit: len(y_train) / (10 * count) for digit, count in enumerate(counts)}
class_weight[8] = 5.0
first = model.fit(
    x_train, y_train, batch_size=50, epochs=2, class_weight=class_weight, shuffle=False, validation_split=0.2, verbose=2
)


def batches():
    """Endless batches, the second half of each weighted half as much."""
    weights = np.repeat([1.0, 0.5], 20).astype("float32")
    while True:
        for start in range(0, 600, 40):
            yield x_train[start : start + 40], y_train[start : start + 40], weights


second = model.fit(batches(), steps_per_epoch=10, epochs=3, validation_data=(x_test, y_test), shuffle=False, verbose=2)
history = {f"{name} {i}": values for i, run in enumerate((first, second)) for name, values in run.history.items()}

score = model.evaluate(x_test, y_test, batch_size=100, verbose=0, return_dict=True)
predictions = model.predict(x_test[:10], verbose=0)
