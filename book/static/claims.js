// The claims page: filters above the table, whose heads sort by a script of its own. Without this the whole stands.
"use strict";

(() => {
  const STATUSES = ["reproduced", "differs", "inconclusive", "other data", "not run"];

  /** A select with its label; the first choice takes everything. */
  function choice(name, all, values, changed) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.name = name;
    select.append(new Option(all, ""), ...values.map((value) => new Option(value, value)));
    select.addEventListener("change", changed);
    label.append(`${name} `, select);
    return [label, select];
  }

  /** Whether a row has the part, and on the data set, or on any, the status; of a data set alone, was run there. */
  function fits(row, part, profile, status) {
    if (part && row.dataset.part !== part) return false;
    const cells = [...row.querySelectorAll("td[data-profile]")];
    const held = cells.filter((cell) => !profile || cell.dataset.profile === profile).map((cell) => cell.dataset.status);
    const ran = held.filter((word) => word !== "not run");
    if (status === "not run") return ran.length === 0;
    if (status) return held.includes(status);
    return !profile || ran.length > 0;
  }

  function filters(box) {
    const rows = [...box.querySelectorAll("tbody tr")];
    const distinct = (values) => [...new Set(values)];
    const cells = [...box.querySelectorAll("td[data-profile]")];
    const count = document.createElement("output");
    count.setAttribute("aria-live", "polite");

    function show() {
      const [status, part, profile] = selects.map((select) => select.value);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !fits(row, part, profile, status);
        shown += !row.hidden;
      }
      count.value = `${shown} of ${rows.length} claims`;
      point(box);
    }

    const words = distinct(cells.map((cell) => cell.dataset.status));
    const made = [
      choice("Status", "all", STATUSES.filter((word) => words.includes(word)), show),
      choice("Part", "all", distinct(rows.map((row) => row.dataset.part)), show),
      choice("Data", "all", distinct(cells.map((cell) => cell.dataset.profile)), show),
    ];
    const selects = made.map(([, select]) => select);
    const clear = document.createElement("button");
    clear.type = "button";
    clear.textContent = "Show all";
    clear.addEventListener("click", () => {
      for (const select of selects) select.value = "";
      show();
    });
    const bar = document.createElement("div");
    bar.className = "filters";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Filter the claims");
    bar.append(...made.map(([label]) => label), clear, count);
    box.querySelector(".scroll").before(bar);
    show();
  }

  /** Say that the table goes on to the right, where it does. */
  function point(box) {
    const scroll = box.querySelector(".scroll");
    box.querySelector(".cue").hidden = scroll.scrollWidth <= scroll.clientWidth + 1;
  }

  function start() {
    for (const box of document.querySelectorAll(".difffeat-claims")) {
      filters(box);
      point(box);
      window.addEventListener("resize", () => point(box));
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
