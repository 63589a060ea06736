"""Networks for inference: folded, exported, verified."""
