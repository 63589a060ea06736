"""HEViTPose's blocks, written for inference."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_lite.models.hevitpose import CGSRMHA, Residual, to_map, to_tokens

from ..algebra import add_identity, affine_into


class FoldedCGSRMHA(nn.Module):
    """CGSR-MHA with the affine halves of its input norms inside the projections, a set of them for every group.

    The norm after a group keeps its affine half: its result also enters the next group.

    Args:
        attention: The block.
    """

    def __init__(self, attention: CGSRMHA) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.reduce = attention.reduce
        self.proj, self.out_norms = attention.proj, attention.out_norms
        self.out_proj_weight = attention.out_proj_weight
        dims = attention.out_proj_weight.shape[0]
        self.dims, self.groups = dims, attention.num_groups
        self.eps = attention.q_norms[0].eps
        self.norm_kv = isinstance(attention.kv_norms[0], nn.LayerNorm)
        weights, biases = [], []
        for group in range(attention.num_groups):
            rows = (slice(0, dims), slice(dims, None))  # of queries, of keys and values
            norms = (attention.q_norms[group], attention.kv_norms[group])
            for part, norm in zip(rows, norms, strict=True):
                weight, bias = attention.in_proj_weight[part].detach(), None
                if isinstance(norm, nn.LayerNorm):
                    weight, bias = affine_into(norm, weight, bias)
                weights.append(weight)
                biases.append(weight.new_zeros(len(weight)) if bias is None else bias)
        self.weights, self.biases = (
            nn.ParameterList(nn.Parameter(value, requires_grad=False) for value in values)
            for values in (weights, biases)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        height, width = int(x.shape[2]), int(x.shape[3])  # integers: a traced graph holds no shape arithmetic
        feats = to_tokens(x).split(self.dims, dim=-1)  # (B, HW, c) each
        outs: list[Tensor] = []
        for index, feat in enumerate(feats):
            if outs:
                feat = feat + outs[-1]
            kv = to_tokens(self.reduce(to_map(feat, height, width)))  # (B, M, c)
            if self.norm_kv:
                kv = F.layer_norm(kv, (self.dims,), eps=self.eps)
            q = F.linear(
                F.layer_norm(feat, (self.dims,), eps=self.eps), self.weights[2 * index], self.biases[2 * index]
            )
            k, v = F.linear(kv, self.weights[2 * index + 1], self.biases[2 * index + 1]).split(self.dims, dim=-1)
            out = F.scaled_dot_product_attention(*map(self._heads, (q, k, v))).transpose(1, 2)  # (B, N, h, c / h)
            out = out.reshape(-1, height * width, self.dims)
            out = F.linear(out, self.out_proj_weight)
            outs.append(self.out_norms[index](out))
        return self.proj(to_map(torch.cat(outs, dim=-1), height, width))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, c) to (B, h, N, c / h)."""
        return x.reshape(-1, int(x.shape[1]), self.num_heads, self.dims // self.num_heads).transpose(1, 2)


def fold_residual(residual: Residual) -> nn.Module:
    """``x + dw(x)`` is one depthwise convolution; residual branches of other kinds stay as they are."""
    branch = residual.branch
    if not (isinstance(branch, nn.Sequential) and len(branch) == 2 and isinstance(branch[1], nn.Identity)):
        return residual
    conv = branch[0]
    if not (type(conv) is nn.Conv2d and conv.groups == conv.in_channels == conv.out_channels):
        return residual
    add_identity(conv)
    return conv


FORMS = {CGSRMHA: FoldedCGSRMHA, Residual: fold_residual}
