"""What the theme of the book leaves to do: figures with numbers, and pages that everybody can use."""

import re
from html import escape, unescape

FIGURE = re.compile(r'<figure class="difffeat">(.*?alt="(.*?)".*?)</figure>', re.DOTALL)


class Numbered:
    """Gives the figures of a page their numbers, captions and addresses, one HTML output after another.

    Parameters
    ----------
    notebook : str, whose figures are counted: 20.1, 20.2, ...; of a page without a number by its first letter
    """

    def __init__(self, notebook: str) -> None:
        digits = re.match(r"\d+", notebook)
        self.chapter, self.count = digits[0] if digits else notebook[0].upper(), 0

    def __call__(self, html: str) -> str:
        """The output with numbered figures; one without stays as it is."""
        return FIGURE.sub(self._one, html)

    def _one(self, found):
        inside, alt = found.groups()
        self.count += 1
        number = f"{self.chapter}.{self.count}"
        return (
            f'<figure class="difffeat" id="figure-{number.replace(".", "-")}">{inside}'
            f"<figcaption><b>Figure {number}.</b> {escape(caption(unescape(alt)))}</figcaption></figure>"
        )


def caption(alt: str) -> str:
    """The finding of a figure: its alternative text up to the end of the second sentence."""
    sentences = re.split(r"(?<=\.) (?=[A-Z])", alt)
    return " ".join(sentences[:2])


def page(html: str) -> str:
    """A page of the built book, mended."""
    for wrong, right in MENDS.items():
        html = re.sub(wrong, right, html)
    return once(html)


def once(html: str) -> str:
    """Scripts that stand twice, once: the second would declare again what the first has."""
    seen = set()

    def first(found):
        if found[0] in seen:
            return ""
        seen.add(found[0])
        return found[0]

    return re.sub(r"<script>[^<]*</script>\n?", first, html)


# What the theme writes, and what a screen reader needs: names that hold the words that are seen, and lists of
# items.
MENDS = {
    r'(<button class="btn search-button-field[^>]*?) aria-label="Search"': r"\1",
    r'(<i class="theme-switch[^>]*?)\s+title="[^"]*"': r"\1",
    r'<summary aria-label="Toggle hidden content">': "<summary>",
    r'(<div class="citation"[^>]*?) role="doc-biblioentry"': r'\1 role="listitem"',
}
