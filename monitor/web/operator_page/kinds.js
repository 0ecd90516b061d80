// Kinds of anomaly: what is too few to be one first, since it is often what one should look at.

import {at, count, element, moment, words} from "./dom.js";
import {get} from "./server.js";
import {openKind} from "./sheet.js";

const REFRESH_MS = 10000, THUMBS = 4;
let asked_ms = 0, asking = false, run = null, exemplars = new Map();

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
    at("kinds-section").hidden = true;
  } finally {
    asking = false;
  }
}

export function renewKinds() {
  asked_ms = 0;
  refreshKinds();
}

function show(found) {
  at("kinds-section").hidden = false;
  const last = found.run ? `${found.run.points} events grouped at ${moment(found.run.t_ns)}: ${found.run.why}` : "not grouped yet";
  at("kinds-run").textContent = [last, found.new ? found.new + " events since" : "", found.running ? "grouping now" : "", found.failed].filter(Boolean).join("; ");
  const few = found.few_count ? [element("p", `${found.few_count} too few to be a kind: framewatch taxonomy list shows them first`, "none")] : [];
  const living = found.kinds.filter(kind => kind.state === "alive");
  at("kinds").replaceChildren(...few, ...living.map(box));
  if (!living.length && !few.length) at("kinds").replaceChildren(element("p", `None yet: ${found.held} events are kept.`, "none"));
}

function box(kind) {
  const made = element("div", undefined, "kind " + (kind.priority || "")), top = element("header");
  const name = element("button", kind.name ? "rename" : "name it", "", {type: "button"});
  name.addEventListener("click", () => openKind(kind));
  top.append(element("b", kind.name || "kind " + kind.id), name);
  const drawn = exemplars.get(kind.id), thumbs = element("div", undefined, "thumbs");
  for (const one of drawn ? drawn.nearest.slice(0, THUMBS) : []) {
    thumbs.append(element("img", undefined, "", {src: one.picture, alt: "a typical event", title: "typical, " + moment(one.t_ns)}));
  }
  const told = `${count(kind.events)} events, the last ${moment(kind.last_t_ns)}` + (kind.priority ? ", priority " + words(kind.priority) : "");
  made.append(top, element("p", told, "facts"), thumbs);
  return made;
}
