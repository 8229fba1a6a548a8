"""Callbacks: stop early, keep the best model, lower the learning rate, write a table, say a word each epoch."""

import keras
import numpy as np
from keras import layers
from keras.callbacks import CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint, ReduceLROnPlateau
from same_start import same_start

with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train, x_test = (x.reshape((-1, 784)).astype("float32") / 255 for x in (x_train[:300], x_test))
y_train = y_train[:300]

model = keras.Sequential(
    [
        keras.Input((784,)),
        layers.Dense(48, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
same_start(model)
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.02),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)


class BatchLosses(keras.callbacks.Callback):
    """The loss of every batch, and every learning rate."""

    def on_train_begin(self, logs=None):
        self.losses, self.rates = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


batch_losses = BatchLosses()
history = model.fit(
    x_train,
    y_train,
    batch_size=30,
    epochs=20,
    validation_data=(x_test, y_test),
    shuffle=False,
    verbose=2,
    callbacks=[
        EarlyStopping(monitor="val_loss", patience=4, restore_best_weights=True, verbose=1),
        ModelCheckpoint("best.keras", monitor="val_accuracy", mode="max", save_best_only=True, verbose=1),
        ModelCheckpoint("{epoch:02d}.weights.h5", save_weights_only=True),
        ReduceLROnPlateau(monitor="val_loss", factor=0.2, patience=2, min_lr=1e-4, verbose=1),
        CSVLogger("log.csv"),
        LambdaCallback(on_epoch_end=lambda epoch, logs: print(f"epoch {epoch}: {sorted(logs)}")),
        batch_losses,
    ],
)
print("epochs:", history.epoch)

best = keras.models.load_model("best.keras")
last = keras.Sequential([keras.Input((784,)), layers.Dense(48, activation="relu"), layers.Dense(10, "softmax")])
last.load_weights(f"{len(history.epoch):02d}.weights.h5")
score = {
    "restored": model.evaluate(x_test, y_test, verbose=0),
    "best": best.evaluate(x_test, y_test, verbose=0),
    "batches": batch_losses.losses,
    "rates": batch_losses.rates,
}
predictions = last.predict(x_test[:10], verbose=0)
