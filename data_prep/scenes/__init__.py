"""`scenes`: COCO-style generated pictures with captions, boxes, masks and labels.

`world` lays scenes out, `drawing` draws them, `language` and `regions` describe them, `generate` writes
COCO's files.
"""

from data_prep.scenes.generate import COUNTS, KINDS, VERSION, generate
from data_prep.scenes.language import captions
from data_prep.scenes.world import CATEGORIES, SUPERCATEGORY, layout

__all__ = ["CATEGORIES", "COUNTS", "KINDS", "SUPERCATEGORY", "VERSION", "captions", "generate", "layout"]
