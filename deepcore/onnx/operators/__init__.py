"""Operators of ONNX as calls of deepcore, by family; `table` has them all."""
