"""Save a model, load it, see that it predicts the same, and go on training where it was."""

import keras
import numpy as np
from keras import layers
from same_start import same_start

with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train, x_test = (x.reshape((-1, 28, 28, 1)).astype("float32") / 255 for x in (x_train[:400], x_test))
y_train = y_train[:400]

model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(8, 5, strides=2, activation="relu"),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)
same_start(model)
model.compile(
    optimizer=keras.optimizers.AdamW(learning_rate=2e-3, weight_decay=0.01),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
fit = {"batch_size": 40, "epochs": 2, "validation_data": (x_test, y_test), "shuffle": False, "verbose": 2}
first = model.fit(x_train, y_train, **fit)

model.save("model.keras")
model.save_weights("model.weights.h5")
loaded = keras.models.load_model("model.keras")
np.testing.assert_array_equal(loaded.predict(x_test, verbose=0), model.predict(x_test, verbose=0))
print("updates so far:", int(loaded.optimizer.iterations), "of", type(loaded.optimizer).__name__)

second = loaded.fit(x_train, y_train, **fit)
straight_on = model.fit(x_train, y_train, **fit)
print("as if never saved:", np.allclose(second.history["loss"], straight_on.history["loss"], rtol=1e-4))

model.load_weights("model.weights.h5")
history = {f"{name} {i}": values for i, run in enumerate((first, second)) for name, values in run.history.items()}
score = [loaded.evaluate(x_test, y_test, verbose=0), model.evaluate(x_test, y_test, verbose=0)]
predictions = loaded.predict(x_test[:10], verbose=0)
