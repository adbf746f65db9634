"""Pairs that share points: what one modality gives to P pairs, each point read once for all of its pairs.

U points of one modality, B samples of a batch, width D, K labels; M places for pairs at each point.
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize


class Shared:
    """The points of one modality that P pairs read.

    Pairs of a point lie side by side in one product of matrices, (M * K, D) by (D, B), instead of M small
    ones. A point with more pairs than the M of an even share is listed again, so that at most half of the
    places stay empty.

    Parameters
    ----------
    features : Tensor of shape (points, N, D)
    points : sequence of int, the point of each pair
    normalised : bool, features at length 1
    """

    def __init__(self, features: torch.Tensor, points: Sequence[int], normalised: bool = False) -> None:
        places = -(-len(points) // len(set(points)))  # M
        members = []
        for point in sorted(set(points)):
            pairs = [pair for pair, of_pair in enumerate(points) if of_pair == point]
            members += [(point, pairs[first : first + places]) for first in range(0, len(pairs), places)]
        listed = features[[point for point, _ in members]]
        listed = normalize(listed, dim=-1) if normalised else listed
        self.by_sample, self.width = listed.transpose(0, 1).contiguous(), features.shape[2]  # long rows
        self.shape = len(members), places
        filled = [(pairs + pairs[:1] * places)[:places] for _, pairs in members]  # an empty place does again
        order = torch.tensor(filled, device=features.device).flatten()
        found = {pair: u * places + m for u, (_, pairs) in enumerate(members) for m, pair in enumerate(pairs)}
        place = torch.tensor([found[pair] for pair in range(len(points))], device=features.device)
        straight = torch.equal(order, torch.arange(len(points), device=order.device))
        self.order, self.place = (None, None) if straight else (order, place)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """The samples `rows` (B,) of every point, (U, B, D)."""
        return self.by_sample.index_select(0, rows).transpose(0, 1)

    def of_pairs(self, batch: torch.Tensor) -> torch.Tensor:
        """A batch (U, B, D) as each pair reads it, (P, B, D)."""
        repeated = batch.unsqueeze(1).expand(-1, self.shape[1], -1, -1).flatten(0, 1)
        return self._by_pair(repeated)

    def times(self, weights: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """weights (P, K, D) of each pair times its samples, (P, K, B)."""
        return self._by_pair(self._product(weights, batch.mT))

    def slopes(self, residual: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """residual (P, K, B) of each pair, summed over its samples weighted with them, (P, K, D)."""
        return self._by_pair(self._product(residual, batch))

    def _product(self, left, right):
        """(P, K, X) by the (U, X, Y) of its point, (U * M, K, Y)."""
        stacked = left if self.order is None else left.index_select(0, self.order)
        points, places = self.shape
        product = torch.bmm(stacked.reshape(points, places * left.shape[1], -1), right)
        return product.view(points * places, left.shape[1], -1)

    def _by_pair(self, places):
        return places if self.place is None else places.index_select(0, self.place)
