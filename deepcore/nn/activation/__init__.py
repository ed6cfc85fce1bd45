"""Activations as modules. deepcore.nn collects them."""
