"""The module behind the Diff-Feat companion: features of diffusion transformers, and what they know.

Data flows one way, through wings of which each imports only from those before it in this list:

base, features, backbones, probing, evidence, show

Beside them stand `profiles`, the parameters of a page; `pages`, which there are and which run; `study`,
which a page opens and asks for what it measures; `extractions`, what features a page makes; and `cost`, what
a study takes before it is run.
"""

import warnings

# Without ipywidgets, libraries that we import say in a notebook that their progress bars will be text. Ours
# never are in a notebook, and a page shows no warning.
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = "0.1.0"
