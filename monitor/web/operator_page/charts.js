// Charts over time, as ratios of their limits: what is drawn are the extremes of each stretch, so that no spike is lost.

import {at, element, few, hue, many, ratio, clock, words, PRIORITIES, SIGNS} from "./dom.js";
import {get} from "./server.js";

const SPANS = [[10, "10 s"], [60, "1 min"], [600, "10 min"], [3600, "1 h"], [28800, "8 h"]];
const LIVE_S = 60, BINS = 600, AGAIN_MS = 2000, LABEL_PX = 13, LANE_PX = 14, TICKS = [0, 1, 2, 5, 10, 20, 50, 100, 1000];
const NONE = {low: null, high: null, ratio: null, limit: null, over: 0}, LEAST_PX = 2, RECENT = 5;
const panels = new Map();
let span_s = 60, shown = null, asked_ms = 0, asking = false, hover = null, alarms = "", due = false;

// The limit stands in the middle of every chart. Below it the scale is even; above, each factor is as high as the next,
// so that what is usual and what is a hundred times the limit can both be read.
const height = (value, most) => value <= 1 ? 0.5 * Math.max(value, 0) : 0.5 + 0.5 * Math.log(value) / Math.log(most);

export function prepareCharts() {
  at("spans").replaceChildren(...SPANS.map(([seconds, name]) => {
    const button = element("button", name, "", {type: "button", "aria-pressed": String(seconds === span_s)});
    button.dataset.span = seconds;
    button.addEventListener("click", () => chooseSpan(seconds));
    return button;
  }));
  new ResizeObserver(drawAll).observe(at("charts"));
}

export function chooseSpan(seconds) {
  span_s = seconds;
  for (const button of at("spans").children) button.setAttribute("aria-pressed", String(Number(button.dataset.span) === seconds));
  asked_ms = 0;
  refreshHistory();
}

export const chooseNth = n => SPANS[n] && chooseSpan(SPANS[n][0]);

// What the stream does not bring: an alarm more or less, or what was missed while there was none.
export function renewHistory() {
  due = true;
}

export function noteAlarms(status) {
  const now = status.alarms.map(one => one.id).join(" ");
  if (now !== alarms) due = true;
  alarms = now;
}

// Short spans grow by what the stream brings, and are asked for anew now and then; long ones are asked for.
export async function refreshHistory() {
  const every_ms = due ? AGAIN_MS : span_s <= LIVE_S ? 15000 : Math.min(Math.max(1000 * span_s / BINS, 2000), 60000);
  if (asking || Date.now() - asked_ms < every_ms) return;
  [asking, due] = [true, false];
  try {
    const wanted = span_s, bins = wanted <= LIVE_S ? Math.min(10 * wanted, BINS) : BINS;
    const found = await get(`history?span_s=${wanted}&bins=${bins}`);
    if (wanted === span_s) shown = {...found, live: wanted <= LIVE_S};
    drawAll();
  } catch (error) {
    if (error.status === 404) shown = null;  // nothing is judged any more: what was is not to look like now
    if (!shown) at("charts").replaceChildren(element("p", error.message, "none"));
  } finally {
    asked_ms = Date.now();
    asking = false;
  }
}

export function addScores(news) {
  if (!shown || !shown.live) return;
  const step = news.step_ms * 1e6, bins = news.judged.length;
  for (let bin = 0; bin < bins; bin++) {
    const end = news.t_ns - (bins - 1 - bin) * step;
    if (end <= shown.last_t_ns + step / 2) continue;
    if (end > shown.last_t_ns + 1.5 * step) {  // what lies between was told while nobody listened here
      addBin(end - step, 0, () => NONE);
      due = true;
    }
    addBin(end, news.judged[bin], name => {
      const added = news.charts[name];
      if (!added) return NONE;
      return {low: added.low[bin], high: added.high[bin], ratio: added.ratio[bin], limit: added.limit, over: added.over[bin]};
    });
  }
  const first = shown.last_t_ns - span_s * 1e9;
  const stale = shown.edges_t_ns.findIndex(edge => edge >= first);
  if (stale > 0) {
    shown.edges_t_ns.splice(0, stale);
    shown.judged.splice(0, stale);
    for (const chart of Object.values(shown.charts)) for (const values of Object.values(chart)) values.splice(0, stale);
  }
  shown.first_t_ns = shown.edges_t_ns[0];
  drawAll();
}

function addBin(end_t_ns, judged, told) {
  shown.edges_t_ns.push(end_t_ns);
  shown.judged.push(judged);
  shown.last_t_ns = end_t_ns;
  for (const [name, chart] of Object.entries(shown.charts)) {
    for (const [what, value] of Object.entries(told(name))) chart[what].push(value);
  }
}

function panel(name) {
  if (panels.has(name)) return panels.get(name);
  const box = element("div", undefined, "chart"), label = element("div", undefined, "label");
  const canvas = element("canvas", undefined, "", {role: "img"});
  label.append(element("b", name === "joint" ? "all charts together" : words(name)), element("span"));
  box.append(label, canvas);
  canvas.addEventListener("pointermove", event => { hover = event.offsetX / canvas.clientWidth; drawAll(); });
  canvas.addEventListener("pointerleave", () => { hover = null; drawAll(); });
  const made = {box, label, canvas};
  panels.set(name, made);
  return made;
}

function drawAll() {
  if (!shown) return;
  const names = Object.keys(shown.charts).sort((a, b) => (b === "joint") - (a === "joint"));
  const boxes = names.map(name => panel(name).box);
  if (boxes.length !== at("charts").children.length || boxes.some((box, i) => box !== at("charts").children[i])) {
    at("charts").replaceChildren(...boxes);
  }
  for (const name of names) draw(panel(name), name, shown.charts[name]);
}

function draw({label, canvas}, name, chart) {
  const dots = devicePixelRatio || 1, width = canvas.clientWidth, tall = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * dots)) {
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(tall * dots);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, width, tall);
  const most = highest(chart), x = t => width * (t - shown.first_t_ns) / (shown.last_t_ns - shown.first_t_ns);
  const y = value => tall - 1 - (tall - LANE_PX - 2) * Math.min(height(value, most), 1);
  grid(pen, width, y, most);
  bars(pen, chart, x, y);
  marks(pen, x, width);
  const here = hover === null ? null : Math.min(Math.floor(hover * chart.high.length), chart.high.length - 1);
  if (here !== null) {
    pen.strokeStyle = hue("text");
    pen.strokeRect(width * hover, LANE_PX, 0, tall - LANE_PX);
  }
  tell(label.lastChild, chart, here);
  canvas.setAttribute("aria-label", `${words(name)} over ${span_s} s: ${label.lastChild.textContent}`);
}

function highest(chart) {
  return chart.ratio.reduce((most, value) => Math.max(most, 1.08 * value), 3);
}

function grid(pen, width, y, most) {
  pen.font = "11px system-ui, sans-serif";
  let named = Infinity;  // where the last label stands: those that would lie on it are left out
  for (const tick of TICKS.filter(one => one <= most)) {
    pen.strokeStyle = tick === 1 ? hue("text") : hue("line");
    pen.setLineDash(tick === 1 ? [6, 4] : []);
    pen.beginPath();
    pen.moveTo(0, y(tick));
    pen.lineTo(width, y(tick));
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = hue("dim");
    if (!tick || named - y(tick) < LABEL_PX || y(tick) - LABEL_PX < LANE_PX) continue;
    pen.fillText(tick === 1 ? "limit" : "× " + tick, 2, y(tick) - 2);
    named = y(tick);
  }
}

function bars(pen, chart, x, y) {
  const edges = shown.edges_t_ns, usual = hue("calm"), over = hue("bad");
  for (let bin = 0; bin < chart.high.length; bin++) {
    const limit = chart.limit[bin];
    if (chart.high[bin] === null || !limit) continue;
    const left = x(edges[bin]), wide = Math.max(x(edges[bin + 1]) - left, 1), found = chart.over[bin] > 0;
    const top = Math.min(y(chart.ratio[bin]), found ? y(1) - LEAST_PX : Infinity);
    // What is over its limit stands on it: a stretch with few frames, all of them far above, would be a dot at the edge.
    const bottom = Math.max(y(Math.max(chart.low[bin], 0) / limit), found ? y(1) : 0);
    pen.fillStyle = found ? over : usual;
    pen.fillRect(left, top, found ? Math.max(wide, LEAST_PX) : wide, Math.max(bottom - top, LEAST_PX));
  }
}

function marks(pen, x, width) {
  pen.font = "12px system-ui, sans-serif";
  for (const event of shown.events || []) {
    const at_ = x(event.first_t_ns);
    const ends = event.state === "active" ? width : x(event.last_t_ns);
    if (ends < 0 || at_ > width) continue;
    pen.fillStyle = hue(PRIORITIES.includes(event.priority) ? event.priority : "dim");
    pen.fillText(SIGNS[event.priority] || "•", at_ - 5, 11);
    pen.fillRect(at_, 12, Math.max(ends - at_, 1), 2);
  }
}

function tell(place, chart, here) {
  const last = here === null ? chart.high.findLastIndex(value => value !== null) : here;
  const value = last >= 0 ? chart.high[last] : null, limit = chart.limit[last], most = chart.ratio[last];
  if (value === null || value === undefined) {
    place.className = "";
    place.textContent = "nothing judged";
    return;
  }
  const total = chart.over.reduce((a, b) => a + b, 0);
  place.className = chart.over[last] ? "over" : "";
  const now = here === null && chart.high.length - last < RECENT;
  const when = now ? "" : clock(shown.edges_t_ns[last]) + ": ";
  const over = here === null && total ? ", " + many(total, "frame") + " over in this time" : "";
  const oneLimit = Math.abs(value - most * limit) <= 1e-3 * Math.abs(value);  // or frames of several contexts
  place.textContent = when + (oneLimit ? few(value) + " of " + few(limit) : "limits differ") + ", " + ratio(most) + over;
}
