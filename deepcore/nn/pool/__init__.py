"""Pooling and its reverse. deepcore.nn collects them."""
