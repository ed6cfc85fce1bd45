"""Every parameter that deepcore and PyTorch do not have alike, with the reason why."""

from __future__ import annotations

import re

_ANY = ".*"
_INTERNAL = "a switch of PyTorch's own machinery: memory layout, storage, fused kernels, capture of graphs"
_KEYWORD = "PyTorch puts deprecated options before it, so its position differs; by keyword it is the same"
_TEXT = "PyTorch's text leaves it out or calls it otherwise; its function takes it"

REASONS: tuple[tuple[str, str, str], ...] = (
    # (names, what differs, why); each pattern in full
    (
        _ANY,
        "only deepcore has (x|input)|only PyTorch has (input|tensor|self)",
        "the first operand is called x, as in the book and everywhere in deepcore; it is given by position",
    ),
    (_ANY, "only PyTorch has out(=None)?", "an op returns its result; nothing is written into another tensor unasked"),
    (_ANY, "only PyTorch has (size_average|reduce)=None", "deprecated in PyTorch since 2018; reduction says it"),
    (_ANY, "only PyTorch has _stacklevel=3", "where PyTorch's warning points to, no option"),
    (_ANY, "only PyTorch has inplace=False", "activations write nothing in place: the tape needs their inputs"),
    (
        _ANY,
        "only PyTorch has (memory_format|layout|pin_memory|non_blocking|sparse_grad|sparse|foreach|fused|capturable|"
        "differentiable|out_dtype|output_size|force|requires_grad|device|orig_func)(=.*)?",
        _INTERNAL,
    ),
    (_ANY, "only PyTorch has dtype=.*", "convert first, x.to(dtype): one way to do it"),
    (_ANY, "\\w+ by keyword only in PyTorch", "by position it is taken too; by keyword it is the same"),
    (
        "nn\\..*",
        "(reduction|eps|pos_weight|ignore_index|label_smoothing|log_target|beta|full|margin|device|dtype|weight) by "
        "keyword only in deepcore",
        _KEYWORD,
    ),
    (
        _ANY,
        "default \\w+=None, PyTorch Ellipsis",
        "None is what leaving it out means in PyTorch, which has two signatures",
    ),
    (
        ".*(softmax|softmin|Softmax|Softmin)",
        "default dim=Ellipsis, PyTorch None",
        "PyTorch guesses an axis and warns that this is deprecated; here the axis is said",
    ),
    (_ANY, "default dim=-1, PyTorch None", "the last axis, which is what PyTorch's None means here"),
    (
        "functional\\.(affine_grid|grid_sample)",
        "default align_corners=False, PyTorch None",
        "None means False in PyTorch, with a warning",
    ),
    ("functional\\.dropout", "only deepcore has generator=None", "for masks that repeat"),
    (
        "(functional|Tensor)\\..*|nn\\.Parameter|as_tensor|full|.*_like|eye",
        "only deepcore has (other|shape|sizes|mat2|dim0|dim1|split_size|y|vec2|mat)|only PyTorch has "
        "(other|value|size|tensor|repeats|batch2|tensor2|axis0|axis1|split_size_or_sections|y|dims|src|vec2|mat2|args)",
        "the operand or the sizes under the name that the function and the method share; they are given by position",
    ),
    (".*[eE]mbedding", "only PyTorch has (max_norm|norm_type|scale_grad_by_freq|_weight|_freeze)=.*", "not offered"),
    (".*\\.(l1_loss|mse_loss)", "only PyTorch has weight=None", "multiply with reduction='none'"),
    (".*\\.norm", "only PyTorch has p='fro'", "the 2-norm; others are in dc.linalg, which PyTorch recommends itself"),
    (".*\\.div_?", "only PyTorch has rounding_mode=None", "not offered"),
    (".*\\.round", "only PyTorch has decimals=0", "not offered"),
    ("Tensor\\.narrow", "only (deepcore has dim|PyTorch has dimension)", _TEXT),
    ("functional\\.interpolate", "only PyTorch has antialias=False", "not offered"),
    ("functional\\.einsum|nn\\.Sequential", "only (deepcore|PyTorch) has .*", "both take any number by position"),
    (
        "functional\\.(gru|lstm)",
        "only .*",
        "one layer and direction with its weights by name; torch.lstm takes lists of weights of several layers",
    ),
    (".*scaled_dot_product_attention", "only PyTorch has enable_gqa=False", "not offered"),
    ("linalg\\..*", "only deepcore has A", "the name of a matrix in PyTorch's documentation of torch.linalg"),
    ("linalg\\.matrix_norm", "default (ord|dim)=.*", "PyTorch's other signature has the same default"),
    ("linalg\\.svd(vals)?", "only PyTorch has driver=None", "a choice of cuSOLVER's"),
    ("arange|empty|full_like|ones|rand|randn|zeros", "only deepcore has requires_grad=False", _TEXT),
    ("randint", "default (size|dtype)=.*", "0-d where no size is given, and int64; PyTorch asks for the size"),
    (
        "(nn|functional)\\.(GRU|GRUCell|gru_cell)",
        "only deepcore has reset_after=True",
        "the reset gate before or after the product",
    ),
    ("(nn|functional)\\.(LSTM|LSTMCell|lstm_cell)", "only deepcore has peephole=(False|None)", "peephole connections"),
    ("nn\\.(RNN|LSTM|GRU)", "(only|order|default).*(proj_size|nonlinearity).*", "projections are not offered"),
    ("nn\\.Hardtanh", "only PyTorch has (min|max)_value=None", "deprecated in PyTorch"),
    ("nn\\.Parameter", "default data=Ellipsis, PyTorch None", "a parameter without values is not offered"),
    ("optim\\.\\w+", "only deepcore has master_weights=False", "float32 copies of parameters in 16 bits"),
    ("optim\\.Adam", "only PyTorch has decoupled_weight_decay=False", "that is AdamW"),
    ("Tensor\\.backward", "only PyTorch has inputs=None|default retain_graph=False, PyTorch None", "None means False"),
    ("Tensor\\.(argsort|sort|nonzero)", "only deepcore has (stable|as_tuple)=False", _TEXT),
    ("Tensor\\.(bmm|where|cuda|to)", "only deepcore has .*", _TEXT),
    ("Tensor\\.swapaxes", "only .*", "the same function as transpose"),
    ("bernoulli", "only deepcore has p", _TEXT),
    ("meshgrid", "only PyTorch has indexing=None|default indexing=.*", "'ij', which is what PyTorch's None means"),
    (
        "load|save",
        "only (deepcore has (path|device|tensors|metadata)|PyTorch has .*)(=.*)?|order .*",
        "safetensors files and their metadata; PyTorch's are pickles",
    ),
    ("from_dlpack", "only (deepcore has x|PyTorch has (ext_tensor|copy=None))", "by position, and never a copy"),
    (
        "from_numpy|set_default_device|set_default_dtype|set_rng_state|Tensor\\.copy_|Tensor\\.type_as",
        "only (deepcore has (array|name|dtype|state|other)|PyTorch has (ndarray|device|d|new_state|src|tensor))",
        "given by position; the name says what it is",
    ),
)


def reason_for(name: str, detail: str) -> str:
    """The written reason for a parameter that differs; an empty string where there is none."""
    return next((why for n, d, why in REASONS if re.fullmatch(n, name) and re.fullmatch(d, detail, re.DOTALL)), "")
