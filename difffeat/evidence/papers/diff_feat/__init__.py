"""Diff-Feat, arXiv 2509.15553."""
