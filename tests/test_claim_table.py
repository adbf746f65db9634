"""The list of claims names what the paper has; its table, its files and its filters say the same."""

import io
import json
import re
import shutil
import subprocess
from base64 import b64decode
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from difffeat.evidence import claims, readings, results
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.papers.listed import CLAIMS, PAPERS
from difffeat.evidence.results import Result
from difffeat.profiles import ROOT
from difffeat.show import claim_table, tables

PARTS = {"Data", "Models", "Images", "Text", "Noising", "Fusion", "Search", "Clusters", "Labels", "Layer 12"}
PARTS |= {"Headline numbers", "Baselines"}
# What the paper has, as its text numbers it.
SECTIONS = {"1", "2", "3", "3.1", "3.2", "3.3", "4", "4.1", "4.2", "4.3", "5", "6"}
APPENDICES, TABLES, FIGURES = set("ABCDEFGHIJ"), set(range(1, 11)), set(range(1, 17))
ELSEWHERE = ("the same of", "not tested", "not stated")  # a setting of the book's own, which the row says


def named(source):
    """{kind: what a source names of it}; "Tables 5 and 6" names both."""
    found = {}
    for kind, said in re.findall(
        r"(section|appendi(?:x|ces)|[Tt]ables?|Figures?|Algorithm|footnote)"
        r"s? ((?:[A-Z]|\d[\d.]*)\b(?:(?:, | and )(?:[A-Z]|\d[\d.]*)\b)*)",
        source,
    ):
        kind = {"appendices": "appendix"}.get(kind, kind.lower().removesuffix("s"))
        found.setdefault(kind, []).extend(re.split(r", | and ", said))
    return found


def test_every_claim_is_named_once_and_belongs_to_a_part():
    names = [claim.id for claim in CLAIMS]
    assert len(set(names)) == len(names) >= 40 and all(re.fullmatch(r"[a-z]\w*", name) for name in names)
    assert {claim.part for claim in PAPERS["Diff-Feat"]} <= PARTS
    said = [claim.said() for claim in CLAIMS]
    assert len(set(said)) == len(said) and not [text for text in said if "{" in text or text.endswith(".")]
    assert all(claim.needs and claim.metric for claim in CLAIMS)
    numbers = [claim for claim in CLAIMS if claim.test is None and claim.result]
    assert all(claim.published and not claim.reads for claim in numbers)
    assert all(claim.test for claim in CLAIMS if claim.reads)


@pytest.mark.parametrize("claim", PAPERS["Diff-Feat"], ids=lambda claim: claim.id)
def test_a_claim_is_made_where_the_paper_has_something(claim):
    if claim.source.startswith(ELSEWHERE):
        return
    found = named(claim.source)
    assert found or claim.source.startswith("abstract"), claim.source
    assert set(found.get("section", ())) <= SECTIONS and set(found.get("appendix", ())) <= APPENDICES
    assert {int(number) for number in found.get("table", ())} <= TABLES
    assert {int(number) for number in found.get("figure", ())} <= FIGURES
    assert found.get("algorithm", ["1"]) == ["1"] and set(found.get("footnote", ())) <= {"1", "2", "3", "4"}


def test_a_source_is_taken_apart():
    assert named("section 4, appendices F, G and H") == {"section": ["4"], "appendix": ["F", "G", "H"]}
    assert named("abstract, Tables 5 and 6, Figure 3 (loss)") == {"table": ["5", "6"], "figure": ["3"]}


@pytest.mark.parametrize("number", [5, 6])
def test_the_papers_number_is_there_for_both_data_sets(number):
    for claim in CLAIMS:
        found = claims.published(claim, number)
        assert isinstance(found, Published), claim.id
        assert found.value is None or np.isfinite(found.value), claim.id
        assert (claim.published is None) == (found.value is None), claim.id


def test_a_number_in_a_claims_words_is_the_printed_one():
    checked = []
    for claim in CLAIMS:
        said = re.search(r"(\d+\.\d+)%", claim.text)
        if claim.test is None and said:
            value = claims.published(claim).value
            value = 1 - value if "error rate" in claim.text else value
            assert value == pytest.approx(float(said[1]) / 100), claim.id
            checked.append(claim.id)
    assert len(checked) >= 14
    speeds = {claim.id: claims.published(claim).value for claim in CLAIMS if "RTX 4090" in claim.text}
    assert speeds == {"image_speed_4090": 363.52, "text_speed_4090": 104.32}


@pytest.mark.parametrize(
    ("value", "interval", "status"),
    [
        (12, None, "reproduced"),
        (12, (12, 12), "reproduced"),
        (12, (8, 16), "inconclusive"),
        (8, (8, 12), "inconclusive"),
        (8, None, "differs"),
        (16, (14, 20), "differs"),
        (10, (8, 16), "inconclusive"),  # 12 is not ruled out
    ],
)
def test_where_a_number_lies(value, interval, status):
    assert readings.located(Result("block", value, interval), 12, 12).status == status


def test_between_the_ends_of_what_was_sampled():
    def status(value, interval=None):
        return readings.between_ends(Result("t", value, interval), [100, 0, 50, 30]).status

    assert [status(30), status(50, (30, 50)), status(0), status(100, (100, 100))] == [
        *["reproduced"] * 2,
        *["differs"] * 2,
    ]
    assert status(30, (0, 50)) == "inconclusive"
    assert readings.between_ends(Result("t", 10), [10, 20]).status == "inconclusive"  # nothing is between


def test_two_numbers_apart():
    low, high = Result("low", 0.40, (0.38, 0.43)), Result("high", 0.50, (0.46, 0.52))
    found = readings.apart(high, low)
    assert found.status == "reproduced" and found.value == pytest.approx(0.10)
    assert found.interval == pytest.approx((0.10 - np.hypot(0.04, 0.03), 0.10 + np.hypot(0.02, 0.02)))
    assert readings.apart(low, high).status == "differs"
    assert readings.apart(Result("high", 0.41, (0.39, 0.42)), low).status == "inconclusive"


def settings(folder, notebook, profile="scenes", **parameters):
    """What `profiles.parameters` gives a notebook of a profile with results in `folder`."""
    return SimpleNamespace(
        profile=profile,
        notebook=notebook,
        parameters={"profile": profile} | parameters,
        dataset={"coco-lists": "coco"}.get(profile, profile),
        results=folder / profile,
    )


def captions_page(folder, **changes):
    """A page on the real labels of MS-COCO as the recorded one leaves it, with other counts if told."""
    counts = dict(paper.table(3)[["category", "images"]].itertuples(index=False)) | changes
    return results.record(
        settings(folder, "coco_captions", "coco-lists"),
        *(
            Result(f"images_{name.replace(' ', '_')}", int(images), unit="count")
            for name, images in counts.items()
        ),
        Result("table8_distance", 0.0004, metric="total variation"),
    )


def test_rare_categories_and_lengths_are_held_against_the_printed_ones(tmp_path):
    page = captions_page(tmp_path)
    assert readings.rare_counts(page) == (7, None, "reproduced")
    assert readings.lengths(page) == (33, None, "reproduced")
    assert readings.rare_counts(captions_page(tmp_path, toaster=150)) == (6, None, "differs")
    assert readings.rare_counts(captions_page(tmp_path, dog=3)) == (7, None, "differs")  # one more is rare
    far = results.record(
        settings(tmp_path, "far", "coco-lists"), Result("table8_distance", 0.01, metric="total variation")
    )
    assert readings.lengths(far) == (828, None, "differs")


def search_page(folder, taken, full):
    points = dict(image_blocks=[4, 8], image_timesteps=[0, 50, 100], text_blocks=[0], text_timesteps=[0, 10])
    counted = {"search_evaluations": taken, "full_evaluations": full}
    made = [Result(name, count, unit="count") for name, count in counted.items()]
    return results.record(settings(folder, "31_search", **points), *made)


def test_evaluations_of_a_search_are_counted(tmp_path):
    """6 image points, 2 text points, and at most 5 x 5 pairs."""
    assert readings.candidates(search_page(tmp_path, 33, 100)).status == "reproduced"
    assert readings.candidates(search_page(tmp_path, 34, 100)).status == "differs"
    assert readings.cheaper(search_page(tmp_path, 33, 100)) == (0.33, None, "reproduced")
    assert readings.cheaper(search_page(tmp_path, 12, 12)).status == "differs"


def best_block(folder, profile, block, notebook="20_probe_image_grid"):
    found = Result("image_best_block", block, (block, block), metric="block", unit="")
    where = settings(folder, notebook, profile)
    where.dataset = {"voc2007": "voc"}.get(profile, where.dataset)
    return results.record(where, found)


def test_a_claim_about_one_data_set_is_read_there_alone(tmp_path):
    claim = next(claim for claim in CLAIMS if claim.id == "layer_12_voc2007")

    def found(profile, block):
        return claims.find({"20_probe_image_grid": best_block(tmp_path, profile, block)}, claim)[1]

    assert found("scenes", 12) is None
    assert found("voc2007", 12).status == "reproduced" and found("voc2007", 16).status == "differs"
    assert found("voc2007", 12).paper == (12, 0.0, "Figure 15", "PASCAL VOC 2007")
    two = [best_block(tmp_path, "voc2007", 12, name) for name in ("20_probe_image_grid", "91_again")]
    with pytest.raises(ValueError, match="image_best_block is recorded by 20_probe_image_grid and 91_again"):
        claims.find({page.notebook: page for page in two}, claim)
    owned = next(claim for claim in CLAIMS if claim.id == "search_is_cheaper")
    pages = [search_page(tmp_path, 3, 6), search_page(tmp_path, 6, 6)]
    other = SimpleNamespace(**vars(pages[1]) | {"notebook": "37_more"})
    assert claims.find({"31_search": pages[0], "37_more": other}, owned)[0] is pages[0]


def measured(folder):
    """Results of two profiles: what the table is made from."""
    best_block(folder, "scenes", 8)
    search_page(folder, 33, 100)
    captions_page(folder)
    (folder / "long" / "scenes").mkdir(parents=True)  # a folder of folders is no profile
    return claim_table.claim_table(folder / "scenes", folder)


def test_the_files_to_download_are_the_table(tmp_path):
    table = measured(tmp_path)
    assert table.profiles == ["scenes", "coco-lists"] and table.data["coco-lists"] == "MS-COCO"
    html = BeautifulSoup(table._repr_html_(), "html.parser")
    links = {link["download"].partition(".")[2]: link["href"] for link in html.select(".downloads a")}
    texts = {kind: b64decode(href.partition("base64,")[2]).decode() for kind, href in links.items()}
    assert texts == {"csv": table.csv, "json": table.json}
    as_csv = pd.read_csv(io.StringIO(texts["csv"]), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(as_csv, table.frame.astype(str), check_dtype=False)
    for told, row in zip(json.loads(texts["json"]), table.frame.to_dict("records"), strict=True):
        left_out = {key.partition(": ")[0] for key in row.keys() - told.keys()}
        assert told == {key: value for key, value in row.items() if key in told}
        assert all(row[f"{name}: status"].startswith("not run") for name in left_out)
        assert table.profiles[0] not in left_out
    rows = {row["id"].removeprefix("claim-"): row for row in html.select("tbody tr")}
    assert list(rows) == list(table.frame.id) == [claim.id for claim in CLAIMS]
    for cells in table.frame.to_dict("records"):
        said = rows[cells["id"]].get_text(" ")
        assert all(cells[name] in said for name in ("claim", "part", "source", "metric", "paper"))
        for name in table.profiles:
            cell = rows[cells["id"]].find("td", attrs={"data-profile": name})
            assert cells[f"{name}: status"].startswith(cell["data-status"])
            if cell["data-status"] != "not run":
                assert cells[f"{name}: ours"] in cell.get_text() and cell.a["href"] == cells[f"{name}: page"]


def test_the_counts_are_of_the_table(tmp_path):
    table = measured(tmp_path)
    counts = {result.id: result.value for result in table.counts}
    assert counts == {
        "claims_reproduced": 2,
        "claims_differ": 0,
        "claims_inconclusive": 0,
        "claims_not_run": len(CLAIMS) - 2,
        "claims_total": len(CLAIMS),
        "claims_elsewhere": 2,  # the rare categories and the lengths, on real labels
    }
    alone = claim_table.claim_table(tmp_path / "coco-lists", tmp_path / "long")
    assert {result.id: result.value for result in alone.counts}["claims_elsewhere"] == 0


def test_a_profile_that_measures_no_claim_has_no_column_but_its_own(tmp_path):
    numbers = settings(tmp_path, "noise_helps", "scenes-kinds")
    results.record(numbers, Result("image_size_best_timestep", 50, metric="timestep", unit=""))
    assert measured(tmp_path).profiles == ["scenes", "coco-lists"]
    own = claim_table.claim_table(tmp_path / "scenes-kinds", tmp_path)
    assert own.profiles[0] == "scenes-kinds"
    assert own.frame["scenes-kinds: status"].str.startswith("not run").all()


def test_the_table_of_a_paper_has_the_profiles_that_measure_its_claims(tmp_path):
    whole = measured(tmp_path)
    assert whole.profiles == whole.of("Diff-Feat").profiles == ["scenes", "coco-lists"]
    second = whole.of("Activations")
    assert second.profiles == ["scenes"] and not [name for name in second.frame if "coco-lists" in name]
    assert "coco-lists" not in second._repr_html_() and "coco-lists" not in second.csv


def test_what_nobody_ran_says_what_it_needs_and_the_rest_says_its_numbers(tmp_path):
    html = BeautifulSoup(measured(tmp_path)._repr_html_(), "html.parser")
    assert "not run (needs DiT-XL/2" in html.find(id="claim-dit_blocks").get_text()
    rare = html.find(id="claim-rare_categories").get_text(" ")
    assert "reproduced" in rare and "not run (" not in rare
    search = html.find(id="claim-search_is_cheaper")
    assert "33.0%" in search.get_text()
    assert [link["href"] for link in search("a")] == ["../cards.html#search_is_cheaper", "31_search.html"]


def test_the_stored_results_of_all_profiles_make_the_table():
    table = claim_table.claim_table(ROOT / "results" / "scenes")
    assert table.profiles[0] == "scenes" and "coco-lists" in table.profiles and "long" not in table.profiles
    rows = table.frame.set_index("id")
    assert rows["coco-lists: status"]["rare_categories"] == "reproduced"
    own = tables.claims(ROOT / "results" / "scenes").frame
    assert list(own.status) == list(table.frame["scenes: status"])


DRIVER = """
const log = [], box = document.querySelector(".difffeat-claims");
const ids = () => [...box.querySelectorAll("tbody tr")].filter((r) => !r.hidden).map((r) => r.id.slice(6));
const set = (name, value) => {
  const select = box.querySelector(`select[name="${name}"]`);
  select.value = value; select.dispatchEvent(new Event("change"));
};
const head = (n) => box.querySelectorAll("thead th")[n];
const note = (what) => log.push([what, ids(), box.querySelector("output").value]);
window.addEventListener("load", () => {
  note("all");
  set("Status", "reproduced"); note("reproduced");
  set("Data", "coco-lists"); note("reproduced on coco-lists");
  set("Status", ""); set("Data", "scenes"); note("run on scenes");
  set("Data", ""); set("Part", "Search"); note("search");
  set("Status", "not run"); note("search, not run");
  box.querySelector(".filters button").click(); note("cleared");
  const sorts = [];
  for (const n of [0, 0, 3, 3, 4]) {
    const button = head(n).querySelector("button");
    button.focus(); button.click();
    sorts.push([n, head(n).getAttribute("aria-sort"), ids(), document.activeElement === button]);
  }
  const pre = document.createElement("pre");
  pre.id = "log"; pre.textContent = JSON.stringify({log, sorts}); document.body.append(pre);
});
"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium: the filters are tried in a browser")
def test_filters_and_heads_in_a_browser(tmp_path):
    table = measured(tmp_path)
    script = (ROOT / "book" / "static" / "claims.js").read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><body>{table._repr_html_()}'
        f"<script>{script}</script><script>{DRIVER}</script>",
        encoding="utf-8",
    )
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user"]
    command += ["--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    seen = json.loads(BeautifulSoup(done.stdout, "html.parser").find(id="log").get_text())
    shown = {what: set(ids) for what, ids, _ in seen["log"]}
    status = table.frame.set_index("id")[["scenes: status", "coco-lists: status"]]
    ran = {"search_is_cheaper", "search_grows_with_points"}
    real = {"rare_categories", "caption_lengths"}
    assert shown["all"] == shown["cleared"] == set(status.index)
    assert shown["reproduced"] == ran | real and shown["reproduced on coco-lists"] == real
    assert shown["run on scenes"] == ran
    search = {claim.id for claim in CLAIMS if claim.part == "Search"}
    assert shown["search"] == search and shown["search, not run"] == search - ran
    assert [count for _, ids, count in seen["log"]] == [
        f"{len(ids)} of {len(CLAIMS)} claims" for _, ids, _ in seen["log"]
    ]
    sorts = seen["sorts"]
    assert [way for _, way, _, _ in sorts] == ["ascending", "descending"] * 2 + ["ascending"]
    assert all(focused for *_, focused in sorts)
    text = table.frame.set_index("id").claim
    first = [text[name].lower() for name in sorts[0][2]]
    assert first[0] <= first[1] and sorts[1][2] == sorts[0][2][::-1] and set(sorts[0][2]) == shown["all"]
    numbers = table.frame.set_index("id").paper.str.strip("%+").str.replace(",", "")
    upward = [float(numbers[name]) for name in sorts[2][2] if numbers[name] != "–"]
    assert upward == sorted(upward) and numbers[sorts[2][2][-1]] == "–"
    assert numbers[sorts[3][2][0]] == f"{max(upward):.2f}" and numbers[sorts[3][2][-1]] == "–"
    assert set(sorts[4][2][:2]) == ran
