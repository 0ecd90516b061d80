// The part, layer by layer: at each place the largest score; beside it the ten layers before.

import {at, clock, count, element, facts, few, place, rarity, ratio, say, words} from "./dom.js";
import {colour, pictures} from "./part.js";
import {get} from "./server.js";

const REFRESH_MS = 2000;
const NO_LAYER = -1;  // as the API has frames that name none
const FOLLOW = null;  // what is being built, whichever it is
// What the reader wants, {job, layer} (layer undefined: the job's last), and the answer that is shown are two things:
// an answer to what is no longer wanted is not shown.
let wanted = FOLLOW, shown = null, shown_ms = 0, asked_ms = 0, asking = false, gone = "", drawn = null, painted = "";

export function prepareMap() {
  at("layer-slider").addEventListener("input", event => choose(shown.layers[Number(event.target.value)]));
  at("layer-back").addEventListener("click", () => stepLayer(-1));
  at("layer-on").addEventListener("click", () => stepLayer(1));
  at("layer-follow").addEventListener("click", () => want(FOLLOW));
  at("layer-job").addEventListener("change", event => want({job: event.target.value}));
  for (const id of ["map", "map-before"]) {
    at(id).addEventListener("pointermove", event => tellPlace(event, at(id)));
    at(id).addEventListener("pointerleave", () => { at("map-place").textContent = ""; });
  }
  legend();
}

// Where the next step begins: what is wanted, though it may not be shown yet.
const from = () => wanted === FOLLOW || wanted.layer === undefined ? shown.layer : wanted.layer;

export function stepLayer(by) {
  if (!shown || (wanted !== FOLLOW && wanted.job !== shown.job)) return;  // layers of a job that is not here are not known
  const here = shown.layers.indexOf(from()), next = (here < 0 ? shown.layers.length : here) + by;  // without a number: behind
  if (shown.layers[next] !== undefined) choose(shown.layers[next]);
}

function choose(layer) {
  if (layer === undefined) return;
  slide(layer);
  want(shown.job === shown.jobs.at(-1) && layer === shown.layers.at(-1) ? FOLLOW : {job: shown.job, layer});
}

function want(what) {
  [wanted, gone, asked_ms] = [what, "", 0];
  tellFollowed();
  refreshMap();
}

const tellFollowed = () => at("layer-follow").setAttribute("aria-pressed", String(wanted === FOLLOW));

// As people say which one it is.
const named = ({job, layer}) => layer === undefined ? job || "a job without a name" : layer === null ? "frames without a layer" : "layer " + layer;

function query() {
  if (wanted === FOLLOW) return "map";
  const job = "map?job=" + encodeURIComponent(wanted.job);
  return wanted.layer === undefined ? job : `${job}&layer=${wanted.layer ?? NO_LAYER}`;
}

export async function refreshMap() {
  if (asking || Date.now() - asked_ms < REFRESH_MS) return;
  const asked = wanted;
  let found = null;
  [asking, asked_ms] = [true, Date.now()];
  try {
    found = await get(query());
  } catch (error) {
    if (asked === wanted) miss(error);
  }
  asking = false;
  if (found && asked === wanted) show(found);
  if (asked !== wanted) {
    asked_ms = 0;
    refreshMap();
  }
}

// Who is told nothing keeps what he looks at, and reads that it is old; only what is not there is left.
function miss(error) {
  if (error.status !== 404) return tellAge(false);
  if (wanted === FOLLOW) at("layer-section").hidden = true;
  else gone = "no longer kept: " + named(wanted);
  wanted = FOLLOW;
}

function tellAge(fresh) {
  if (!shown) return;
  at("layer-maps").classList.toggle("old", !fresh);
  const other = wanted !== FOLLOW && (wanted.job !== shown.job || from() !== shown.layer);
  say(at("layer-note"), fresh ? gone : `no answer${other ? " for " + named(wanted) : ""}: shown as of ${clock(1e6 * shown_ms)}`);
}

function show(found) {
  [shown, shown_ms] = [found, Date.now()];
  // Who came here by choice also finds the way back from a job without positions.
  at("layer-section").hidden = !found.extent && found.jobs.length < 2;
  for (const figure of document.querySelectorAll("#layer-maps figure")) figure.hidden = !found.extent;
  if (!found.summary) return;
  tellAge(true);
  slide(found.layer);
  tellFollowed();
  showJobs(found);
  paint(found);
  const of = (name, s) => [[name + ": judged", count(s.judged)], [name + ": over", few(100 * s.rate, 2) + " %"],
    [name + ": worst", s.worst ? rarity(s.worst.ratio) + (s.worst.xy ? " at " + place(s.worst.xy) : "") : "–", s.worst?.ratio > 1],
    [name + ": events", events(s.events), Object.keys(s.events).length > 0]];
  facts(at("layer-facts"), [...of("layer", found.summary), ...of("job", found.job_summary)]);
  earlier(found.earlier);
}

const events = found => Object.entries(found).sort(([, a], [, b]) => b - a).map(([kind, n]) => `${words(kind)}: ${count(n)}`).join(", ") || "none";

function slide(layer) {
  const slider = at("layer-slider");
  slider.max = String(Math.max(shown.layers.length - 1, 0));
  slider.value = String(shown.layers.indexOf(layer));
  slider.setAttribute("aria-valuetext", layer === null ? "without a number" : String(layer));
}

// Jobs to choose from where there are several, the latest first; the list is left alone while it is the same, since it may be open.
function showJobs({jobs, job, layer}) {
  const several = jobs.length > 1, list = at("layer-job");
  say(at("layer-name"), [layer === null ? "without a number" : layer, several ? "of" : job && "of " + job].filter(one => one !== "").join(" "));
  list.hidden = !several;
  if ([...list.options].map(one => one.value).reverse().join("\n") !== jobs.join("\n")) {
    list.replaceChildren(...jobs.map(name => element("option", name || "a job without a name", "", {value: name})).reverse());
  }
  list.value = job;
}

function paint(found) {
  const before = found.same_place ? found.same_place.ratio : [], ids = ["map", "map-before"];
  at("map").setAttribute("aria-label", `${named(found)}: worst ${rarity(found.summary.worst?.ratio)}`);
  at("map-before").setAttribute("aria-label", "the ten layers before");
  const state = [found.job, found.layer, found.job_summary.judged].join("\n");  // all that is drawn is of frames of this job
  if (!found.extent || state === painted) return;
  painted = state;
  drawn = pictures([found.ratio, before], found.rows, found.columns);
  ids.forEach((id, index) => {
    at(id).width = at(id).height = drawn.images[index].width;
    at(id).getContext("2d").putImageData(drawn.images[index], 0, 0);
  });
}

function earlier(before) {
  const table = element("table"), head = element("tr");
  head.append(...["earlier layer", "judged", "over", "events", "worst rarity"].map(name => element("th", name)));
  table.append(head, ...before.slice(0, 8).map(one => {
    const line = element("tr");
    line.append(...[String(one.layer), count(one.judged), few(100 * one.rate, 2) + " %", String(one.events), ratio(one.most)].map(text => element("td", text)));
    return line;
  }));
  at("layers-before").replaceChildren(...(before.length ? [table] : []));
}

// Of the cells that are drawn at a place the one that is seen there: its own, or the largest that reaches so far.
function cellAt(values, column, row, reach) {
  const {rows, columns} = shown, own = row * columns + column;
  let found = null;
  for (let y = Math.max(0, row - reach); y <= Math.min(rows - 1, row + reach); y++) {
    for (let x = Math.max(0, column - reach); x <= Math.min(columns - 1, column + reach); x++) {
      const value = values[y * columns + x] ?? null;
      if (value !== null && (found === null || value > values[found])) found = y * columns + x;
    }
  }
  return (values[own] ?? null) !== null ? own : found;
}

function tellPlace(event, canvas) {
  if (!shown || !shown.extent) return;
  const {rows, columns, extent: [x0, y0, x1, y1]} = shown, longest = Math.max(rows, columns);
  const column = Math.floor(event.offsetX / canvas.clientWidth * drawn.side) - drawn.margin - Math.floor((longest - columns) / 2);
  const down = Math.floor(event.offsetY / canvas.clientHeight * drawn.side) - drawn.margin - Math.floor((longest - rows) / 2);
  if (column < 0 || down < 0 || column >= columns || down >= rows) return;
  const here = canvas.id === "map", values = here ? shown.ratio : shown.same_place?.ratio || [];
  const cell = cellAt(values, column, rows - 1 - down, drawn.reach[here ? 0 : 1]), [at_x, at_y] = cell === null ? [column, rows - 1 - down] : [cell % columns, Math.floor(cell / columns)];
  const x = x0 + (at_x + 0.5) * (x1 - x0) / columns, y = y0 + (at_y + 0.5) * (y1 - y0) / rows;
  const judged = here ? `, ${count(shown.judged[cell] || 0)} frames` : "";
  at("map-place").textContent = `x, y ${place([x, y])}: ` + (cell === null ? "no frame" : rarity(values[cell]) + judged);
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
