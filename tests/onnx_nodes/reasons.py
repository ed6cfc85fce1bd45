"""What is not run, and why: operators that deepcore does not have, and cases of those that it has.

Both tables are exact: a new operator, a pattern without a case and a left-out case that would pass each fail a test.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

OTHER_OPERATORS: dict[str, tuple[str, ...]] = {
    "no such function; it can be composed, which would test nothing of deepcore's": (
        "BitCast",
        "BitShift",
        "CenterCropPad",
        "ReverseSequence",
        "RotaryEmbedding",
        "Shrink",
        "TensorScatter",
        "ThresholdedRelu",
    ),
    "no Fourier transforms, windows and filters of signals": (
        "BlackmanWindow",
        "DFT",
        "HammingWindow",
        "HannWindow",
        "MelWeightMatrix",
        "STFT",
    ),
    "no arithmetic of quantised numbers": (
        "ConvInteger",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
    ),
    "no such layer": ("DeformConv", "LinearAttention"),
    "random: the bits are those of another generator": ("Bernoulli", "RandomUniformLike"),
    "control flow, which is Python's own in deepcore": ("If", "Loop", "Scan", "SequenceMap"),
    "sequences and optional values, which are Python's own in deepcore": (
        "OptionalGetElement",
        "OptionalHasElement",
        "SequenceEmpty",
        "SequenceInsert",
        "SequenceLength",
        "SplitToSequence",
    ),
    "text, and files of pictures: not tensors of numbers": (
        "ImageDecoder",
        "RegexFullMatch",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "TfIdfVectorizer",
    ),
    "the step of an optimizer with a rule other than PyTorch's, which deepcore.optim follows": (
        "ai.onnx.preview.training.Adagrad",
        "ai.onnx.preview.training.Adam",
        "ai.onnx.preview.training.Momentum",
    ),
    "not of neural networks": (
        "ai.onnx.ml.ArrayFeatureExtractor",
        "ai.onnx.ml.Binarizer",
        "ai.onnx.ml.LabelEncoder",
        "ai.onnx.ml.TreeEnsemble",
    ),
}

LEFT_OUT: dict[str, tuple[str, ...]] = {
    "dtypes of 8 bits and fewer other than int8 and uint8": (
        "cast*_FLOAT8*",
        "cast*_FLOAT4*",
        "cast*_INT4*",
        "cast*_INT2*",
        "cast*_UINT4*",
        "cast*_UINT2*",
    ),
    "text is not a tensor": ("equal_string*",),
    "a sequence, which is Python's own in deepcore": ("identity_sequence", "identity_opt"),
    "random: the bits are those of another generator": (
        "training_dropout",
        "training_dropout_mask",
        "training_dropout_default",
        "training_dropout_default_mask",
    ),
    "clamp without a bound is an error, as in PyTorch": ("clip_default*_inbounds",),
    "division of integers that rounds to zero: deepcore's // rounds down, as Python's": ("div_int32_trunc",),
    "the remainder with the sign of the dividend: deepcore's % has that of the divisor, as Python's": (
        "mod_mixed_sign_float*",
        "mod_int64_fmod",
    ),
    "the extreme of nothing is an error, as in PyTorch": ("reduce_max_empty_set*", "reduce_min_empty_set"),
    "eye has ones on the main diagonal only, as PyTorch's": ("eyelike_populate_off_main_diagonal",),
    "an index out of range is an error, as in PyTorch": ("onehot_out_of_range_indices",),
    "unique sorts always": ("unique_not_sorted_without_axis",),
    "scatter replaces, scatter_add adds; no other reduction": (
        "scatter_elements_with_reduction_*",
        "scatternd_m*",
    ),
    "scaled_dot_product_attention has no soft cap on its scores, as PyTorch's": (
        "attention_*d_*softcap",
        "attention_4d_softcap_neginf_mask",
        "attention_4d_softcap_neginf_mask_poison",
        "attention_local_window_gqa_rank4_mask",
    ),
    "no graphs that change the scores or the weights": (
        "flexattention_score_mod",
        "flexattention_prob_mod",
        "flexattention_causal_mask",
        "flexattention_soft_cap",
        "flexattention_relative_positional",
    ),
    "average pooling has no dilation, as PyTorch's": ("averagepool_*_dilations*",),
    "lp_pool2d has no dilation, as PyTorch's": ("lppool_2d_dilations",),
    "no Lp pooling of volumes": ("lppool_3d_default",),
    "fold is for images, as PyTorch's": ("col2im_5d",),
    "affine_grid and grid_sample are for images": ("affine_grid_3d*", "gridsample_volumetric_*"),
    "grid_sample has no mode bicubic": ("gridsample_bicubic*",),
    "RoI align takes means, as torchvision's": ("roialign_mode_max",),
    "between two pixels at equal distance ONNX takes the lower one, nearest-exact the upper one": (
        "resize_upsample_sizes_nearest",
        "resize_upsample_sizes_nearest_axes_*",
        "resize_upsample_sizes_nearest_not_larger",
        "resize_downsample_sizes_nearest*",
    ),
    "a combination of rounding and coordinates that interpolate does not have": (
        "resize_upsample_sizes_nearest_floor_align_corners",
        "resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric",
        "resize_upsample_sizes_nearest_ceil_half_pixel",
        "resize_upsample_scales_cubic_asymmetric",
        "resize_*_half_pixel_symmetric",
    ),
    "ONNX aligns the corners of a size that is not whole (2.4 pixels), PyTorch those of the result": (
        "resize_downsample_scales_*_align_corners",
    ),
    "a result of one pixel is the first pixel here, the middle of the image in PyTorch": (
        "resize_downsample_sizes_linear_pytorch_half_pixel",
    ),
    "interpolate has no antialiasing": ("resize_*_antialias",),
    "interpolate has no other cubic than PyTorch's, whose coefficient is -0.75 and which repeats the border": (
        "resize_*_cubic_A_n0p5_exclude_outside",
    ),
    "interpolate does not crop": ("resize_tf_crop_and_resize*",),
}


def other_operators() -> dict[str, str]:
    """The operators that have no adapter, each with the reason."""
    return {operator: reason for reason, operators in OTHER_OPERATORS.items() for operator in operators}


def reason_for(name: str) -> str:
    """Why a case is left out; "" where it is not."""
    for reason, patterns in LEFT_OUT.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return reason
    return ""
