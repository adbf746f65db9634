// Every page: one click shows or hides all of its code. Without this each cell has its own.
"use strict";

(() => {
  function start() {
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

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
