"""The one table of automatic casts: which op runs in which precision inside of `autocast`.

It is PyTorch's table for CUDA, and the same for every device here. A name is that of a Function, or that of a function
that is marked `cast_as_one`. What has no line computes in the dtype that comes (and `+`, `cat`, `where`, ... promote
as they always do). float64 and integers are never cast.
"""

from __future__ import annotations

HALF = "half"
"""Cast to the context's dtype: products of matrices, where the time goes, and which a GPU adds up in float32."""

FLOAT32 = "float32"
"""Cast to float32, and the result stays in it: wide ranges (exp, pow) and long sums (losses, norms, softmax)."""

WIDEST = "widest"
"""Cast to float32 where one of the inputs is: these refuse a mixture."""

INSIDE = "inside"
"""As WIDEST, and the result comes back in the dtype of the first input; vectors, as running statistics are, stay."""

_NAMES = {
    HALF: """
        matmul linear linear_relu einsum
        conv1d conv2d conv2d_relu conv3d conv_transpose1d conv_transpose2d conv_transpose3d
        scaled_dot_product_attention additive_attention
        rnn lstm gru rnn_cell lstm_cell gru_cell
        prelu
    """,
    FLOAT32: """
        exp exp2 expm1 log log10 log1p log2 pow reciprocal rsqrt
        acos asin cosh sinh tan erfinv softplus
        sum prod cumsum cumprod var std logsumexp softmax log_softmax
        layer_norm rms_norm group_norm normalize norm vector_norm matrix_norm
        pairwise_distance cosine_similarity
        cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits
        l1_loss mse_loss smooth_l1_loss huber_loss
        kl_div gaussian_nll_loss poisson_nll_loss vae_loss ctc_loss
        cosine_embedding_loss hinge_embedding_loss margin_ranking_loss soft_margin_loss triplet_margin_loss
        sigmoid_focal_loss focal_loss dice_loss
        generalized_box_iou_loss distance_box_iou_loss complete_box_iou_loss
        affine_grid cholesky qr eigh eigvalsh svd svdvals inv solve det slogdet matrix_power
    """,
    WIDEST: """
        dot grid_sample scatter scatter_add index_add bias_relu
        nms batched_nms encode_boxes decode_boxes
        box_iou generalized_box_iou distance_box_iou complete_box_iou
    """,
    INSIDE: """
        batch_norm batch_norm_relu instance_norm
        roi_pool roi_align
    """,
}

RULES: dict[str, str] = {name: rule for rule, names in _NAMES.items() for name in names.split()}
"""The rule of each op by its name."""
