"""A dense network on MNIST: the first program of most tutorials."""

import keras
import numpy as np
from keras import layers
from same_start import same_start

with np.load("digits.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train = x_train.reshape((-1, 784)).astype("float32") / 255
x_test = x_test.reshape((-1, 784)).astype("float32") / 255

model = keras.Sequential(
    [
        keras.Input(shape=(784,)),
        layers.Dense(512, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
same_start(model)
model.summary()
model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=4, batch_size=128, shuffle=False, verbose=2)

score = model.evaluate(x_test, y_test, verbose=2)
predictions = model.predict(x_test[:10], verbose=2)
print("Predicted:", predictions.argmax(axis=1), "labels:", y_test[:10])
