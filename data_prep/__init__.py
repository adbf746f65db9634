"""Data sets made ready for the notebooks: readers, captions, the generated scenes, downloads, trainings."""

from data_prep.sets import gives, maps, objects, pairs, splits

__all__ = ["gives", "maps", "objects", "pairs", "splits"]
