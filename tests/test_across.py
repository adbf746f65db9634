"""Several data sets side by side: which claims hold everywhere, somewhere, nowhere; readers of texts."""

import json
import re
import shutil

import pytest
import tiny

from difffeat.base.files import ROOT
from difffeat.evidence import across
from difffeat.features import datasets
from difffeat.show import across as shown

STORED = ROOT / "results"


@pytest.fixture
def root(tmp_path):
    """Results of two profiles: those of scenes, where one text claim is said to hold, and the same with text
    claims turned over."""
    for name in ("scenes", "other"):
        (tmp_path / name).mkdir()
        for page in ("20_probe_image_grid", "21_probe_text_grid"):
            shutil.copyfile(STORED / "scenes" / f"{page}.json", tmp_path / name / f"{page}.json")
    turned = {"text_rises_with_block": "differs", "text_falls_with_timestep": "not run (needs two timesteps)"}
    for name, statuses in (("scenes", {"text_rises_with_block": "reproduced"}), ("other", turned)):
        path = tmp_path / name / "21_probe_text_grid.json"
        content = json.loads(path.read_text())
        for result in content["results"]:
            result["status"] = statuses.get(result["id"], result["status"])
        path.write_text(json.dumps(content))
    return tmp_path


def test_a_claim_holds_everywhere_somewhere_or_nowhere(root):
    held = across.folders(root / "scenes", root)
    assert list(held) == ["scenes", "other"]
    told = across.found(held)
    assert list(told["text_falls_with_timestep"]) == ["scenes"], "what was not run is not counted"
    assert told["text_rises_with_block"]["other"].status == "differs"
    words = across.words(told)
    everywhere, rest = words.split("**Reproduced somewhere**")
    assert "random noise: at every block, mAP falls as the timestep grows (2 of 2 data sets)" in everywhere
    assert "text: at every timestep, mAP rises with the block (1 of 2 data sets)" in rest
    assert "text: at every block, mAP falls" not in words, "one data set is no comparison"
    numbers = [int(number) for number in re.findall(r"\d+", across.counted(told))]
    assert numbers[0] == sum(numbers[1:]) == sum(len(results) > 1 for results in told.values())
    assert numbers[1] == everywhere.count(" data sets)") and numbers[2] == (
        rest.partition("**Reproduced nowhere**")[0].count(" data sets)")
    )
    frame = shown.statuses(held).frame.set_index("claim")
    row = next(frame.loc[claim] for claim in frame.index if claim.startswith("Text: at every timestep"))
    assert (row["scenes"], row["other"]) == ("reproduced", "differs")


def test_statuses_of_one_folder_are_counted(root):
    said = across.statuses(root / "other")
    assert "1 differ" in said or "2 differ" in said
    assert said != across.statuses(root / "scenes")


def test_readers_stand_beside_each_other_with_intervals(root):
    held = across.folders(root / "scenes", root)
    frame = shown.readers(held, {"scenes": "scenes", "other": "the other"}).frame.set_index("reader")
    assert frame.loc["text feature", "scenes"] == frame.loc["text feature", "the other"]
    assert "to" in frame.loc["bag of words", "scenes"]
    assert "fused feature" not in frame.index, "no page of these has measured it"


def test_pictures_have_readers_of_their_own(root):
    held = across.folders(root / "scenes", root)
    frame = shown.readers(held, {"scenes": "scenes"}, shown.OF_PICTURES).frame.set_index("reader")
    own = across.numbers(held)["scenes"]
    assert frame.loc["raw pixels", "scenes"] == own["floor_raw_pixels_score"].text
    assert frame.loc["best block", "scenes"] == own["image_best_block"].text
    assert "bag of words" not in frame.index


def test_places_on_two_data_sets_overlap_or_lie_apart(root):
    held, key = across.folders(root / "scenes", root), "image_best_block"
    names = {"scenes": "scenes", "other": "photos", "absent": "nothing"}
    text = across.numbers(held)["scenes"][key].text
    both = f"The best block: {text} for scenes; {text} for photos. The intervals overlap."
    assert across.placed("The best block", held, names, key) == both
    path = root / "other" / "20_probe_image_grid.json"
    content = json.loads(path.read_text())
    moved = next(result for result in content["results"] if result["id"] == key)
    moved.update(value=100, interval=[99, 101])
    path.write_text(json.dumps(content))
    assert across.placed("The best block", held, names, key).endswith("photos. The intervals lie apart.")
    assert across.placed("The best block", held, {"scenes": "scenes", "absent": "nothing"}, key) == ""
    assert across.placed("The best block", held, names, "not_measured") == ""


def test_a_table_says_how_much_of_the_data_is_read():
    splits = {part: tiny.split(count, name=part) for part, count in (("train", 9), ("val", 3), ("test", 4))}
    frame = shown.sizes(datasets.first(splits, [5, 3, 0], "error"), splits).frame.set_index("part")
    assert frame.loc["train"].tolist() == ["5", "9"]
    assert frame.loc["test"].tolist() == ["4", "4"], "0 takes all"
