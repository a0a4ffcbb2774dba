"""A small convolutional net for the digits in Keras 3. smlt trains `model` with the job's loss and optimiser."""

import keras
from keras import layers


def model():
    return keras.Sequential(
        [
            layers.Permute((2, 3, 1)),  # the data set's images are channels first
            layers.Conv2D(8, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(10),
        ]
    )
