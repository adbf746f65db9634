"""Reader of PASCAL VOC 2007: which of 20 classes are on an image, from the XML of its objects.

Layout, as `VOCtrainval_06-Nov-2007.tar` and `VOCtest_06-Nov-2007.tar` unpack into one folder:

    VOCdevkit/VOC2007/ImageSets/Main/{train,val,trainval,test}.txt    image names, "000005"
    VOCdevkit/VOC2007/Annotations/000005.xml                          objects: name, difficult
    VOCdevkit/VOC2007/JPEGImages/000005.jpg

Letters: N images, K = 20 classes.
"""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from data_prep.readers.reading import check_count, check_parts, listed, there, unpacked, with_val
from difffeat.base.checked import regular, shown
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
PARTS = {"train": "trainval", "test": "test"}
COUNTS = {"train": 2501, "val": 2510, "trainval": 5011, "test": 4952}


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images"}


def sources(folder: Path | str, *, parts: Mapping[str, str] | None = None, **_: object) -> list[Path]:
    """The files that labels are read from."""
    root = unpacked(folder, "VOCdevkit/VOC2007")
    there(root / "Annotations", "VOC 2007's layout with its Annotations, ImageSets and JPEGImages")
    lists = [_list(root, stem) for stem in (parts or PARTS).values()]
    return lists + sorted((root / "Annotations").glob("*.xml"))


def read(
    folder: Path | str,
    *,
    parts: Mapping[str, str] | None = None,
    difficult: str = "keep",
    validation: int = 500,
    check_counts: bool = True,
) -> dict[str, Split]:
    """Train, val and test of VOC 2007. Sample ids are the numbers in the image names; there are no captions.

    Parameters
    ----------
    folder : path of the folder that holds VOCdevkit, or of VOC2007 itself
    parts : dict of part to the name of its list, by default trainval for train and test for test; the
        official halves of trainval are {"train": "train", "val": "val", "test": "test"}
    difficult : str, what becomes of a class whose every object on the image is marked difficult (small,
        hidden, or told by its surroundings only). "keep": present, the default, because the class is on the
        image; ML-GCN trains so. "drop": absent, as SSGRL counts. "ignore": present in training and left out
        of that class's AP, as the challenge's own evaluation has it (`Split.ignored`). The paper does not
        state its choice.
    validation : int, images of train held out where `parts` names no val
    check_counts : bool, whether a list must have as many images as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a list, an annotation or an image is not on disk.
    ValueError
        If a list repeats an image or has another length than published, an annotation is not XML or not one
        of VOC or names another class, or a parameter is none of its values.
    """
    parts = parts or PARTS
    check_parts(parts)
    if difficult not in ("keep", "drop", "ignore"):
        raise ValueError(f"difficult is {difficult!r}; expected 'keep', 'drop' or 'ignore'")
    root = unpacked(folder, "VOCdevkit/VOC2007")
    read = {part: _part(root, part, stem, difficult, check_counts) for part, stem in parts.items()}
    return with_val(read, validation)


def _part(root, part, stem, difficult, check_counts):
    path = _list(root, stem)
    images = listed(path)
    wrong = [image for image in images if not (image.isascii() and image.isdecimal() and len(image) == 6)]
    if wrong:
        raise ValueError(f"{path}, line {images[wrong[0]]}: {wrong[0]!r} is not a name of six digits")
    if check_counts and stem in COUNTS:
        check_count(path, len(images), COUNTS[stem], "images")
    classes = [_classes(root / "Annotations" / f"{image}.xml") for image in images]
    present = [
        [NAMES.index(name) for name, only in found.items() if difficult != "drop" or not only]
        for found in classes
    ]
    ignored = [[NAMES.index(name) for name, only in found.items() if only] for found in classes]
    ids = [int(image) for image in images]
    return Split(
        name=part,
        ids=ids,
        names=NAMES,
        labels=multi_hot(present, NAMES, ids),
        images=[root / "JPEGImages" / f"{image}.jpg" for image in images],
        dataset="voc2007",
        ignored=multi_hot(ignored, NAMES, ids) if difficult == "ignore" else None,
    )


def _classes(path):
    """Class -> whether every object of it on the image is marked difficult."""
    try:
        root = ElementTree.parse(regular(path, "the annotation of an image on the list")).getroot()
    except (ElementTree.ParseError, LookupError) as error:  # no XML, or of an unknown encoding
        raise ValueError(f"{path} is not XML, or ends early: {error}") from error
    if root.tag != "annotation":
        raise ValueError(f"{path} holds <{root.tag}>; expected an <annotation> of VOC")
    found = {}
    for number, thing in enumerate(root.findall("object"), start=1):
        name = thing.findtext("name", "").strip()
        if name not in NAMES:
            raise ValueError(f"{path}: object {number} has class {name!r}, none of the {len(NAMES)} classes")
        difficult = thing.findtext("difficult", "0").strip()
        if difficult not in ("0", "1"):
            raise ValueError(f"{path}: object {number} has difficult {shown(difficult)}; expected 0 or 1")
        found[name] = found.get(name, True) and difficult == "1"
    return found


def _list(root, stem):
    return there(root / "ImageSets" / "Main" / f"{stem}.txt", "a list of VOC 2007")
