"""Normalisation. deepcore.functions collects them."""
