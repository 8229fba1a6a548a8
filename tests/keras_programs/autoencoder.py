"""An autoencoder: digits through 16 numbers and back, the images themselves as targets."""

import keras
import numpy as np
from keras import layers
from same_start import same_start

with np.load("digits.npz") as data:
    x_train, x_test = (data[name].astype("float32").reshape(-1, 784) / 255 for name in ("x_train", "x_test"))

encoder = keras.Sequential([keras.Input((784,)), layers.Dense(64), layers.PReLU(), layers.Dense(16)], name="encoder")
decoder = keras.Sequential(
    [
        keras.Input((16,)),
        layers.Dense(64, activation="silu"),
        layers.LayerNormalization(),
        layers.Dense(784, activation="sigmoid"),
        layers.Reshape((784,)),
    ],
    name="decoder",
)
autoencoder = keras.Sequential([keras.Input((784,)), encoder, decoder], name="autoencoder")
same_start(autoencoder)
autoencoder.summary()
autoencoder.compile(optimizer="adamax", loss="binary_crossentropy", metrics=["mse", keras.metrics.CosineSimilarity()])
history = autoencoder.fit(
    x_train, x_train, epochs=3, batch_size=64, shuffle=False, validation_data=(x_test, x_test), verbose=2
)

score = autoencoder.evaluate(x_test, x_test, verbose=0)
codes = encoder.predict(x_test[:10], verbose=0)
predictions = decoder.predict(codes, verbose=0)
