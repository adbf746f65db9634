// Every page: one click shows or hides all of its code, and what scrolls sideways can be reached by the keyboard.
// Without this each cell has its own click.
"use strict";

(() => {
  function code() {
    const button = document.querySelector("button.show-code");
    const cells = [...document.querySelectorAll("details.above-input")];
    if (!button || !cells.length) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = button.textContent.startsWith("Show");
      for (const cell of cells) cell.open = open;
      button.textContent = open ? "Hide all code" : "Show all code";
    });
  }

  /** A stop for the keyboard on each box that is wider inside than outside, and on no other. */
  function reach() {
    for (const box of document.querySelectorAll("article :is(pre, div, details, dl, span.math)")) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
      // The theme gives -1 to code that did not scroll when the page was loaded.
      if (scrolls && box.tabIndex < 0) {
        box.tabIndex = 0;
        box.dataset.reached = "";
      } else if (!scrolls && "reached" in box.dataset) {
        box.removeAttribute("tabindex");
        delete box.dataset.reached;
      }
    }
  }

  function start() {
    code();
    reach();
    window.addEventListener("load", reach);
    window.addEventListener("resize", reach);
    document.addEventListener("toggle", reach, true);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
