"""The node cases of the ONNX standard: their data, how an operator becomes a call of deepcore, what is left out."""
