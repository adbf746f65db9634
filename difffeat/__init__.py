"""The thin module behind the Diff-Feat companion: features of diffusion transformers, and what they know.

Data flows one way, and a module imports only from those above it in this list:

metrics, stats, measures, schedule, datasets, backbones, cost, cache, extract, probe, floors, grid, fusion,
pairs, search, paper, claims, plots, pages, answers, protocols

`profiles` stands beside them: it imports none, and gives a notebook its parameters.
"""

import warnings

# Without ipywidgets, libraries that we import say in a notebook that their progress bars will be text. Ours
# never are in a notebook, and a page shows no warning.
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = "0.1.0"
