// Pages with a file of points, `image_points.csv`: choose a point of the grid and see its numbers, and the curves along
// both axes through it. The data are those of the file beside it; without this script table and figures stand.
"use strict";

(() => {
  const SHADES = ["#00224e", "#2a3f6d", "#575d6d", "#7d7c78", "#a59c74", "#d2c060", "#fee838"]; // cividis
  const NAMES = { timestep: "t =", block: "block" };
  const SVG = "http://www.w3.org/2000/svg";
  const percent = (value) => `${(100 * value).toFixed(1)}%`;

  /** Rows of a CSV as objects of numbers, by the heads of its columns; heads may be quoted, numbers are not. */
  function rows(text) {
    const [head, ...lines] = text.trim().split(/\r?\n/);
    const names = [...head.matchAll(/"([^"]*)"|([^,]+)/g)].map(([, quoted, plain]) => quoted ?? plain);
    return lines.map((line) => Object.fromEntries(line.split(",").map((cell, i) => [names[i], Number(cell)])));
  }

  function shade(share) {
    const place = Math.min(Math.floor(share * (SHADES.length - 1)), SHADES.length - 2);
    const part = share * (SHADES.length - 1) - place;
    const [a, b] = [SHADES[place], SHADES[place + 1]].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return a.map((from, i) => Math.round(from + part * (b[i] - from)));
  }

  /** Black or white, whichever reads better on a colour (WCAG's relative luminance). */
  function ink(colour) {
    const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
  }

  function made(tag, attributes = {}, ...inside) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  }

  function drawn(tag, attributes, parent) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  }

  /** One curve with its band, through the chosen point. */
  function curve(points, metric, over, chosen, [low, high]) {
    const [width, height, left, bottom] = [300, 150, 44, 30];
    const x = (i) => left + 12 + (i * (width - left - 24)) / Math.max(points.length - 1, 1);
    const y = (value) => 8 + ((high - value) / (high - low || 1)) * (height - bottom - 8);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    const ends = points.map((p) => [p[`${metric}, low`] ?? p[metric], p[`${metric}, high`] ?? p[metric]]);
    const other = over === "timestep" ? "block" : "timestep";
    const said = points.map((p) => `${p[over]}: ${percent(p[metric])}`).join(", ");
    svg.setAttribute("aria-label", `${metric} over the ${over}, ${NAMES[other]} ${chosen[other]}. ${said}`);
    const band = [...ends.map(([, up], i) => [x(i), y(up)]), ...ends.map(([down], i) => [x(i), y(down)]).reverse()];
    drawn("polygon", { points: band.map((p) => p.join()).join(" "), fill: "#0072b2", opacity: 0.25 }, svg);
    const line = points.map((p, i) => `${x(i)},${y(p[metric])}`).join(" ");
    drawn("polyline", { points: line, fill: "none", stroke: "#0072b2", "stroke-width": 2 }, svg);
    points.forEach((p, i) => {
      const here = p[over] === chosen[over];
      drawn("circle", { cx: x(i), cy: y(p[metric]), r: here ? 5 : 3, fill: here ? "#d55e00" : "#0072b2" }, svg);
      drawn("text", { x: x(i), y: height - 16, "text-anchor": "middle" }, svg).textContent = p[over];
    });
    for (const value of [low, high]) {
      drawn("text", { x: left - 2, y: y(value) + 4, "text-anchor": "end" }, svg).textContent = percent(value);
    }
    drawn("text", { x: (width + left) / 2, y: height - 2, "text-anchor": "middle" }, svg).textContent = over;
    return svg;
  }

  function explorer(link, number) {
    const points = rows(atob(link.href.split("base64,")[1]));
    const metrics = Object.keys(points[0]).filter((name) => !(name in NAMES) && !/, (low|high)$/.test(name));
    const distinct = (name) => [...new Set(points.map((p) => p[name]))].sort((a, b) => a - b);
    const axes = { timestep: distinct("timestep"), block: distinct("block") };
    const at = (timestep, block) => points.find((p) => p.timestep === timestep && p.block === block);
    let metric = metrics[0];
    let chosen = points.reduce((best, p) => (p[metric] > best[metric] ? p : best));

    const select = made("select", {}, ...metrics.map((name) => new Option(name, name)));
    const said = made("output", { "aria-live": "polite" });
    const curves = made("div", { class: "curves" });
    const title = made("h3", { id: `explorer-${number}` }, "Choose a point");
    const hint = made("p", {}, "Click a cell, or move with the arrow keys: the highest is chosen first.");
    const grid = made("table", { role: "grid", "aria-labelledby": title.id });
    const head = made("tr", {}, made("th", { scope: "col" }, "block"));
    head.append(...axes.timestep.map((t) => made("th", { scope: "col" }, `t = ${t}`)));
    grid.append(made("thead", {}, head), made("tbody"));
    const cells = new Map();
    for (const block of [...axes.block].reverse()) {
      const row = made("tr", {}, made("th", { scope: "row" }, block));
      for (const timestep of axes.timestep) {
        const cell = made("td", { role: "gridcell", tabindex: -1 });
        const point = at(timestep, block);
        cell.addEventListener("click", () => choose(point, true));
        cells.set(point, cell);
        row.append(cell);
      }
      grid.tBodies[0].append(row);
    }

    function show() {
      const values = points.map((p) => p[metric]);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      for (const [point, cell] of cells) {
        const colour = shade((point[metric] - low) / (high - low || 1));
        cell.textContent = (100 * point[metric]).toFixed(1);
        cell.style.background = `rgb(${colour})`;
        cell.style.color = ink(colour);
        cell.tabIndex = point === chosen ? 0 : -1;
        cell.setAttribute("aria-selected", point === chosen);
      }
      const ends = [`${metric}, low`, `${metric}, high`].map((name) => chosen[name]);
      const interval = ends.includes(undefined) ? "" : ` (${percent(ends[0])} to ${percent(ends[1])})`;
      const rank = 1 + values.filter((value) => value > chosen[metric]).length;
      said.value = `t = ${chosen.timestep}, block ${chosen.block}: ${metric} ${percent(chosen[metric])}${interval}, rank ${rank} of ${points.length}`;
      curves.replaceChildren(
        ...["timestep", "block"].map((over) => {
          const other = over === "timestep" ? "block" : "timestep";
          const along = axes[over].map((place) => points.find((p) => p[over] === place && p[other] === chosen[other]));
          return curve(along, metric, over, chosen, [low, high]);
        }),
      );
    }

    function choose(point, focus) {
      if (!point) return;
      chosen = point;
      show();
      if (focus) cells.get(point).focus();
    }

    grid.addEventListener("keydown", (event) => {
      const [right, up] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
      if (!right && !up) return;
      event.preventDefault();
      const next = (axis, by) => axes[axis][axes[axis].indexOf(chosen[axis]) + by];
      choose(at(next("timestep", right), next("block", up)), true);
    });
    select.addEventListener("change", () => {
      metric = select.value;
      show();
    });
    const box = made("section", { class: "explorer", "aria-labelledby": title.id });
    const wide = made("div", { class: "scroll" }, grid);
    box.append(title, hint, made("label", {}, "Metric ", select), wide, said, curves);
    show();
    return box;
  }

  function start() {
    const links = [...document.querySelectorAll('a[download$="_points.csv"][href^="data:text/csv;base64,"]')];
    links.forEach((link, number) => link.closest("div").before(explorer(link, number)));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
