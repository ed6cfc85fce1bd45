"""Losses, by what they compare. deepcore.functions collects them."""
