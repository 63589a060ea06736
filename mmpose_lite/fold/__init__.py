"""Networks in their exact inference forms: the same function with fewer operators."""

from .. import _plugin  # noqa: F401
from .fold import exchange_blocks, fold, fuse_batch_norms
from .inference import Inference

__all__ = ['Inference', 'exchange_blocks', 'fold', 'fuse_batch_norms']
