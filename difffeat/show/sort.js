// Heads that sort the table beside this script, in a notebook and in the book. Without it the table stands.
((box) => {
  if (!box) return; // a page that runs scripts apart from their place
  const CLEAR = "all: unset; cursor: pointer; text-decoration: underline dotted";
  const body = box.querySelector("tbody");
  const heads = [...box.querySelectorAll("thead th")];

  /** The number of a cell: what it is to be sorted by, else what its text starts with. */
  function number(cell) {
    if ("order" in cell.dataset) return Number(cell.dataset.order);
    const text = cell.textContent.trim();
    return /^[+-]?[0-9.]/.test(text) ? parseFloat(text.replace(/,/g, "")) : NaN;
  }

  /** Sort by numbers where most cells have one or one says its own, else by text; a cell without a number last. */
  function sort(column, down) {
    const rows = [...body.rows].map((row, place) => [row.cells[column], place, row]);
    const numbers = rows.filter(([cell]) => !Number.isNaN(number(cell))).length;
    const numeric = 2 * numbers > rows.length || rows.some(([cell]) => "order" in cell.dataset);
    const sign = down ? -1 : 1;
    rows.sort(([p, i], [q, j]) => {
      const [a, b] = [number(p), number(q)];
      if (!numeric) return sign * p.textContent.trim().localeCompare(q.textContent.trim()) || i - j;
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || i - j;
      return sign * (a - b) || i - j;
    });
    body.append(...rows.map(([, , row]) => row));
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort";
    if (!box.matches(".difffeat-claims")) button.style.cssText = CLEAR; // the book dresses those
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(column, down);
    });
  });
})(document.currentScript?.parentNode);
