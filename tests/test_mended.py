"""What the book does to pages after its theme: figures with numbers, scripts that stand once."""

from bs4 import BeautifulSoup

from difffeat.show import mended
from difffeat.show.plots import dots


def test_figures_are_numbered_over_the_outputs_of_a_page():
    first, second = (dots({"a <b>": one, "b": 0.2})._repr_html_() for one in (0.5, 0.1))
    number = mended.Numbered("20_probe")
    pages = [BeautifulSoup(number(html), "html.parser") for html in (first, "<p>none</p>", second + first)]
    figures = [figure for page in pages for figure in page("figure")]
    assert [figure["id"] for figure in figures] == ["figure-20-1", "figure-20-2", "figure-20-3"]
    captions = [figure.figcaption.get_text() for figure in figures]
    assert captions[0] == "Figure 20.1. mAP of 2 choices. Highest: a <b> with 50.0%; lowest: b with 20.0%."
    assert "Highest: b with 20.0%" in captions[1] and captions[2].startswith("Figure 20.3. ")
    assert str(pages[1]) == "<p>none</p>"
    named = BeautifulSoup(mended.Numbered("regions")(first), "html.parser")
    assert named.figure["id"] == "figure-R-1" and named.details is not None


def test_a_caption_ends_with_the_second_sentence():
    assert (
        mended.caption("Lines of mAP. Best 44.1% at t = 5. More. And more.")
        == "Lines of mAP. Best 44.1% at t = 5."
    )
    assert mended.caption("One sentence of 0.5 points") == "One sentence of 0.5 points"


def test_a_script_that_stands_twice_is_left_once():
    one, other = "<script>const A = 1</script>", "<script>let B = 2</script>"
    source = '<script src="a.js"></script>'
    html = f"<head>{source}{one}{other}{one}{source}</head>"
    assert mended.once(html) == f"<head>{source}{one}{other}{source}</head>"


def test_names_hold_the_words_that_are_seen():
    search = (
        '<button class="btn search-button-field x" title="Search" aria-label="Search" id="b">Search Ctrl+K'
    )
    assert "aria-label" not in mended.page(search) and 'title="Search"' in mended.page(search)
    icon_alone = '<button class="btn search-button" title="Search" aria-label="Search"><i></i>'
    assert mended.page(icon_alone) == icon_alone
    mode = '<i class="theme-switch fa-solid" data-mode="auto"  title="System Settings"></i>'
    assert mended.page(mode) == '<i class="theme-switch fa-solid" data-mode="auto"></i>'
    assert mended.page('<summary aria-label="Toggle hidden content"><p>Show') == "<summary><p>Show"


def test_entries_of_the_bibliography_are_items_of_its_list():
    entry = '<div role="list" class="citation-list"><div class="citation" id="x" role="doc-biblioentry">'
    assert mended.page(entry) == entry.replace("doc-biblioentry", "listitem")
