"""Recurrent layers, attention and embeddings. deepcore.nn collects them."""
