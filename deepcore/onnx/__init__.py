"""Models as ONNX files: `deepcore.onnx.export`, checked against ONNX Runtime."""

from deepcore.onnx.exporting import OPSET, export
from deepcore.onnx.trace import ExportError

__all__ = ["OPSET", "ExportError", "export"]
