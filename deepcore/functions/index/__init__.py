"""Reading and writing at places: indices, gathers, embeddings, masks, sorting. deepcore.functions collects them."""
