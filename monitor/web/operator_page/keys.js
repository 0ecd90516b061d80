// What the keyboard does, and the page that says so.

import {move, newest, selected, unacknowledged} from "./alarms.js";
import {chooseNth} from "./charts.js";
import {at, element} from "./dom.js";
import {stepLayer} from "./map.js";
import {openAlarm, openAll} from "./sheet.js";

const KEYS = [
  ["j, k", "next and previous alarm", {j: () => move(1), k: () => move(-1)}],
  ["a, Enter", "open the alarm: acknowledge, shelve, name its kind", {a: () => selected() && openAlarm(selected())}],
  ["A", "acknowledge all that were raised until now", {A: acknowledgeAll}],
  ["1 to 5", "how much time the charts show", Object.fromEntries([1, 2, 3, 4, 5].map(n => [n, () => chooseNth(n - 1)]))],
  ["[, ]", "one layer back, one on", {"[": () => stepLayer(-1), "]": () => stepLayer(1)}],
  ["Escape", "close what is open", {}],
  ["?", "this list", {"?": help}],
];
const ACTS = Object.assign({}, ...KEYS.map(([, , acts]) => acts));

export function acknowledgeAll() {
  if (newest()) openAll(newest(), unacknowledged());
}

function help() {
  const list = element("dl"), close = element("button", "close", "", {type: "button"});
  for (const [keys, what] of KEYS) {
    const name = element("dt");
    name.append(element("kbd", keys));
    list.append(name, element("dd", what));
  }
  close.addEventListener("click", () => at("help").close());
  at("help").replaceChildren(element("h3", "Keys"), list, close);
  at("help").showModal();
}

export function listen() {
  at("keys").addEventListener("click", help);
  at("ack-all").addEventListener("click", acknowledgeAll);
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
    const act = ACTS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
