// Maps that a reader chooses on. Beside a file of points, `image_points.csv`: a point of the grid, its numbers, the
// curves along both axes through it, its best and worst labels, and samples that its probe finds and misses. Beside a
// file of a search, `search_path.csv`: a pair of points, and what the search looked at, step by step. The data are
// those of the files; without this script tables and figures stand.
"use strict";

(() => {
  const SHADES = ["#00224e", "#2a3f6d", "#575d6d", "#7d7c78", "#a59c74", "#d2c060", "#fee838"]; // cividis
  const NAMES = { timestep: "t =", block: "block" };
  const SVG = "http://www.w3.org/2000/svg";
  const percent = (value) => `${(100 * value).toFixed(1)}%`;

  /** Rows of the CSV that a link holds, as objects of text by the heads of its columns. */
  function rows(link) {
    const bytes = Uint8Array.from(atob(link.href.split("base64,")[1]), (letter) => letter.charCodeAt(0));
    const lines = [[]];
    for (const [, cell, end] of new TextDecoder().decode(bytes).trim().matchAll(/("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/g)) {
      lines.at(-1).push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
      if (end === "") break;
      if (end !== ",") lines.push([]);
    }
    const [names, ...held] = lines;
    return held.map((cells) => Object.fromEntries(cells.map((cell, i) => [names[i], cell])));
  }

  /** The same with the cells as numbers, of a file that holds nothing else. */
  const numbers = (link) =>
    rows(link).map((row) => Object.fromEntries(Object.entries(row).map(([name, cell]) => [name, Number(cell)])));

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

  /**
   * A grid of cells, one of which is chosen by a click or with the arrow keys. Columns and rows are lists of heads as
   * {name}; `at` gives what a column and a row hold, or nothing.
   */
  function board(titled, corner, columns, lines, at, chosen) {
    const grid = made("table", { role: "grid", "aria-labelledby": titled });
    const head = (scope, { name }) => made("th", { scope }, name);
    const top = made("tr", {}, made("th", { scope: "col" }, corner), ...columns.map((column) => head("col", column)));
    grid.append(made("thead", {}, top), made("tbody"));
    const places = new Map(); // of what is held: its cell, column and row
    lines.forEach((line, row) => {
      const shown = made("tr", {}, head("row", line));
      columns.forEach((held, column) => {
        const cell = made("td", { role: "gridcell", tabindex: -1 });
        const item = at(held, line);
        if (item) {
          cell.addEventListener("click", () => choose(item));
          places.set(item, { cell, column, row });
        }
        shown.append(cell);
      });
      grid.tBodies[0].append(shown);
    });

    function choose(item) {
      chosen(item);
      places.get(item).cell.focus();
    }

    grid.addEventListener("keydown", (event) => {
      const [right, down] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
      if (!right && !down) return;
      event.preventDefault();
      const here = [...places.values()].find(({ cell }) => cell.tabIndex === 0);
      const next = [...places].find(([, { column, row }]) => column === here.column + right && row === here.row + down);
      if (next) choose(next[0]);
    });

    /** Colour the cells by a value of each, and mark the chosen one. */
    function paint(value, mine) {
      const values = [...places.keys()].map(value);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      for (const [item, { cell }] of places) {
        const colour = shade((value(item) - low) / (high - low || 1));
        cell.textContent = (100 * value(item)).toFixed(1);
        cell.style.background = `rgb(${colour})`;
        cell.style.color = ink(colour);
        cell.tabIndex = item === mine ? 0 : -1;
        cell.setAttribute("aria-selected", item === mine);
      }
      return [low, high];
    }

    return { grid, paint, cell: (item) => places.get(item).cell };
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

  /** The labels of a file, `image_labels.csv`, at a point: the first and the last by average precision. */
  function extremes(labels, name) {
    const sorted = [...labels].sort((a, b) => b[name] - a[name]);
    const [first, last] = [Math.min(3, Math.ceil(sorted.length / 2)), Math.min(3, Math.floor(sorted.length / 2))];
    const list = (some) => made("ul", {}, ...some.map((row) => made("li", {}, `${row.label} ${percent(row[name])} (${row["test samples"]})`)));
    return [
      made("div", {}, made("h4", {}, "Best labels"), list(sorted.slice(0, first))),
      made("div", {}, made("h4", {}, "Worst labels"), list(sorted.slice(sorted.length - last))),
    ];
  }

  /** What shows the samples of a file, `image_samples.csv`, at a point; nothing where there is no such file. */
  function samplesOf(modality) {
    const box = document.querySelector(`.difffeat-samples[data-of="${modality}"]`);
    const file = box?.querySelector(`a[download="${modality}_samples.csv"]`);
    if (!file) return undefined;
    const held = rows(file);
    const all = [box, box.querySelector("template").content].flatMap((part) => [...part.querySelectorAll("[data-sample]")]);
    const shown = new Map(all.map((element) => [element.dataset.sample, element]));

    function example({ kind, sample, label, rank, of, "held by": positives }) {
      const [place, among, count] = [rank, of, positives].map((text) => Number(text).toLocaleString("en"));
      const said = made("b", {}, `${kind[0].toUpperCase()}${kind.slice(1)}:`);
      const below = made("figcaption", {}, said, ` ${label}, rank ${place} of ${among}; ${count} hold it`);
      return made("figure", {}, shown.get(sample).cloneNode(true), below);
    }

    return ({ timestep, block }) => {
      const here = held.filter((row) => Number(row.timestep) === timestep && Number(row.block) === block);
      const told = box.querySelector("p").cloneNode(true);
      told.querySelector("span").textContent = `t = ${timestep}, block ${block}`;
      const none = ["found", "missed"].filter((kind) => !here.some((row) => row.kind === kind));
      const nowhere = none.map((kind) => made("p", {}, `No such label is ${kind} anywhere.`));
      return [told, ...nowhere, made("div", { class: "examples" }, ...here.map(example))];
    };
  }

  function explorer(link, number) {
    const points = numbers(link);
    const metrics = Object.keys(points[0]).filter((name) => !(name in NAMES) && !/, (low|high)$/.test(name));
    const distinct = (name) => [...new Set(points.map((p) => p[name]))].sort((a, b) => a - b);
    const axes = { timestep: distinct("timestep"), block: distinct("block") };
    const modality = link.download.replace("_points.csv", "");
    const file = document.querySelector(`a[download="${modality}_labels.csv"]`);
    const labels = file ? rows(file) : [];
    const samples = samplesOf(modality);
    let metric = metrics[0];
    let chosen = points.reduce((best, p) => (p[metric] > best[metric] ? p : best));

    const select = made("select", {}, ...metrics.map((name) => new Option(name, name)));
    const said = made("output", { "aria-live": "polite" });
    const curves = made("div", { class: "curves" });
    const ends = made("div", { class: "labels" });
    const seen = made("div", { class: "samples" });
    const title = made("h3", { id: `explorer-${number}` }, "Choose a point");
    const hint = made("p", {}, "Click a cell, or move with the arrow keys: the highest is chosen first.");
    const columns = axes.timestep.map((timestep) => ({ name: `t = ${timestep}`, timestep }));
    const lines = axes.block.map((block) => ({ name: block, block })).reverse();
    const at = ({ timestep }, { block }) => points.find((p) => p.timestep === timestep && p.block === block);
    const { grid, paint } = board(title.id, "block", columns, lines, at, choose);

    function show() {
      const values = points.map((p) => p[metric]);
      const [low, high] = paint((point) => point[metric], chosen);
      const interval = [`${metric}, low`, `${metric}, high`].map((name) => chosen[name]);
      const between = interval.includes(undefined) ? "" : ` (${percent(interval[0])} to ${percent(interval[1])})`;
      const rank = 1 + values.filter((value) => value > chosen[metric]).length;
      said.value = `t = ${chosen.timestep}, block ${chosen.block}: ${metric} ${percent(chosen[metric])}${between}, rank ${rank} of ${points.length}`;
      curves.replaceChildren(
        ...["timestep", "block"].map((over) => {
          const other = over === "timestep" ? "block" : "timestep";
          const along = axes[over].map((place) => points.find((p) => p[over] === place && p[other] === chosen[other]));
          return curve(along, metric, over, chosen, [low, high]);
        }),
      );
      if (labels.length) ends.replaceChildren(...extremes(labels, `t = ${chosen.timestep}, block ${chosen.block}`));
      if (samples) seen.replaceChildren(...samples(chosen));
    }

    function choose(point) {
      chosen = point;
      show();
    }

    select.addEventListener("change", () => {
      metric = select.value;
      show();
    });
    const box = made("section", { class: "explorer", "aria-labelledby": title.id });
    box.append(title, hint, made("label", {}, "Metric ", select), made("div", { class: "scroll" }, grid), said, curves);
    if (labels.length) box.append(made("p", {}, "Average precision of single labels; in brackets the test samples that hold each."), ends);
    box.append(seen);
    show();
    return box;
  }

  /** A map of pairs: every pair that was measured, and what Algorithm 1 looked at, step by step. */
  function search(link, number) {
    const held = rows(link);
    const point = (row, side) => `(${row[`${side} timestep`]}, ${row[`${side} block`]})`;
    const of = (stage) => held.filter((row) => row.stage === stage);
    const highest = (some) => some.reduce((best, row) => (Number(row.val) > Number(best.val) ? row : best));
    const all = held.filter((row) => row.test !== "");
    const [tried, alone] = [of("fusion"), { image: highest(of("image")), text: highest(of("text")) }];
    const [found, best] = [highest(tried), highest(all)];
    const pair = (row) => `image ${point(row, "image")}, text ${point(row, "text")}`;
    const axis = (side) => {
      const places = all.map((row) => [Number(row[`${side} timestep`]), Number(row[`${side} block`])]);
      const names = new Map(places.sort(([a, b], [c, d]) => a - c || b - d).map((place) => [`(${place.join(", ")})`, place]));
      return [...names.keys()].map((name) => ({ name }));
    };
    const [columns, lines] = [axis("text"), axis("image")];
    const at = (text, image) => all.find((row) => point(row, "text") === text.name && point(row, "image") === image.name);
    const title = made("h3", { id: `search-${number}` }, "Follow the search");
    const hint = made("p", {}, "mAP on validation of every pair. Take the steps in order; or click a cell, or move with the arrow keys.");
    const said = made("output", { "aria-live": "polite" });
    const { grid, paint, cell } = board(title.id, "image ↓ text →", columns, lines, at, choose);
    const above = 100 * (best.val - found.val);
    const around = (side) => new Set(tried.map((row) => point(row, side))).size;
    const steps = [
      ...["image", "text"].map((side) => ({
        text: `${side === "image" ? "Images" : "Text"} alone, ${of(side).length} points: ${point(alone[side], side)} is the best, ${percent(alone[side].val)}.`,
        marked: all.filter((row) => point(row, side) === point(alone[side], side)),
      })),
      {
        text: `Those two and their neighbours, ${around("image")} and ${around("text")} points: ${tried.length} pairs are trained.`,
        marked: tried,
      },
      { text: `The best of these pairs: ${pair(found)}, ${percent(found.val)}.`, marked: [found] },
      {
        text:
          best.val === found.val
            ? `It is the best of all ${all.length} pairs as well.`
            : `The best of all ${all.length} pairs: ${pair(best)}, ${percent(best.val)}, ${above.toFixed(1)} points above that.`,
        marked: [best.val === found.val ? found : best],
      },
    ];
    let chosen = found;

    function show() {
      paint((row) => Number(row.val), chosen);
      const rank = 1 + all.filter((row) => Number(row.val) > Number(chosen.val)).length;
      const who = chosen.stage === "fusion" ? "trained by the search" : "left out by the search";
      said.value = `Chosen: ${pair(chosen)}: mAP on validation ${percent(chosen.val)}, rank ${rank} of ${all.length}; on test ${percent(chosen.test)} (${percent(chosen.low)} to ${percent(chosen.high)}); ${who}`;
    }

    function choose(row) {
      chosen = row;
      show();
    }

    function take(step) {
      for (const one of steps) one.button.setAttribute("aria-pressed", one === step);
      for (const row of all) cell(row).toggleAttribute("data-marked", step.marked.includes(row));
      if (step.marked.length === 1) choose(step.marked[0]);
    }

    const list = made("ol", { class: "steps" });
    for (const step of steps) {
      step.button = made("button", { type: "button" }, step.text);
      step.button.addEventListener("click", () => take(step));
      list.append(made("li", {}, step.button));
    }
    const box = made("section", { class: "explorer", "aria-labelledby": title.id });
    box.append(title, hint, list, made("div", { class: "scroll" }, grid), said);
    show();
    take(steps[0]);
    return box;
  }

  function start() {
    const kinds = { _points: explorer, _path: search };
    for (const [name, kind] of Object.entries(kinds)) {
      const links = [...document.querySelectorAll(`a[download$="${name}.csv"][href^="data:text/csv;base64,"]`)];
      links.forEach((link, number) => link.closest("div").before(kind(link, number)));
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
