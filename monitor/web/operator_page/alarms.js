// Alarms: what is open, what nobody has acknowledged, what was lately; the list is as long as the page can bear.

import {at, element, isHushed, many, moment, ratio, SIGNS, PRIORITIES, words} from "./dom.js";
import {get} from "./server.js";
import {isFault} from "./sources.js";
import {openAlarm, openMode, renewSheet} from "./sheet.js";

const ROWS = 60, LATELY = 12, ASKED = 40, REFRESH_MS = 10000;
let latest = null, drawn = "", signature = "", asked_ms = 0, shown = [], last = "", unacked = 0, asking = false;
let asked = {late: [], waiting: [], modes: []};  // what was answered last

export const selected = () => shown.find(one => one.id === document.activeElement?.dataset?.alarm) || shown[0];

export function what(alarm) {
  const kind = alarm.kind ? alarm.kind.name + ", " : "";
  return kind + words(alarm.source) + (alarm.why ? ": " + alarm.why : "");
}

function urgent(a, b) {
  const order = one => PRIORITIES.indexOf(one.priority);
  return order(b) - order(a) || (a.id < b.id ? 1 : -1);
}

function row(alarm) {
  const over = alarm.state === "cleared", made = element("button", undefined, "alarm " + alarm.priority, {type: "button"});
  made.classList.toggle("over", over);
  made.classList.toggle("new", !alarm.acked && !isHushed(alarm));
  made.dataset.alarm = alarm.id;
  const more = [alarm.priority + (over ? ", over" : ""), alarm.peak ? ratio(alarm.peak.ratio) : "",
    alarm.frames_over ? many(alarm.frames_over, "frame") + (isFault(alarm) ? "" : " over") : "", alarm.layer === null ? "" : "layer " + alarm.layer,
    alarm.shelved ? "shelved" : "", alarm.suppressed ? "suppressed" : "", alarm.out_of_service ? "out of service" : "",
    alarm.verdict ? "verdict " + alarm.verdict : "", alarm.recording ? "recorded" : ""].filter(Boolean).join(" · ");
  made.append(element("span", SIGNS[alarm.priority], "sign", {"aria-hidden": "true"}), element("span", what(alarm), "what"),
    element("span", moment(alarm.raised_t_ns), "when"), element("span", more, "more"));
  made.addEventListener("click", () => openAlarm(alarm));
  return made;
}

// What people are not told of as usual must not be forgotten.
function modeRow(mode) {
  const until = mode.until_t_ns ? " until " + moment(mode.until_t_ns) : "";
  const made = element("button", `${words(mode.source)}: ${words(mode.name)}${until}, by ${mode.by}`, "mode what", {type: "button"});
  made.dataset.mode = mode.source + "/" + mode.name;
  made.addEventListener("click", () => openMode(mode));
  return made;
}

function group(title, alarms, more) {
  return alarms.length ? [element("h3", title), ...alarms.map(row), ...(more ? [element("p", more, "none")] : [])] : [];
}

function draw() {
  const status = latest;
  const all = new Map([...asked.late, ...asked.waiting].map(one => [one.id, one])), now = new Set(status.alarms.map(one => one.id));
  for (const one of status.alarms) if (one.rev >= (all.get(one.id)?.rev ?? 0)) all.set(one.id, one);
  // What was open at the last answer and is not any more: how it ended is in the next one.
  for (const one of all.values()) if (one.state === "active" && !now.has(one.id)) all.delete(one.id);
  const alarms = [...all.values()].sort((a, b) => (a.id < b.id ? 1 : -1)), {modes} = asked, full = asked.waiting.length === ASKED;
  const focus = document.activeElement?.closest("#alarm-list button")?.dataset;
  const open = alarms.filter(one => one.state === "active").sort(urgent);
  const unseen = alarms.filter(one => one.state !== "active" && !one.acked);
  const rest = alarms.filter(one => one.state !== "active" && one.acked);
  shown = [...open.slice(0, ROWS), ...unseen, ...rest.slice(0, LATELY)];
  last = alarms.map(one => one.id).sort().at(-1);
  const hushed = modes.length ? [element("h3", "not told of as usual"), ...modes.map(modeRow)] : [];
  const parts = [...hushed, ...group("open", open.slice(0, ROWS), open.length > ROWS ? `and ${open.length - ROWS} more` : ""),
    ...group("over, and not acknowledged", unseen, full ? "older ones: framewatch alarms list" : ""),
    ...group("lately", rest.slice(0, LATELY))];
  at("alarm-list").replaceChildren(...(parts.length ? parts : [element("p", "None.", "none")]));
  unacked = alarms.filter(one => !one.acked).length;
  at("ack-all").hidden = unacked < 2;
  if (focus) [...at("alarm-list").querySelectorAll("button")].find(one => one.dataset.alarm === focus.alarm && one.dataset.mode === focus.mode)?.focus({preventScroll: true});  // who has scrolled away stays there
  renewSheet(alarms);
}

// What is open comes with the status; the others are asked for when that changes, and now and then.
export async function showAlarms(status) {
  // An alarm may come and go between two looks: that there was one is told by the number of changes.
  const now = [status.alarm_changes, ...status.alarms.map(one => one.id + "/" + one.rev)].join(" ");
  latest = status;
  if (now !== drawn) draw();  // what is open waits neither for the others nor for an answer that is under way
  drawn = now;
  if (asking || (now === signature && Date.now() - asked_ms < REFRESH_MS)) return;
  [asking, asked_ms] = [true, Date.now()];
  try {
    const paths = [`alarms?limit=${ASKED}`, `alarms?limit=${ASKED}&state=unacknowledged`, "sources"];
    const [late, waiting, sources] = await Promise.all(paths.map(get));
    asked = {late: late.alarms, waiting: waiting.alarms, modes: sources.modes};
    draw();
    signature = now;
  } catch (error) {
    draw();
    at("alarm-list").append(element("p", "The journal does not answer: " + error.message, "none"));
  } finally {
    asking = false;
  }
}

export function refreshAlarms() {
  asked_ms = 0;
}

export const newest = () => last;
export const unacknowledged = () => unacked;
// Of what nobody has acknowledged, what is over and people were told of.
export const waiting = () => ({count: asked.waiting.filter(one => one.state !== "active" && !isHushed(one)).length, more: asked.waiting.length === ASKED});

export function move(by) {
  const rows = [...document.querySelectorAll(".alarm")], here = rows.indexOf(document.activeElement);
  rows[Math.min(Math.max(here + by, 0), rows.length - 1)]?.focus();
}
