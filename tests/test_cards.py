"""Cards of claims, the paper in its own order, the picture of the verdict: they say what results hold."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from difffeat.evidence import claims, results
from difffeat.evidence.papers.diff_feat import contents
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims import CLAIMS as DIFF_FEAT
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import Result
from difffeat.evidence.shapes import Contradiction
from difffeat.profiles import ROOT
from difffeat.show import cards, paper_order, tables, verdict

SCENES = ROOT / "results" / "scenes"
REFERENCE = os.environ.get("DIFFFEAT_REFERENCE")
BY_ID = {claim.id: claim for claim in CLAIMS}


def parsed(html):
    return BeautifulSoup(html, "html.parser")


@pytest.fixture(scope="module")
def shown():
    """{id of a claim: its card}, of the stored results."""
    pages = cards.cards(SCENES, {"31_search": "The <search>"})
    assert list(pages) == list(dict.fromkeys(claim.part for claim in CLAIMS))
    found = [card for html in pages.values() for card in parsed(html)("article")]
    assert [card["id"] for card in found] != []
    return {card["id"]: card for card in found}


def said(card):
    """{term: description} of a card."""
    return {dt.get_text(): dt.find_next_sibling("dd") for dt in card("dt")}


def test_each_claim_has_a_card_with_an_address_of_its_own(shown):
    assert sorted(shown) == sorted(BY_ID)
    for name, card in shown.items():
        assert card.h3.a["href"] == f"#{name}" and card.h3.get_text() == BY_ID[name].said()
        assert BY_ID[name].source in said(card)["The paper"].get_text()


def test_a_card_says_what_each_profile_measured(shown):
    for name, held in {"scenes": SCENES, "coco-lists": ROOT / "results" / "coco-lists"}.items():
        pages = results.read_all(held)
        for claim in CLAIMS:
            page, result = claims.find(pages, claim)
            rows = said(shown[claim.id])
            assert (f"On {name}" in rows) == (result is not None), claim.id
            if result is not None and result.value is not None:
                text = rows[f"On {name}"].get_text(" ")
                assert result.status in text and result.text in text
                assert cards.command(page) in text
                assert (result.status == "differs" and result.contradiction is not None) == (
                    "against it:" in text
                )


def test_a_command_runs_a_page_that_there_is(shown):
    told = {line.get_text() for card in shown.values() for line in card("pre")}
    for command in told:
        notebook = re.fullmatch(r"papermill (\S+) out\.ipynb -r profile \S+", command)[1]
        assert (ROOT / notebook).is_file(), command
    assert any("/recorded/" in command for command in told)


def test_a_card_shows_other_protocols(shown):
    details = results.read(SCENES / "32_protocol.json").details
    rows = {name: said(card).get("Under other protocols") for name, card in shown.items()}
    assert {name for name, row in rows.items() if row} == set(details[0]["claims"])
    for name in details[0]["claims"]:
        heard = [mark.get_text() for mark in rows[name].select(".visually-hidden")]
        statuses = [choice["claims"][name]["status"] for choice in details]
        assert len(heard) == len(statuses)
        assert all(status.startswith(word) for word, status in zip(heard, statuses, strict=True))


def judged(status, support, against):
    found = Result("x", 0.1, (0.0, 0.2), unit="points", support=support, against=against, status=status)
    return replace(found, contradiction=Contradiction("a lies above b", 0.02, (0.01, 0.03)))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "A run: it takes 31_search."),
        (Result("x", 3, status="differs"), "the number decides"),
        (Result("x", 3, (2, 4), status="differs"), "its whole interval decides"),
        (
            judged("reproduced", 0.99, 0.1),
            "Inconclusive: a trend that stands out in fewer than 95% of the draws (now 99%)",
        ),
        (
            judged("inconclusive", 0.5, 0.2),
            "Reproduced: a trend that stands out in 95% of the draws (now 50%)",
        ),
        (
            judged("differs", 0.5, 0.97),
            "No longer differs: what speaks against it stands out in fewer than 95% (now 97%)",
        ),
    ],
    ids=["not-run", "number", "interval", "reproduced", "inconclusive", "differs"],
)
def test_what_would_change_a_status(result, words):
    assert words in cards.turning(BY_ID["search_finds_best"], result)


def test_sentences_belong_to_claims_that_the_paper_makes():
    known = contents.sentences()
    assert set(known) <= {claim.id for claim in DIFF_FEAT}
    of_ours = ("not tested", "not stated", "the same of")
    without = [claim.id for claim in DIFF_FEAT if claim.id not in known]
    assert not [name for name in without if not BY_ID[name].source.startswith(of_ours)]
    assert not [name for name in known if BY_ID[name].source.startswith(of_ours)]


@pytest.mark.skipif(not REFERENCE, reason="DIFFFEAT_REFERENCE names no folder: the paper's text is not here")
def test_sentences_are_the_papers():
    def plain(text):
        return " ".join(re.sub(r"[*$]", "", text).split())

    text = plain((Path(REFERENCE) / "paper" / "diff-feat.txt").read_text(encoding="utf-8"))
    parts = {part for sentence in contents.sentences().values() for part in sentence.split(" ... ")}
    assert not [part for part in parts if plain(part) not in text] and len(parts) > 40


def test_a_source_names_its_tables_and_figures():
    assert contents.named("section 4, Tables 5 and 6, Figure 3 (loss)") == {"Table 5", "Table 6", "Figure 3"}
    assert contents.named("abstract, Algorithm 1") == {"Algorithm 1"} and not contents.named("section 3.2")


def test_all_that_the_paper_shows_is_there_once():
    names = [item.name for item in contents.items()]
    expected = [f"Table {n}" for n in range(1, 11)] + [f"Figure {n}" for n in range(1, 17)] + ["Algorithm 1"]
    assert sorted(names) == sorted(expected)
    for kind in ("Table", "Figure"):
        assert [name for name in names if name.startswith(kind)] == [
            name for name in expected if name.startswith(kind)
        ]
    cited = set().union(*(contents.named(claim.source) for claim in DIFF_FEAT))
    assert cited <= set(names)
    assert {claim for item in contents.items() for claim in item.claims} <= set(BY_ID)


def test_the_papers_order_shows_its_numbers_and_ours():
    stored = paper_order.paper_order(SCENES, {"33_clusters": "How tight"})
    tenth, second = parsed(stored["Table 10"]), parsed(stored["Table 2"])
    cells = [cell.get_text() for cell in tenth.details("td")]
    assert {str(value) for value in paper.table(10)["DBI"]} <= set(cells)
    assert tenth.find("a", href="notebooks/33_clusters.html").get_text() == "How tight"
    own = tables.claims(SCENES).frame.set_index("claim")
    row = tenth.find("a", href="cards.html#clusters_dbi_plane").find_parent("tr").get_text(" ")
    ours = own.loc[BY_ID["clusters_dbi_plane"].said()]
    assert ours["ours"] in row and ours["status"] in row and ours["paper"] in row
    assert "45.70%" in second.get_text() and "make plan PROFILE=vg500" in second.get_text()
    assert "prints no numbers" in stored["Figure 12"] and "<img" in stored["Figure 11"]
    pages = {link["href"] for html in stored.values() for link in parsed(html)("a")}
    notebooks = {path.stem for path in (ROOT / "notebooks").rglob("*.ipynb")}
    assert {Path(page).stem for page in pages if page.startswith("notebooks/")} <= notebooks


def test_the_picture_shows_what_was_measured(tmp_path):
    page = results.read(ROOT / "results" / "coco-lists" / "coco_captions.json")
    found = verdict.verdict()
    values = found.table.frame[verdict.METRIC].tolist()
    assert values[0].startswith("98.57") or values[0] == "98.6%"
    for name in ("string_match_score", "string_match_original_score"):
        assert page[name].text.partition(" ")[0] in values and page[name].text.partition(" ")[0] in found.alt
