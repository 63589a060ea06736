"""Reading and checking data sets, and generated data in the formats of the real ones."""

from .. import _plugin  # noqa: F401
from .blur import Blur
from .loading import LoadIntactImage
from .mpii_test import MpiiPredictions, MpiiTestDataset

__all__ = ['Blur', 'LoadIntactImage', 'MpiiPredictions', 'MpiiTestDataset']
