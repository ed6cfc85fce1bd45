"""Pooling and its reverse. deepcore.functions collects them."""
