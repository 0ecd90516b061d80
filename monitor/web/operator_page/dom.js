// Elements and numbers. Texts come from outside: they are set as text, never as markup.

export const at = id => document.getElementById(id);

export function element(name, text, kind, more = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (kind) made.className = kind;
  for (const [key, value] of Object.entries(more)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  return made;
}

// Readers tell a person of every text that is set anew, also where it is the same.
export function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

export function facts(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, value, bad]) =>
    [element("dt", name, bad ? "bad" : ""), element("dd", value, bad ? "bad" : "")]));
}

export const SIGNS = {critical: "◆", high: "▲", medium: "■", low: "●"};
export const PRIORITIES = ["low", "medium", "high", "critical"];

// Of what people are not told as usual: shelved, suppressed (also behind a flood), out of service.
export const isHushed = alarm => alarm.shelved || alarm.suppressed || alarm.out_of_service;

export const count = n => Math.round(n).toLocaleString("en-US").replaceAll(",", "\u202f");
export const many = (n, what) => `${n ? count(n) : "no"} ${what}${n === 1 ? "" : "s"}`;
export const few = (x, digits = 3) => x === null || x === undefined ? "–" : Number(x.toPrecision(digits)).toString();
export const words = text => text.replaceAll("_", " ");

export const place = xy => xy.map(x => few(x, 5)).join(", ");

export function clock(t_ns) {
  return new Date(t_ns / 1e6).toLocaleTimeString("en-GB");
}

export function moment(t_ns) {
  const then = new Date(t_ns / 1e6), today = new Date().toDateString() === then.toDateString();
  return today ? clock(t_ns) : then.toLocaleDateString("en-CA") + " " + clock(t_ns);
}

export function span(seconds) {
  if (seconds < 100) return few(seconds, 2) + " s";
  if (seconds < 6000) return few(seconds / 60) + " min";
  return seconds < 172800 ? few(seconds / 3600) + " h" : few(seconds / 86400) + " days";
}

export const rarity = x => x === null || x === undefined ? "–" : "rarity " + few(x) + " × limit";  // of all charts together
export const ratio = x => x === null || x === undefined ? "–" : few(x) + " × limit";

export const hue = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
