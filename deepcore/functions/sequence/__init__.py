"""Sequences: recurrent layers and attention. deepcore.functions collects them."""
