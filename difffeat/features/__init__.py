"""From a data set and a model to a cache of features: splits, noise, extraction, files."""
