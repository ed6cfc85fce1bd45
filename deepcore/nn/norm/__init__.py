"""Normalisation of activations and of weights. deepcore.nn collects them."""
