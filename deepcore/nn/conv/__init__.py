"""Convolutions, columns of patches, and resampling. deepcore.nn collects them."""
