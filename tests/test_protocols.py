"""Claims judged under other protocols: each protocol does what it says, and the table shows what was
found."""

from dataclasses import replace

import pytest
import tiny

from difffeat.evidence import protocols
from difffeat.evidence.protocols import Choice, Judge
from difffeat.evidence.results import Result
from difffeat.features.recipe import Recipe
from difffeat.probing import probe
from difffeat.show import protocols as strips


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    sizes = {"train": (60, 100), "val": (40, 300), "test": (41, 500)}
    splits = {
        part: tiny.split(count, folder=folder, name=part, first=first)
        for part, (count, first) in sizes.items()
    }
    told = {
        part: replace(split, captions=tuple(f"{caption} here" for caption in split.captions))
        for part, split in splits.items()
    }
    recipe = Recipe(blocks=[0, 1, 2], timesteps=[0, 50, 100])
    quiet = replace(recipe, noising="mean")
    models = tiny.dit(), tiny.plaid()
    return Judge(splits, told, *models, recipe, quiet, folder / "features", (0,), 4, 20)


def test_every_axis_has_the_base_among_its_values():
    found = protocols.choices([10, 20], 20, [30], [0, 1], [0.1])
    names = {}
    for choice in found:
        names.setdefault(choice.axis, []).append(choice.name)
    assert names == {
        "steps": ["10", "20"],
        "training images": ["30", "all"],
        "noise seed": ["0", "1", "all"],
        "scaling": ["standard", "none"],
        "weight decay": ["0", "0.1"],
    }
    base = [c for c in found if c.probing == dict(steps=20) and c.train is None and c.seeds in (None, (0,))]
    assert {choice.axis for choice in base} == set(names)


def test_claims_are_judged_once_for_each_protocol(judge, monkeypatch):
    trained = []
    fit = probe.fit_grid
    monkeypatch.setattr(
        probe, "fit_grid", lambda x, y, **how: trained.append((len(y), how)) or fit(x, y, **how)
    )
    choices = [
        Choice("steps", "5", dict(steps=5)),
        Choice("weight decay", "0", dict(steps=5)),
        Choice("noise seed", "0", dict(steps=5), seeds=(0,)),
        Choice("weight decay", "0.1", dict(steps=5, weight_decay=0.1)),
        Choice("training images", "30", dict(steps=5), train=30),
    ]
    found = protocols.judged(judge, choices)
    assert {count for count, _ in trained[:4]} == {60} and len(trained) == 12  # image, and text three ways
    assert trained[4][1]["weight_decay"] == 0.1 and {count for count, _ in trained[8:]} == {30}
    first = found[choices[0]]
    assert found[choices[1]] is first and found[choices[2]] is first and len(first) == 13
    assert found[choices[3]]["fusion_beats_image"].value != first["fusion_beats_image"].value
    kept = protocols.details(found)
    assert [entry["name"] for entry in kept] == ["5", "0", "0", "0.1", "30"]
    assert kept[0]["claims"]["image_best_in_middle"]["status"] == first["image_best_in_middle"].status


def results(**statuses):
    return {
        name: Result(name, 0.1, (0.0, 0.2), what=f"claim {name}", unit="points", status=status)
        for name, status in statuses.items()
    }


def test_strips_show_a_mark_for_each_protocol_and_its_status_to_a_screen_reader():
    a, b = Choice("steps", "640"), Choice("steps", "25,880")
    found = {a: results(x="differs", y="reproduced"), b: results(x="reproduced", y="reproduced")}
    table = strips.strips(found)
    assert table.frame.to_dict("records") == [
        {"claim": "claim x", "steps 640": "differs", "steps 25,880": "reproduced"},
        {"claim": "claim y", "steps 640": "reproduced", "steps 25,880": "reproduced"},
    ]
    html = table._repr_html_()
    assert html.count("✗") == 1 and html.count("✓") == 3 and 'aria-label="differs"' in html
    assert protocols.steady(found) == (["y"], ["x"])
    assert strips.numbers(found).frame.iloc[0]["steps 640"] == "+10.0 (+0.0 to +20.0)"
