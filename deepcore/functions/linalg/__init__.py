"""Linear algebra: products, solutions, decompositions. deepcore.functions collects them."""
