"""Points: where in a model, and at how much noise, features are read."""

from __future__ import annotations


class Point(tuple):
    """One place to read features from: (timestep, block), at the block's output unless `place` says more.

    Unpacks, compares and sorts as the pair (timestep, block), and equals that pair where the place is "out".

    Parameters
    ----------
    timestep, block : int
    place : str, "out" or what a backbone has inside a block
    """

    def __new__(cls, timestep, block, place="out"):
        point = super().__new__(cls, (int(timestep), int(block)))
        point.place = place
        return point

    @classmethod
    def of(cls, given) -> Point:
        """A point of any pair (timestep, block)."""
        return given if isinstance(given, cls) else cls(*given)

    @property
    def timestep(self):
        """The noise, from 0 to 999."""
        return self[0]

    @property
    def block(self):
        """How many blocks have run."""
        return self[1]

    @property
    def name(self):
        """In files: b08/t0030; inside a block b08/attention/t0030."""
        inside = "" if self.place == "out" else f"{self.place}/"
        return f"b{self.block:02d}/{inside}t{self.timestep:04d}"

    @property
    def label(self):
        """On pages: (30, 8)."""
        inside = "" if self.place == "out" else f", {self.place}"
        return f"({self.timestep}, {self.block}{inside})"

    def __eq__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return tuple.__eq__(self, other) and self.place == getattr(other, "place", "out")

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(tuple(self)) if self.place == "out" else hash((*self, self.place))

    def __reduce__(self):
        return Point, (self.timestep, self.block, self.place)
