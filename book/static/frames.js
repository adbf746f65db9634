// A picture and its caption over timesteps: a slider shows one at a time. Without this all stand one below the other.
"use strict";

(() => {
  function slider(box, number) {
    const frames = [...box.querySelectorAll("section[data-timestep]")];
    const input = document.createElement("input");
    const label = document.createElement("label");
    const said = document.createElement("output");
    Object.assign(input, { type: "range", min: 0, max: frames.length - 1, step: 1, value: 0, id: `frames-${number}` });
    label.htmlFor = input.id;
    label.textContent = "Timestep ";
    said.htmlFor = input.id;

    function show() {
      frames.forEach((frame, place) => {
        frame.hidden = place !== Number(input.value);
      });
      const name = `t = ${frames[input.value].dataset.timestep}`;
      input.setAttribute("aria-valuetext", name);
      said.value = name;
    }

    input.addEventListener("input", show);
    const bar = document.createElement("p");
    bar.className = "bar";
    bar.append(label, input, " ", said);
    box.prepend(bar);
    show();
  }

  function start() {
    document.querySelectorAll(".difffeat-frames").forEach(slider);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
