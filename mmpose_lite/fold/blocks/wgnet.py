"""WGNet's blocks, prepared for inference."""

from torch import nn

from mmpose_lite.models.wgnet import GlobalAttention, GridAttention, WindowAttention

from ..algebra import into_linear


def fold_attention(attention: GridAttention) -> GridAttention:
    """Take the affine half of the norm into the projection to queries, keys and values, in place."""
    norm = attention.norm
    attention.qkv = into_linear(norm, attention.qkv)
    attention.norm = nn.LayerNorm(norm.normalized_shape, norm.eps, elementwise_affine=False).eval()
    return attention


FORMS = {WindowAttention: fold_attention, GlobalAttention: fold_attention}
