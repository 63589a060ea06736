"""Generated data in the formats of the real data sets."""
