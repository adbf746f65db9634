"""What the paper says of where the best features are: which timestep, which block, on which data set."""

from difffeat.evidence import readings, shapes
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, printed_image
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.probing.grid import Grid

IMAGES, TEXT = "20_probe_image_grid", "21_probe_text_grid"
LAYER = 12  # the block that the paper's appendix G is about


def varies(grid: Grid) -> shapes.Verdict:
    """Whether the best timestep is not the same at every block: that it is one is refuted."""
    same = shapes.same_best(grid, 0)
    return shapes.Verdict(same.value, same.interval, support=same.against, against=same.support)


def layer_12(dataset: str, profile: str, source: str) -> Claim:
    """ "Layer 12" on one of the paper's data sets.

    Parameters
    ----------
    dataset : str, as the paper writes it
    profile : str, that of this project for it
    source : str, where the paper shows it
    """
    return Claim(
        id=f"layer_12_{profile}",
        part="Layer 12",
        text=f"Images of {dataset}: the best block is the 12th of 28",
        source=f"appendix G, {source}",
        metric="best block",
        reads=("image_best_block",),
        data=dataset,
        test=lambda page: readings.located(page["image_best_block"], LAYER, LAYER),
        published=lambda number: Published(LAYER, 0.0, source, dataset),
        needs=f"{dataset} and DiT-XL/2, profile {profile}",
    )


BEST_POINTS = (
    Claim(
        id="image_best_between_ends",
        part="Images",
        text="Images: the best timestep is a middle one, neither the least nor the most noise sampled",
        source="abstract, Table 5",
        metric="best timestep",
        reads=("image_best_timestep",),
        test=lambda page: readings.between_ends(
            page["image_best_timestep"], page.parameters["image_timesteps"]
        ),
        published=lambda number: _best_printed(number, "image", "timestep"),
        needs=IMAGES,
    ),
    Claim(
        id="image_timestep_varies",
        part="Images",
        text="Images: the best timestep is not the same at every block",
        source="section 3.2, magic mid-layer",
        metric="blocks with the commonest best timestep",
        unit="percent",
        test=varies,
        published=printed_image,
        needs=IMAGES,
    ),
    Claim(
        id="text_best_without_noise",
        part="Text",
        text="Text: the best feature is at t = 0, without noise",
        source="abstract, Table 5",
        metric="best timestep",
        reads=("text_best_timestep",),
        test=lambda page: readings.located(page["text_best_timestep"], 0, 0),
        published=lambda number: _best_printed(number, "text", "timestep"),
        needs=TEXT,
    ),
    Claim(
        id="text_best_at_deepest",
        part="Text",
        text="Text: the best feature is that of the deepest block",
        source="abstract, Table 5",
        metric="best block",
        reads=("text_best_block", "text_depth"),
        test=lambda page: readings.located(page["text_best_block"], *2 * [page["text_depth"].value]),
        published=lambda number: _best_printed(number, "text", "block"),
        needs=TEXT,
    ),
    Claim(
        id="text_random_best_at_deepest",
        part="Text",
        text="Text, random noise: the best feature is that of the deepest block",
        source="the same of random noise; not stated apart",
        metric="best block",
        reads=("text_random_best_block", "text_depth"),
        test=lambda page: readings.located(page["text_random_best_block"], *2 * [page["text_depth"].value]),
        needs=TEXT,
    ),
    layer_12("MS-COCO", "coco", "Figure 1"),
    layer_12("VG500", "vg500", "Figure 9"),
    layer_12("CIFAR-100", "cifar100", "Figure 13"),
    layer_12("Tiny-ImageNet", "tiny_imagenet", "Figure 14"),
    layer_12("PASCAL VOC 2007", "voc2007", "Figure 15"),
)


def _best_printed(number, modality, axis):
    """The timestep or block of the best printed point of a modality."""
    rows = paper.table(number)
    rows = rows[rows.modality == modality]
    best = int(rows.loc[rows.mAP.idxmax(), f"{modality}_{axis}"])
    return Published(best, 0.0, f"Table {number}", paper.best(number, modality).dataset)
