"""Every entry of the page on deviations has its row, and both link to each other."""

import re
from types import SimpleNamespace

from difffeat.base.files import ROOT
from difffeat.evidence import open_choices
from difffeat.evidence.results import Result
from difffeat.pages import after
from difffeat.show import anchored

ENTRIES = open_choices.entries()
NOTEBOOK = open_choices.OWN


def page(*results, details=()):
    return SimpleNamespace(results=results, details=details)


def told(status):
    return {"axis": "scaling", "claims": {"a": {"status": status}, "b": {"status": "differs"}}}


def test_what_is_measured_is_an_entry_and_a_page_that_there_is():
    labels = {entry.label for entry in ENTRIES}
    assert open_choices.MEASURED.keys() | open_choices.NOT_MEASURED.keys() <= labels
    assert not open_choices.MEASURED.keys() & open_choices.NOT_MEASURED.keys()
    named = {compared.page for many in open_choices.MEASURED.values() for compared in many}
    assert named - {NOTEBOOK} <= set(after()[NOTEBOOK])


def test_entries_link_to_rows_that_there_are():
    text = (ROOT / "book" / "deviations.md").read_text(encoding="utf-8")
    linked = re.findall(rf'<a href="notebooks/{NOTEBOOK}\.html#(choice-[a-z0-9]+)">', text)
    assert linked == [entry.anchor for entry in ENTRIES]


def test_a_row_for_every_comparison_and_every_entry_without_one():
    gain = Result("text_deterministic_beats_random", 0.5, (0.4, 0.6), unit="points")
    pages = {
        "21_probe_text_grid": page(gain),
        "32_protocol": page(details=[told("reproduced"), told("inconclusive")]),
    }
    rows = open_choices.rows(ENTRIES, pages)
    says = {row["compared"]: row["what it changes"] for row in rows}
    assert [entry for entry in dict.fromkeys(row["entry"] for row in rows)] == ENTRIES
    assert says["text: deterministic less random, mean of the grid"] == "+50.0 (+40.0 to +60.0) points of mAP"
    assert says["statuses with and without scaling"] == "1 of 2 claims change their status"
    assert says["best pair of the grid less the pair found"] == "not measured in this run"
    silent = [row for row in rows if row["entry"].label in open_choices.NOT_MEASURED]
    assert silent and all(row["what it changes"].startswith("not measured here: ") for row in silent)


def test_an_entry_that_nobody_measures_says_so():
    (row,) = open_choices.rows([open_choices.Entry("dev-new", 99, "New")], {})
    assert row["what it changes"] == f"not measured here: {open_choices.ELSEWHERE}"


def test_the_table_has_one_anchor_for_each_entry_and_links_back():
    own = [Result("choice_seed", 0.01, (0.0, 0.02), unit="points")]
    html = anchored.choices(open_choices.rows(ENTRIES, {}, own))._repr_html_()
    assert re.findall(r'<tr id="([^"]+)">', html) == [entry.anchor for entry in ENTRIES]
    assert all(f'href="../deviations.html#{entry.label}"' in html for entry in ENTRIES)
    assert f'href="{NOTEBOOK}.html"' in html and 'href="31_search.html"' not in html


def test_differences_are_resolved_where_their_interval_leaves_out_0():
    results = [
        Result("a", 0.1, (0.05, 0.2), unit="points"),
        Result("b", 0.1, (-0.05, 0.2), unit="points"),
        Result("c", -0.1, (-0.2, -0.05), unit="points"),
        Result("d", 3, unit="count"),
    ]
    assert [result.id for result in open_choices.resolved(results)] == ["a", "c"]
