"""Losses as modules. deepcore.nn collects them."""
