// Kinds of anomaly, and in a sentence what is too few to be one.

import {at, clock, element, many, moment, say, words} from "./dom.js";
import {get} from "./server.js";
import {openKind} from "./sheet.js";

const REFRESH_MS = 10000, THUMBS = 4;
let asked_ms = 0, shown_ms = 0, asking = false, run = null, exemplars = new Map(), sentence = "";
const boxes = new Map();  // id -> {made, kind, drawn}

export async function refreshKinds() {
  if (asking || Date.now() - asked_ms < REFRESH_MS) return;
  [asking, asked_ms] = [true, Date.now()];
  try {
    const found = await get("taxonomy");
    if (found.run && found.run.t_ns !== run) {  // of another bundle numbers begin anew
      const drawn = await get("taxonomy/pictures").catch(() => null);
      exemplars = new Map((drawn ? drawn.kinds : []).map(kind => [kind.id, kind]));
      run = drawn ? found.run.t_ns : null;
    }
    show(found);
  } catch (error) {
    miss(error);
  } finally {
    asking = false;
  }
}

export function renewKinds() {
  asked_ms = 0;
  refreshKinds();
}

// Kinds do not vanish with one answer: without it they are old.
function miss(error) {
  if (error.status === 404) at("kinds-section").hidden = true;
  at("kinds").classList.add("old");
  if (sentence) say(at("kinds-run"), `no answer: shown as of ${clock(1e6 * shown_ms)}; ${sentence}`);
}

function show(found) {
  const living = found.kinds.filter(kind => kind.state === "alive");
  shown_ms = Date.now();
  at("kinds-section").hidden = false;
  at("kinds").classList.remove("old");
  const few = found.few_count ? `${many(found.few_count, "event")} too few alike to be a kind` : "";
  const last = found.run ? `${many(living.length, "kind")} among ${many(found.run.points, "event")}, grouped at ${moment(found.run.t_ns)}` : "not grouped yet";
  sentence = [last, few, found.new ? `${many(found.new, "event")} since` : "", found.running ? "grouping now" : "", found.failed].filter(Boolean).join("; ");
  say(at("kinds-run"), sentence);
  at("kinds-run").title = found.run ? found.run.why : "";
  list(living.length ? living.map(box) : [element("p", `None yet: ${many(found.held, "event")} kept.`, "none")]);
}

// Boxes stay the same elements, so that whoever stands on a button goes on standing on it.
function list(made) {
  const there = at("kinds").children, focus = document.activeElement;
  if (made.length === there.length && made.every((one, index) => one === there[index])) return;
  at("kinds").replaceChildren(...made);
  if (at("kinds").contains(focus) && focus !== document.activeElement) focus.focus({preventScroll: true});
}

function box(kind) {
  const found = boxes.get(kind.id) || fresh(kind.id), {made, parts: {title, name, told, thumbs}} = found, drawn = exemplars.get(kind.id);
  found.kind = kind;
  made.className = "kind " + (kind.priority || "");
  say(title, kind.name || "kind " + kind.id);
  say(name, kind.name ? "rename" : "name it");
  say(told, `${many(kind.events, "event")}, the last ${moment(kind.last_t_ns)}` + (kind.priority ? ", priority " + words(kind.priority) : ""));
  if (drawn !== found.drawn) {
    found.drawn = drawn;
    thumbs.replaceChildren(...typical(drawn));
  }
  return made;
}

const typical = drawn => (drawn ? drawn.nearest.slice(0, THUMBS) : []).map(one =>
  element("img", undefined, "", {src: one.picture, alt: "a typical event", title: "typical, " + moment(one.t_ns)}));

function fresh(id) {
  const made = element("div"), top = element("header"), title = element("b"), name = element("button", "", "", {type: "button"});
  const told = element("p", "", "facts"), thumbs = element("div", undefined, "thumbs"), found = {made, parts: {title, name, told, thumbs}};
  for (const one of [name, thumbs]) one.addEventListener("click", () => openKind(found.kind, typical(found.drawn)));
  top.append(title, name);
  made.append(top, told, thumbs);
  made.dataset.kind = id;
  boxes.set(id, found);
  return found;
}
