"""Pictures of networks and trainings: `dc.viz`. Each function returns a figure; `viz.save` writes it as PNG or SVG."""

from deepcore.viz.graph import Graph, graph
from deepcore.viz.histograms import initializers, layer_values
from deepcore.viz.layers import feature_maps, filters, outputs
from deepcore.viz.paths import optimizer_paths
from deepcore.viz.report import run_page
from deepcore.viz.results import confusion_matrix, curves
from deepcore.viz.saving import save

__all__ = [
    "Graph",
    "confusion_matrix",
    "curves",
    "feature_maps",
    "filters",
    "graph",
    "initializers",
    "layer_values",
    "optimizer_paths",
    "outputs",
    "run_page",
    "save",
]
