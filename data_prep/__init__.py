"""Data sets made ready for the notebooks: readers, captions, the generated scenes, downloads, trainings."""

from data_prep.sets import gives, splits

__all__ = ["gives", "splits"]
