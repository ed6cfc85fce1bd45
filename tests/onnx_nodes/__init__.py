"""The node cases of the ONNX standard: their data, and what is left out."""
