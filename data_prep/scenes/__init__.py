"""`scenes`: COCO-style generated pictures with captions, boxes, masks and labels.

`world` lays scenes out, `drawing` draws them, `language` describes them, `generate` writes COCO's files.
"""

from data_prep.scenes.generate import COUNTS, VERSION, generate
from data_prep.scenes.language import captions
from data_prep.scenes.world import CATEGORIES, SUPERCATEGORY, layout

__all__ = ["CATEGORIES", "COUNTS", "SUPERCATEGORY", "VERSION", "captions", "generate", "layout"]
