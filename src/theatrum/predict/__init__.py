"""Predict: labels, ranks and values from vectors, for classes with and without examples."""
