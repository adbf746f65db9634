"""The thin module behind the Diff-Feat companion: features of diffusion transformers, and what they know.

Data flows one way, and a module imports only from those above it in this list:

metrics, stats, schedule, datasets, backbones, cache, extract, probe, floors, grid, fusion, pairs, search,
paper, claims, plots, pages

`profiles` stands beside them: it imports none, and gives a notebook its parameters.
"""

__version__ = "0.1.0"
