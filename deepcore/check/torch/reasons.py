"""Every difference from PyTorch's results that is meant or that is PyTorch's, with the reason why.

A reason holds for the ops whose name, and the differences whose `key`, its patterns match, both in full.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why the ops that `op` matches differ in what `key` matches."""

    op: str
    key: str
    because: str
    at_most: float = math.inf
    """The size of what it explains, relative to 1 + |PyTorch's|: a larger difference has another reason."""

    def explains(self, op: str, key: str, error: float = math.inf) -> bool:
        """Whether the reason is one for this difference."""
        fits = re.fullmatch(self.op, op) and re.fullmatch(self.key, key, re.DOTALL)
        return bool(fits) and not error > self.at_most


_ANY = ".*"
_TAKES = "refusal: {} \\(\\): PyTorch takes the bad input.*"
_NO_HALF = "PyTorch's CPU has no kernel for this dtype"
_STRICT = "deepcore asks for the shapes that are meant, where PyTorch lets them broadcast and warns at most"

REASONS: tuple[Reason, ...] = (
    # --- whole kinds of difference ------------------------------------------------------------------------------------
    Reason(
        _ANY,
        "(refusal|gradient): .*only PyTorch refuses: .*not (implemented|supported) for "
        "'?\\w*(Half|BFloat16|Long|Int|Bool).*",
        _NO_HALF,
    ),
    Reason(
        _ANY,
        "(refusal|gradient): [^:]*(: [^:]*)?\\(\\w+, empty\\): only PyTorch refuses: .*",
        "deepcore computes with empty tensors everywhere; PyTorch refuses some of them",
    ),
    Reason(
        _ANY,
        "refusal: [^:]*(: [^:]*)?\\(\\w+, empty\\): only deepcore refuses: .*",
        "sizes and options are checked where there are no elements too; PyTorch often does not look there",
    ),
    # --- arithmetic, elementwise --------------------------------------------------------------------------------------
    Reason("sign", "value: drawn \\d+: specials.*nan.*", "the sign of NaN is NaN, as in NumPy; PyTorch's is 0"),
    Reason(
        "lgamma|digamma|polygamma",
        "((second )?gradient|value: .*(order 1|below 0)).*",
        "PyTorch's trigamma is a short series; ours is checked against SciPy's",
        at_most=1e-9,
    ),
    Reason(
        "pow_half",
        "gradient: drawn \\d+: specials.*nan.*",
        "the slope of x^0.5 at minus infinity: PyTorch takes rsqrt, which is NaN there; the power is 0",
    ),
    Reason(
        "maximum|minimum",
        "gradient: drawn \\d+: specials.*",
        "where one of two is NaN so is the result; PyTorch then gives the gradient to both",
    ),
    Reason(
        "prod",
        "gradient: drawn \\d+: specials.*",
        "the product of the others, without a division; PyTorch divides by the element where none is 0",
    ),
    Reason(
        "amax|amin|max|min",
        "gradient: drawn \\d+: specials.*",
        "among NaN the elements that are NaN share the gradient; PyTorch's amax and amin make all of it NaN",
    ),
    Reason(
        "logsumexp",
        "gradient: drawn \\d+: specials.*",
        "where numbers are so large that log 2 is lost beside them, PyTorch's shares add up to more than 1; at "
        "infinities one is NaN where the other is 0",
    ),
    Reason(
        "var|std",
        "gradient: drawn \\d+: specials.*",
        "where the variance is infinite or NaN PyTorch's gradient is infinite in places where ours is NaN",
    ),
    Reason(
        "std",
        "value: drawn \\d+: specials of .*float32.*inf.*",
        "squares that overflow float32 make the result infinite; PyTorch adds them up in float64",
    ),
    Reason(
        "sum|mean", "refusal: .*only PyTorch refuses: (sum|mean)\\(\\).*keepdim=bool.*", "keepdim works without dim too"
    ),
    Reason("prod", "refusal: .*only PyTorch refuses: prod\\(\\).*", "deepcore multiplies over several axes too"),
    Reason("linear", _TAKES.format("weight not 2-d"), "a weight is (O, D); PyTorch takes a vector for O = 1 too"),
    # --- shapes and indices -------------------------------------------------------------------------------------------
    Reason(
        "getitem", "refusal: .*only PyTorch refuses: step must be greater than zero", "slices run backwards, as NumPy's"
    ),
    Reason(
        "pad",
        "refusal: .*only PyTorch refuses: (Padding size \\d+ is not supported|Only 2D, 3D, 4D, 5D).*",
        "reflect, replicate and circular work on any number of axes",
    ),
    Reason(
        "scatter|scatter_add",
        "gradient: .*only PyTorch refuses: Function Scatter(Add)?Backward0 returned an invalid gradient.*",
        "a source larger than the index gets a gradient of 0 where it is not used; PyTorch cannot differentiate by it",
    ),
    Reason(
        "take_along_dim",
        "refusal: .*(PyTorch takes the bad input|only deepcore refuses: take_along_dim: expected 0 <= index).*",
        "an index past the end is refused; PyTorch takes it modulo the size",
    ),
    Reason("masked_fill", _TAKES.format("value does not fit"), "PyTorch cuts the fraction off without a word"),
    Reason(
        "topk",
        "value: (equals.*|drawn \\d+: (specials|\\w+ of equals).*|.*\\(int(64|32)\\)): 1: .*|"
        "gradient: drawn \\d+: (specials|\\w+ of equals).*",
        "which of equal elements comes first is not defined in PyTorch; ours keep their order",
    ),
    Reason(
        "einsum",
        "dtype: .* \\(int32\\): int32; PyTorch int64",
        "the dtype of the operands is kept; PyTorch widens integers only where the equation is a mere sum",
    ),
    Reason(
        "max_unpool2d",
        "refusal: .*only PyTorch refuses: elements in indices should be type int64.*",
        "indices of every integer dtype are taken",
    ),
    # --- activations --------------------------------------------------------------------------------------------------
    Reason(
        "hardsigmoid|hardswish",
        "((second )?gradient: .*float64|value: (train|eval) \\(float64\\): gradient of input).*",
        "PyTorch multiplies float64 gradients by 1/6 rounded to float32",
        at_most=1e-7,
    ),
    Reason(
        "elu|selu|relu6|hardtanh|hardswish",
        "gradient: drawn \\d+: specials.*",
        "the slope at NaN: NaN or that of one side; PyTorch's own differs between short and long tensors",
    ),
    Reason(
        "softsign|mish|silu",
        "gradient: drawn \\d+: specials.*PyTorch np\\.float\\d+\\(nan\\).*",
        "the slope at an infinity has a limit, which is ours; PyTorch's formula gives NaN",
    ),
    Reason("softplus", _TAKES.format("beta is 0"), "the formula divides by beta; PyTorch returns infinities"),
    Reason(
        "gelu",
        "(gradient|second gradient): .*tanh.*PyTorch np\\.float\\d+\\(nan\\).*",
        "PyTorch's formula for the tanh form is NaN where the cube overflows",
    ),
    Reason(
        "gelu",
        "second gradient: .*tanh.*",
        "PyTorch's formula for the tanh form loses digits where it saturates",
        at_most=1e-12,
    ),
    # --- convolution, pooling, images ---------------------------------------------------------------------------------
    Reason("conv[123]d|conv_transpose[123]d", _TAKES.format("integers"), "convolutions are of floating dtypes"),
    Reason(
        "conv[123]d|conv_transpose[123]d|(max|avg|lp)_pool[123]d",
        _TAKES.format("(axes of x|not a volume|not an image|not a sequence)"),
        "a batch axis is always there; PyTorch also takes one image without it",
    ),
    Reason(
        "conv_transpose[123]d",
        "refusal: .*only deepcore refuses: .*output of at least one.*",
        "an output without pixels is refused; PyTorch returns it for some dtypes",
    ),
    Reason(
        "max_unpool[123]d",
        "value: drawn .*",
        "where two values go to one place, which of them stays is not defined",
    ),
    Reason("lp_pool[123]d", _TAKES.format("infinite p"), "the formula has no limit there; PyTorch returns ones or NaN"),
    Reason(
        "interpolate",
        "gradient: .*nearest, scale.*",
        "PyTorch's backward of `nearest` with scale_factor sends gradients to other pixels than its forward took them "
        "from; differences of its own values give ours",
    ),
    Reason(
        "pixel_shuffle|pixel_unshuffle",
        "(value|gradient): .*(empty|no batch).*",
        "PyTorch's pixel_unshuffle of no elements has the shape of pixel_shuffle",
    ),
    # --- losses -------------------------------------------------------------------------------------------------------
    Reason(
        "binary_cross_entropy",
        "second gradient: .*",
        "PyTorch's second derivative adds 1e-12 to the denominator",
        at_most=1e-9,
    ),
    Reason(
        "cosine_similarity|cosine_embedding_loss",
        "(gradient|second gradient): .*(shorter than eps|options).*",
        "where a vector is shorter than eps PyTorch differentiates as if its length were not held at eps; ours is the "
        "derivative of the value",
    ),
    Reason(
        "soft_margin_loss",
        "refusal: .*only PyTorch refuses: .*not differentiable with respect to argument 'target'.*",
        "every loss can be differentiated by its target",
    ),
    Reason("soft_margin_loss", ".*(inf|nan).*", "log1p(exp(x)) is computed without overflow; PyTorch's overflows"),
    Reason(
        "cross_entropy|nll_loss",
        "refusal: .*only PyTorch refuses: expected target dtype.*but got Int",
        "labels of every integer dtype are taken",
    ),
    Reason(
        "cross_entropy|nll_loss",
        "gradient: drawn .*nan.*",
        "the mean over no label is NaN, and so is its gradient; PyTorch's gradient is 0 for images",
    ),
    Reason(
        "(mse|l1|smooth_l1|huber|poisson_nll|hinge_embedding|soft_margin)_loss",
        "refusal: .*only deepcore refuses: .*equal shape.*",
        _STRICT,
    ),
    Reason(
        "ctc_loss",
        "gradient: .*",
        "PyTorch's is the gradient through a log_softmax that it takes for granted; ours is the derivative of the "
        "value, and the entry 'ctc_loss of log_softmax' shows that both lead to the same",
    ),
    Reason(
        "ctc_loss",
        _TAKES.format("(dtype|lengths not whole|no such label)"),
        "PyTorch rounds labels and lengths, and reads past the classes",
    ),
    Reason(
        "ctc_loss.*",
        "refusal: one sequence, none .*only PyTorch refuses: .*",
        "the loss of one sequence keeps its axis of sequences for reduction='none'",
    ),
    Reason(
        "group_norm",
        "gradient: .*one channel a group.*only PyTorch refuses: .*",
        "PyTorch's backward fails for a bias without a weight",
    ),
    # --- recurrent layers, attention, normalisation -------------------------------------------------------------------
    Reason(
        "rnn|lstm|gru",
        "refusal: .*PyTorch takes the bad input.*",
        "torch.lstm and its like trust the checks of torch.nn.LSTM",
    ),
    # --- linear algebra -----------------------------------------------------------------------------------------------
    Reason(
        "linalg\\.qr, product",
        "second gradient: .*",
        "the product is the matrix itself, so both are 0 but for the rounding of large terms that cancel",
        at_most=1e-12,
    ),
    Reason(
        "linalg\\.matrix_norm",
        _TAKES.format("extreme of nothing"),
        "the largest of no sums is refused; PyTorch returns 0",
    ),
)


def reason_for(op: str, key: str, error: float = math.inf) -> str:
    """The written reason for a difference of that size; an empty string where there is none."""
    return next((r.because for r in REASONS if r.explains(op, key, error)), "")
