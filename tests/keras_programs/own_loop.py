"""A training loop from scratch: tape, gradients, optimizer and metrics by hand, without `fit`."""

import keras
import numpy as np
from keras import layers, losses, metrics, optimizers
from same_start import same_start
from tensorflow import GradientTape

with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train, x_test = (x.reshape((-1, 784)).astype("float32") / 255 for x in (x_train, x_test))

model = keras.Sequential([keras.Input((784,)), layers.Dense(64, activation="relu"), layers.Dense(10)])
same_start(model)
optimizer = optimizers.SGD(learning_rate=0.05, momentum=0.9, nesterov=True)
loss_fn = losses.SparseCategoricalCrossentropy(from_logits=True)
train_accuracy = metrics.SparseCategoricalAccuracy()
test_accuracy = metrics.SparseCategoricalAccuracy()

batch_size = 100
history = {"loss": [], "accuracy": [], "val_accuracy": []}
for epoch in range(2):
    print(f"Start of epoch {epoch}")
    for step, start in enumerate(range(0, len(x_train), batch_size)):
        x_batch, y_batch = x_train[start : start + batch_size], y_train[start : start + batch_size]
        with GradientTape() as tape:
            logits = model(x_batch, training=True)
            loss_value = loss_fn(y_batch, logits)
        gradients = tape.gradient(loss_value, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights))
        train_accuracy.update_state(y_batch, logits)
        history["loss"].append(float(loss_value))
        if step % 4 == 0:
            print(f"Training loss (for 1 batch) at step {step}: {float(loss_value):.4f}")
    history["accuracy"].append(float(train_accuracy.result()))
    train_accuracy.reset_state()
    for start in range(0, len(x_test), batch_size):
        test_accuracy.update_state(
            y_test[start : start + batch_size], model(x_test[start : start + batch_size], training=False)
        )
    history["val_accuracy"].append(float(test_accuracy.result()))
    test_accuracy.reset_state()
    print(f"Validation acc: {history['val_accuracy'][-1]:.4f}")

predictions = keras.ops.convert_to_numpy(keras.ops.softmax(model(x_test[:10], training=False)))
score = float(loss_fn(y_test, model(x_test, training=False)))
