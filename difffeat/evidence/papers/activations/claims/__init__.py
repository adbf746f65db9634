"""The list of the second paper's claims: those of every module of this package, in the order of their names.

A module gives its claims in tuples; to add one, write it.
"""

import importlib
import pkgutil

from difffeat.evidence.papers.diff_feat.claims.claim import Claim


def _given(name):
    """The claims in the tuples of a module."""
    module = importlib.import_module(f"{__name__}.{name}")
    tuples = [held for held in vars(module).values() if isinstance(held, tuple)]
    return [claim for held in tuples for claim in held if isinstance(claim, Claim)]


CLAIMS = tuple(claim for module in pkgutil.iter_modules(__path__) for claim in _given(module.name))
