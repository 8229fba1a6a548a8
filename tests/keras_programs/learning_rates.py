"""Learning rates that change: warm-up and cosine decay, exponential decay, and a scheduler that is a callback."""

import keras
import numpy as np
from keras import layers, optimizers
from same_start import same_start

with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train, x_test = (x.reshape((-1, 784)).astype("float32") / 255 for x in (x_train, x_test))
batch_size, epochs = 50, 3
steps = epochs * len(x_train) // batch_size


def trained(learning_rate, callbacks=()):
    """A new model after training with momentum, its History, and its learning rate at the end."""
    model = keras.Sequential([keras.Input((784,)), layers.Dense(32, "relu"), layers.Dense(10, "softmax")])
    same_start(model)
    model.compile(
        optimizer=optimizers.SGD(learning_rate=learning_rate, momentum=0.9, nesterov=True, clipnorm=1.0),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        x_train,
        y_train,
        batch_size=batch_size,
        epochs=epochs,
        validation_split=0.2,
        shuffle=False,
        verbose=2,
        callbacks=list(callbacks),
    )
    return model, history.history, float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def scheduler(epoch, lr):
    """The same for one epoch, then less and less."""
    return lr if epoch < 1 else lr * float(np.exp(-0.5))


cosine = optimizers.schedules.CosineDecay(0.01, decay_steps=steps, alpha=0.01, warmup_target=0.1, warmup_steps=10)
exponential = optimizers.schedules.ExponentialDecay(0.1, decay_steps=20, decay_rate=0.7, staircase=True)
runs = [
    trained(cosine),
    trained(exponential),
    trained(0.1, [keras.callbacks.LearningRateScheduler(scheduler, verbose=1)]),
]
history = {f"{name} {i}": values for i, (_, found, _) in enumerate(runs) for name, values in found.items()}
score = [rate for _, _, rate in runs] + [model.evaluate(x_test, y_test, verbose=0) for model, _, _ in runs]
predictions = np.stack([model.predict(x_test[:10], verbose=0) for model, _, _ in runs])
