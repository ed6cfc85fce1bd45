"""Each sample of the op database as a model of one op: exported, and run by ONNX Runtime."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

import deepcore as dc
from deepcore.check.opdb import OpCase, Sample, outputs
from deepcore.check.tolerance import assert_close

WHOLLY: dict[str, tuple[str, ...]] = {
    "ONNX has no such function": (
        *("lgamma", "digamma", "polygamma", "erfinv", "cumprod"),
        *("linalg.inv", "linalg.solve", "linalg.slogdet", "linalg.cholesky", "linalg.cholesky, as it is"),
        *("linalg.qr", "linalg.qr, product", "linalg.eigh", "linalg.eigvalsh"),
        *("linalg.svd", "linalg.svd, all vectors", "linalg.svdvals"),
    ),
    "a loss over classes checks its targets in Python: it belongs to training": (
        *("cross_entropy", "nll_loss", "focal_loss", "ctc_loss"),
    ),
    "a step of training: the weight of the positive class is not written": ("bce_with_logits_pos_weight",),
    "which boxes stay is decided outside of recorded ops": ("nms", "batched_nms", "remove_small_boxes"),
    "it reads the sizes of its input only: a constant": ("grid_anchors",),
    "ONNX's pooling does not give the places of adaptive maxima": ("adaptive_max_pool1d", "adaptive_max_pool3d"),
    "the places are computed outside of recorded ops": ("max_unpool1d", "max_unpool2d", "max_unpool3d"),
    "the windows of the boxes are cut outside of recorded ops": ("roi_pool", "roi_align"),
    "the shape of the result follows from the values": ("unique",),
    "adding at an index along one axis is not written": ("index_add",),
}
"""Ops none of whose samples is exported, and why."""

PARTLY: dict[str, tuple[str, ...]] = {
    "index arrays that are apart, or do not begin at the first axis": ("getitem",),
    "ONNX Runtime wants output_padding smaller than the stride": ("conv_transpose3d",),
    "random: it belongs to training": ("dropout",),
    "packed sequences": ("rnn", "lstm", "gru"),
    "ONNX has it for images, and puts the window of an even size one channel further": ("local_response_norm",),
    "sizes that do not divide, and the places of maxima": ("adaptive_max_pool2d", "spatial_pyramid_pool", "max_pool3d"),
    "ONNX's operator takes no 0-d tensor": ("gather", "scatter a number", "scatter_add", "nonzero", "argsort"),
    "the shape of the result follows from the values": ("one_hot", "repeat_interleave"),
    "ONNX does not expand an axis to no elements": ("repeat",),
    "ONNX has no singular values and no inverse": ("linalg.matrix_norm", "linalg.matrix_power"),
}
"""Ops of which some samples are not exported, and why."""


def run_file(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a file, computed by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    return session.run(None, {name: a for name, a in feeds.items() if name in wanted})


def check_sample(case: OpCase, sample: Sample, path: Path) -> None:
    """The exported op gives what deepcore gives, within the table's tolerance; raises ExportError or AssertionError."""
    args = sample.cast("float32")
    arrays = [a for a in args if isinstance(a, np.ndarray)]

    def model(*tensors: Any) -> Any:
        given = iter(tensors)
        return case.op(*(next(given) if isinstance(a, np.ndarray) else a for a in args), **sample.kwargs)

    tensors = [dc.tensor(a) for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dc.onnx.export(model, tuple(tensors), path)
        expected = [y.detach().numpy() for y in outputs(model(*tensors))]
    names = ["input"] if len(arrays) == 1 else [f"input_{i}" for i in range(len(arrays))]
    found = run_file(path, dict(zip(names, arrays, strict=True)))
    length = case.length(*args, **sample.kwargs)
    for y, z in zip(expected, found, strict=True):
        assert y.dtype == z.dtype
        assert_close(z, y, "float32", length, str(sample.name))
