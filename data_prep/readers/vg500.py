"""Reader of Visual Genome 500: images, their labels among 500 categories, region descriptions as captions.

The split and the labels are those that SSGRL (Chen et al., 2019) prepared. Layout, in one folder:

    train_list_500.txt, test_list_500.txt     SSGRL's: image file names, "2386299.jpg"
    vg_category_500_labels_index.json         SSGRL's: file name -> list of label indices
    region_descriptions.json                  Visual Genome's: for each image, its regions and their phrases
    VG_100K/, VG_100K_2/                      Visual Genome's images
"""

from collections.abc import Sequence
from pathlib import Path

from data_prep.readers.reading import check_count, listed, modalities, number, there, with_val
from difffeat.base.checked import INTEGER, LIST, TEXT, json_entries, json_object, many, regular, take
from difffeat.base.progress import bar
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

LISTS = {"train": "train_list_500.txt", "test": "test_list_500.txt"}
LABELS = "vg_category_500_labels_index.json"
REGIONS = "region_descriptions.json"
COUNTS = {"train": 82904, "test": 10000}
CATEGORIES = 500


gives = modalities  # by the settings `images` and `captions`


def sources(
    folder: Path | str, *, names: str | None = None, captions: bool = True, **_: object
) -> list[Path]:
    """The files that labels and captions are read from."""
    optional = ([REGIONS] if captions else []) + ([names] if names else [])
    expected = "the lists and labels of SSGRL, and Visual Genome's region descriptions"
    return [there(Path(folder) / name, expected) for name in [*LISTS.values(), LABELS, *optional]]


def read(
    folder: Path | str,
    *,
    names: str | None = None,
    captions: bool = True,
    images: bool = True,
    image_folders: Sequence[str] = ("VG_100K", "VG_100K_2"),
    validation: int = 5000,
    check_counts: bool = True,
) -> dict[str, Split]:
    """Train, val and test of VG500. Sample ids are Visual Genome's image ids, the numbers in the file names.

    A caption is all region descriptions of an image in the file's order, joined by ". ", as the paper
    concatenates them (its Appendix F); it is empty for an image without regions. The paper's 600 tokens are
    cut by the tokenizer, not here.

    Parameters
    ----------
    folder : path of the folder with the files above
    names : str, a file in it with the 500 category names, one a line in the order of the indices; without
        it they are "category 0" to "category 499"
    captions : bool, whether to read the region descriptions (700 MB, streamed)
    images : bool, whether to look for the images
    image_folders : names of the folders in `folder` that hold images; those that are not there are passed
        over, so that one folder will do
    validation : int, images of train held out for val, which SSGRL does not have
    check_counts : bool, whether a list must have as many images as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a file or an image is not on disk.
    ValueError
        If a list repeats an image or has another length than published, a list has an image without labels
        or without region descriptions, a label is not among the 500, or a file is not of its format or has an
        entry that is not; the message names the file and the entry.
    """
    folder = Path(folder)
    lists = {part: listed(folder / name) for part, name in LISTS.items()}
    ids = {part: _ids(folder / LISTS[part], files) for part, files in lists.items()}
    if check_counts:
        for part, files in lists.items():
            check_count(folder / LISTS[part], len(files), COUNTS[part], "images")
    labels = json_object(folder / LABELS)
    categories = _names(folder, names)
    wanted = {image for part in ids.values() for image in part}
    text = _captions(folder / REGIONS, wanted) if captions else {}
    places = _images(folder, image_folders) if images else {}
    read = {
        part: Split(
            name=part,
            ids=ids[part],
            names=categories,
            labels=multi_hot([_labels(folder, labels, file) for file in files], categories, ids[part]),
            captions=[text[image] for image in ids[part]] if captions else (),
            images=[places.get(file, folder / image_folders[0] / file) for file in files] if images else (),
            dataset="vg500",
        )
        for part, files in lists.items()
    }
    return with_val(read, validation)


def _ids(path, files):
    for file, line in files.items():
        if number(Path(file).stem) is None:
            raise ValueError(
                f"{path}, line {line}: {file!r} is not a number with a suffix, as in 2386299.jpg"
            )
    return [int(Path(file).stem) for file in files]


def _names(folder, names):
    if names is None:
        return [f"category {index}" for index in range(CATEGORIES)]
    names = list(listed(folder / names))
    if len(names) != CATEGORIES:
        raise ValueError(f"the setting `names` gives {len(names)} category names, expected {CATEGORIES}")
    return names


def _labels(folder, labels, file):
    if file not in labels:
        raise ValueError(f"{folder / LABELS} has no labels for image {file}, which is on a list")
    return take(str(folder / LABELS), labels, **{file: many(INTEGER)})[0]


def _captions(path, wanted):
    """Image id -> its phrases as one text, for the wanted ids; the file is never in memory as a whole."""
    captions, last = {}, "the start"
    regular(path, "Visual Genome's region descriptions")
    with bar(path.stat().st_size, "region descriptions", "B") as progress:
        try:
            for entry, done in json_entries(path):
                image, phrases = _entry(entry)
                if image in captions:
                    raise ValueError(f"image {image} comes a second time")
                if image in wanted:
                    captions[image] = ". ".join(phrases)
                last = f"image {image}"
                progress.update(done - progress.n)
        except ValueError as error:
            raise ValueError(f"{path}, after {last}: {error}") from error
    lacking = sorted(wanted - captions.keys())
    if lacking:
        raise ValueError(f"{path} lacks {len(lacking)} images of the lists, the first is image {lacking[0]}")
    return captions


def _entry(entry):
    """(image id, phrases) of one image's entry; releases name the id "id" or "image_id"."""
    name = "image_id" if isinstance(entry, dict) and "id" not in entry else "id"
    image, regions = take("the next entry", entry, **{name: INTEGER, "regions": LIST})
    said = [
        take((f"image {image}", "regions", place), region, phrase=TEXT)[0]
        for place, region in enumerate(regions)
    ]
    return image, [phrase.strip() for phrase in said]


def _images(folder, image_folders):
    """File name -> path, from one listing per folder."""
    there_are = [folder / name for name in image_folders if (folder / name).is_dir()]
    if not there_are:
        raise FileNotFoundError(
            f"{folder} has no folder {' or '.join(image_folders)}; check the settings `folder` and "
            f"`image_folders`, or set `images: false`"
        )
    return {path.name: path for place in reversed(there_are) for path in place.iterdir()}
