"""scikit-learn's network for the digits: smlt takes its gradients, and trains it on any number of functions."""

from sklearn.neural_network import MLPClassifier

model = MLPClassifier(hidden_layer_sizes=(64,), activation="relu")
