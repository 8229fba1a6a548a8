"""What happens in `fit`, changed: a train_step and a test_step of one's own, with metrics of one's own."""

import keras
import numpy as np
from keras import layers
from same_start import same_start
from tensorflow import GradientTape


class CustomFit(keras.Sequential):
    """Mean squared error by hand; it also tells the length of the gradient."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
        self.loss_fn = keras.losses.MeanSquaredError()

    def train_step(self, data):
        x, y, sample_weight = data
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred, sample_weight=sample_weight)
        trainable_vars = self.trainable_variables
        gradients = tape.gradient(loss, trainable_vars)
        self.optimizer.apply(gradients, trainable_vars)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred, sample_weight=sample_weight)
        squares = [keras.ops.sum(keras.ops.square(gradient)) for gradient in gradients]
        return {
            "loss": self.loss_tracker.result(),
            "mae": self.mae_metric.result(),
            "gradient_norm": keras.ops.sqrt(sum(squares)),
        }

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        self.loss_tracker.update_state(self.loss_fn(y, y_pred))
        self.mae_metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    @property
    def metrics(self):
        return [self.loss_tracker, self.mae_metric]


with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train, x_test = (x.reshape((-1, 784)).astype("float32") / 255 for x in (x_train, x_test))
y_train, y_test = (y.reshape((-1, 1)).astype("float32") for y in (y_train, y_test))
weights = np.where(y_train[:, 0] > 4, 2.0, 1.0).astype("float32")

model = CustomFit(
    [
        keras.Input(shape=(784,)),
        layers.Dense(32, activation="gelu"),
        layers.BatchNormalization(),
        layers.Dense(1),
    ]
)
same_start(model)
model.compile(optimizer=keras.optimizers.Nadam(learning_rate=1e-2))
history = model.fit(
    x_train,
    y_train,
    sample_weight=weights,
    batch_size=100,
    epochs=3,
    validation_data=(x_test, y_test),
    shuffle=False,
    verbose=2,
)

score = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
predictions = model.predict(x_test[:10], verbose=0)
