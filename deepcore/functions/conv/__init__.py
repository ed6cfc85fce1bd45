"""Convolution, transposed convolution, and the columns that they are made of. deepcore.functions collects them."""
