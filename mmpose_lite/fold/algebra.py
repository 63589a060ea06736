"""Exact identities between layers, on weights."""

import torch
from torch import Tensor, nn


def into_linear(norm: nn.LayerNorm, linear: nn.Linear) -> nn.Linear:
    """The linear layer that does after a bare norm what ``linear`` does after ``norm`` with its affine half.

    ``W (g n + b) + c = (W g) n + (W b + c)``
    """
    weight, bias = affine_into(norm, linear.weight, linear.bias)
    folded = nn.Linear(linear.in_features, linear.out_features).to(weight)
    folded.weight, folded.bias = (nn.Parameter(value, requires_grad=False) for value in (weight, bias))
    return folded.eval()


def affine_into(norm: nn.LayerNorm, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of a linear layer that has taken in the affine half of the norm before it."""
    weight = weight.detach()
    shift = weight @ norm.bias.detach()
    return weight * norm.weight.detach(), shift if bias is None else shift + bias.detach()


def add_identity(conv: nn.Conv2d) -> None:
    """Make a depthwise convolution of stride 1 compute ``x + conv(x)``: add 1 to the centre tap, in place."""
    rows, columns = conv.kernel_size
    with torch.no_grad():
        conv.weight[:, :, rows // 2, columns // 2] += 1


def permute_outputs(conv: nn.Conv2d, order: Tensor) -> None:
    """Let channel i of the result be the former channel ``order[i]``, in place.

    Of a depthwise convolution this permutes inputs as well.
    """
    conv.weight.data = conv.weight.data[order]
    if conv.bias is not None:
        conv.bias.data = conv.bias.data[order]


def permute_inputs(conv: nn.Conv2d, order: Tensor) -> None:
    """Let channel i of the input be the former channel ``order[i]``, in place; for dense convolutions."""
    conv.weight.data = conv.weight.data[:, order]
