// Alarms: what is open, what nobody has acknowledged, what was lately; the list is as long as the page can bear.

import {at, count, element, moment, ratio, SIGNS, PRIORITIES, words} from "./dom.js";
import {get} from "./server.js";
import {openAlarm} from "./sheet.js";

const ROWS = 60, REFRESH_MS = 10000;
let signature = "", asked_ms = 0, shown = [], asking = false;

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
  made.classList.toggle("new", !alarm.acked);
  made.dataset.alarm = alarm.id;
  const more = [alarm.priority + (over ? ", over" : ""), alarm.peak ? ratio(alarm.peak.ratio) : "",
    alarm.frames_over ? count(alarm.frames_over) + " frames over" : "", alarm.layer === null ? "" : "layer " + alarm.layer,
    alarm.shelved ? "shelved" : "", alarm.suppressed ? "suppressed" : "", alarm.out_of_service ? "out of service" : "",
    alarm.verdict ? "verdict " + alarm.verdict : "", alarm.recording ? "recorded" : ""].filter(Boolean).join(" · ");
  made.append(element("span", SIGNS[alarm.priority], "sign", {"aria-hidden": "true"}), element("span", what(alarm), "what"),
    element("span", moment(alarm.raised_t_ns), "when"), element("span", more, "more"));
  made.addEventListener("click", () => openAlarm(alarm));
  return made;
}

function group(title, alarms) {
  return alarms.length ? [element("h3", title), ...alarms.map(row)] : [];
}

function draw(alarms) {
  const focus = document.activeElement?.dataset?.alarm;
  const open = alarms.filter(one => one.state === "active").sort(urgent);
  const waiting = alarms.filter(one => one.state !== "active" && !one.acked);
  const rest = alarms.filter(one => one.state !== "active" && one.acked);
  shown = [...open, ...waiting, ...rest].slice(0, ROWS);
  const parts = [...group("open", open.slice(0, ROWS)), ...group("over, and not acknowledged", waiting.slice(0, ROWS)),
    ...group("lately", rest.slice(0, 12))];
  at("alarm-list").replaceChildren(...(parts.length ? parts : [element("p", "None.", "none")]));
  at("ack-all").hidden = alarms.filter(one => !one.acked).length < 2;
  if (focus) document.querySelector(`[data-alarm="${focus}"]`)?.focus();
}

// What is open comes with the status; the others are asked for when that changes, and now and then.
export async function showAlarms(status) {
  const now = status.alarms.map(one => one.id + "/" + one.rev).join(" ");
  if (asking || (now === signature && Date.now() - asked_ms < REFRESH_MS)) return;
  asking = true;
  try {
    const [late, waiting] = await Promise.all([get("alarms?limit=40"), get("alarms?limit=40&state=unacknowledged")]);
    const all = new Map([...late.alarms, ...waiting.alarms, ...status.alarms].map(one => [one.id, one]));
    draw([...all.values()].sort((a, b) => (a.id < b.id ? 1 : -1)));
    signature = now;
  } catch (error) {
    draw(status.alarms);
    at("alarm-list").append(element("p", "The journal does not answer: " + error.message, "none"));
  } finally {
    asked_ms = Date.now();
    asking = false;
  }
}

export function refreshAlarms() {
  asked_ms = 0;
}

export const newest = () => shown.map(one => one.id).sort().at(-1);

export function move(by) {
  const rows = [...document.querySelectorAll("[data-alarm]")], here = rows.indexOf(document.activeElement);
  rows[Math.min(Math.max(here + by, 0), rows.length - 1)]?.focus();
}
