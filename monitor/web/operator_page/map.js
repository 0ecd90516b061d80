// The part, layer by layer: at each place the largest score; beside it the ten layers before.

import {at, count, element, facts, few, place, ratio, words} from "./dom.js";
import {get} from "./server.js";

const REFRESH_MS = 2000;
// Dark blue to grey below the limit, amber to white above: told apart by lightness alone, whichever colours one sees.
const STOPS = [[0, [16, 34, 66]], [0.5, [47, 78, 110]], [0.999, [128, 138, 146]], [1, [240, 150, 50]], [2, [252, 205, 90]], [5, [255, 250, 235]]];
const NO_LAYER = -1;  // as the API has frames that name none
let followed = true, job = "", layers = [], layer = null, shown = null, asked_ms = 0, asking = false;

export function prepareMap() {
  at("layer-slider").addEventListener("input", event => choose(layers[Number(event.target.value)]));
  at("layer-back").addEventListener("click", () => stepLayer(-1));
  at("layer-on").addEventListener("click", () => stepLayer(1));
  at("layer-follow").addEventListener("click", () => { followed = true; layer = null; asked_ms = 0; refreshMap(); });
  for (const id of ["map", "map-before"]) {
    at(id).addEventListener("pointermove", event => tellPlace(event, at(id)));
    at(id).addEventListener("pointerleave", () => { at("map-place").textContent = ""; });
  }
  legend();
}

export function stepLayer(by) {
  const here = layers.includes(layer) ? layers.indexOf(layer) : layers.length;  // frames without a number come behind
  if (layers[here + by] !== undefined) choose(layers[here + by]);
}

function choose(number) {
  followed = number === layers.at(-1);
  layer = number;
  asked_ms = 0;
  refreshMap();
}

export async function refreshMap() {
  if (asking || Date.now() - asked_ms < REFRESH_MS) return;
  asking = true;
  try {
    const asked = `?job=${encodeURIComponent(job)}&layer=${layer ?? NO_LAYER}`;
    const found = await get("map" + (followed ? "" : asked));
    show(found);
  } catch (error) {
    if (followed) at("layer-section").hidden = true;
    followed = true;  // what was looked at is gone: the next look is at what is being built
  } finally {
    asked_ms = Date.now();
    asking = false;
  }
}

function show(found) {
  shown = found;
  layers = found.layers || [];
  at("layer-section").hidden = !found.extent;
  if (!found.extent) return;
  [job, layer] = [found.job, found.layer];
  const slider = at("layer-slider");
  slider.max = String(Math.max(layers.length - 1, 0));
  slider.value = String(layers.indexOf(layer));
  at("layer-follow").setAttribute("aria-pressed", String(followed));
  at("layer-name").textContent = [layer === null ? "without a number" : layer, found.job].filter(one => one !== "").join(" of ");
  paint(at("map"), found.ratio);
  paint(at("map-before"), found.same_place ? found.same_place.ratio : []);
  at("map").setAttribute("aria-label", `layer ${layer}: worst ${ratio(found.summary.worst?.ratio)}`);
  at("map-before").setAttribute("aria-label", "the ten layers before");
  const of = (name, s) => [[name + ": judged", count(s.judged)], [name + ": over", few(100 * s.rate, 2) + " %"],
    [name + ": worst", s.worst ? ratio(s.worst.ratio) + (s.worst.xy ? " at " + place(s.worst.xy) : "") : "–", s.worst?.ratio > 1],
    [name + ": events", Object.entries(s.events).map(([kind, n]) => n + " " + words(kind)).join(", ") || "none", Object.keys(s.events).length > 0]];
  facts(at("layer-facts"), [...of("layer", found.summary), ...of("job", found.job_summary)]);
  earlier(found.earlier);
}

function earlier(before) {
  const table = element("table"), head = element("tr");
  head.append(...["earlier layer", "judged", "over", "events", "worst"].map(name => element("th", name)));
  table.append(head, ...before.slice(0, 8).map(one => {
    const line = element("tr");
    line.append(...[String(one.layer), count(one.judged), few(100 * one.rate, 2) + " %", String(one.events), ratio(one.most)].map(text => element("td", text)));
    return line;
  }));
  at("layers-before").replaceChildren(...(before.length ? [table] : []));
}

export function colour(value) {
  const above = STOPS.findIndex(([at_]) => at_ >= value);
  if (above < 0) return STOPS.at(-1)[1];
  if (above === 0) return STOPS[0][1];
  const [[a, from], [b, to]] = [STOPS[above - 1], STOPS[above]], part = (value - a) / (b - a);
  return from.map((channel, i) => Math.round(channel + part * (to[i] - channel)));
}

// A layer of few frames is painted in larger squares, or nobody would see them; the worst lie on top.
const reach = filled => filled < 100 ? 3 : filled < 600 ? 1 : 0;

function paint(canvas, values) {
  const {rows, columns} = shown, side = Math.max(rows, columns), pen = canvas.getContext("2d");
  canvas.width = canvas.height = side;
  pen.clearRect(0, 0, side, side);
  const left = Math.floor((side - columns) / 2), top = Math.floor((side - rows) / 2);
  const filled = [...values.keys()].filter(cell => values[cell] !== null).sort((a, b) => values[a] - values[b]);
  const far = reach(filled.length);
  for (const cell of filled) {
    // y grows upwards on the plate, and downwards on the screen
    const column = left + cell % columns, row = top + rows - 1 - Math.floor(cell / columns);
    pen.fillStyle = `rgb(${colour(values[cell]).join(" ")})`;
    pen.fillRect(column - far, row - far, 2 * far + 1, 2 * far + 1);
  }
}

function tellPlace(event, canvas) {
  if (!shown || !shown.extent) return;
  const {rows, columns, extent: [x0, y0, x1, y1]} = shown, side = Math.max(rows, columns);
  const column = Math.floor(event.offsetX / canvas.clientWidth * side - Math.floor((side - columns) / 2));
  const down = Math.floor(event.offsetY / canvas.clientHeight * side - Math.floor((side - rows) / 2)), row = rows - 1 - down;
  if (column < 0 || row < 0 || column >= columns || row >= rows) return;
  const values = canvas.id === "map" ? shown.ratio : shown.same_place?.ratio || [], value = values[row * columns + column];
  const x = x0 + (column + 0.5) * (x1 - x0) / columns, y = y0 + (row + 0.5) * (y1 - y0) / rows;
  const judged = canvas.id === "map" ? `, ${count(shown.judged[row * columns + column] || 0)} frames` : "";
  at("map-place").textContent = `x, y ${place([x, y])}: ` + (value === null || value === undefined ? "no frame" : ratio(value) + judged);
}

function legend() {
  const box = at("map-legend"), where = value => 100 * Math.sqrt(value / 5) + "%";
  const stops = Array.from({length: 41}, (_, i) => `rgb(${colour(5 * (i / 40) ** 2).join(" ")}) ${2.5 * i}%`);
  box.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  for (const [value, text] of [[0, "0"], [0.5, "½"], [1, "limit"], [2, "× 2"], [5, "× 5"]]) {
    const mark = element("span", text);
    mark.style.left = where(value);
    box.append(mark);
  }
}
