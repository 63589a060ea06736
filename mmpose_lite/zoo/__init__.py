"""Networks and weights that come with the package: metafiles, costs, shipped weights, publishing."""
