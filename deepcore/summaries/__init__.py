"""What a model is made of and what it costs: `dc.summary(model, (1, 1, 28, 28))` and `deepcore summary`."""

from deepcore.summaries.multiply_adds import multiply_adds
from deepcore.summaries.result import Layer, Summary
from deepcore.summaries.run import summary

__all__ = ["Layer", "Summary", "multiply_adds", "summary"]
