"""Activations: elementwise, and softmax along an axis. deepcore.functions collects them."""
