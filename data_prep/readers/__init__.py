"""Readers of data sets, one a layout."""
