"""Models as ONNX files: `export` writes them, checked against ONNX Runtime, and `load` reads them as modules."""

from deepcore.onnx.exporting import OPSET, export
from deepcore.onnx.importing import OnnxModule, load
from deepcore.onnx.reading import OnnxError
from deepcore.onnx.trace import ExportError

__all__ = ["OPSET", "ExportError", "OnnxError", "OnnxModule", "export", "load"]
