// One alarm, or one kind, in full: its picture, what was said of it, and what can be done about it.

import {at, element, facts, few, moment, place, words} from "./dom.js";
import {pictures} from "./pictures.js";
import {framesOf, isAboutFrames, noteOf, peakOf, sentence} from "./sources.js";
import {get, known, tell} from "./server.js";

const SHELF_MIN = [10, 30, 60, 480], AGAIN_MS = 2000, TRIES = 5;
let changed = () => {}, renew = () => {};

export const whenChanged = call => { changed = call; };

function field(name, input, wide) {
  const label = element("label", name, wide ? "wide" : "");
  label.append(input);
  return label;
}

function choice(...options) {
  const made = element("select");
  made.append(...options.map(([value, text]) => element("option", text, "", {value})));
  return made;
}

// Names and tokens are typed once: the browser keeps the name, and the tab the token.
function who() {
  const name = element("input", undefined, "", {type: "text", maxlength: "100", autocomplete: "username", required: ""});
  const token = element("input", undefined, "", {type: "password", autocomplete: "off", required: ""});
  name.id = "by";
  token.id = "token";
  name.value = known.name;
  token.value = known.token;
  return [field("your name", name), field("token", token)];
}

function remember(sheet) {
  known.name = sheet.querySelector("#by").value.trim();
  known.token = sheet.querySelector("#token").value.trim();
}

// Every act is one form: what it does, and what the daemon said to it.
function act(sheet, said, title, inputs, path, body, main, done = () => {}) {
  const form = element("form", undefined, "", {method: "dialog"});
  form.append(...inputs, element("button", title, main ? "main" : "", {type: "submit"}));
  form.addEventListener("submit", async event => {
    event.preventDefault();
    remember(sheet);
    said.className = "said";
    said.textContent = "…";
    try {
      await tell(path, body());
      said.className = "said good";
      said.textContent = title + ": done";
      done();
      changed();
    } catch (error) {
      said.className = "said bad";
      said.textContent = error.message;
      sheet.querySelector("#token").value = known.token;
    }
  });
  return form;
}

function frame(title) {
  const sheet = at("sheet"), close = element("button", "close", "", {type: "button"});
  close.addEventListener("click", () => sheet.close());
  const heading = element("h3", title);
  heading.id = "sheet-title";
  const bar = element("form", undefined, "acts", {method: "dialog"});
  // Who ends the token with Enter means what this sheet is first for.
  bar.addEventListener("submit", event => {
    event.preventDefault();
    sheet.querySelector("button.main")?.click();
  });
  const said = element("p", "", "said", {role: "status"});
  sheet.replaceChildren(heading);
  sheet.onclose = null;
  renew = () => {};
  bar.append(...who(), element("button", "", "", {type: "submit", hidden: true}), close);
  return {sheet, said, bar};
}

// Who opens a sheet wants to do something: what is still to be typed for it comes first, and no link.
function show(sheet) {
  if (!sheet.open) sheet.showModal();
  const first = [...sheet.querySelectorAll("#by, #token")].find(one => !one.value) || sheet.querySelector("button.main");
  first?.focus();
}

export async function openAlarm(alarm) {
  const called = alarm.kind ? alarm.kind.name + " – " : "";
  const {sheet, said, bar} = frame(called + words(alarm.source) + ", " + alarm.priority + ", " + moment(alarm.raised_t_ns));
  const box = element("div", undefined, "pictures"), list = element("dl"), history = element("div");
  const note = element("p", "", "none"), seen = element("div"), top = element("div", undefined, "sheet-top");
  seen.append(box, note);
  top.append(seen, list);
  const back = act(sheet, said, "tell of " + words(alarm.source) + " again", [], `alarms/${alarm.id}/put-back`, () => ({mode: "shelved"}));
  sheet.append(top, bar, ...alarmActs(sheet, said, alarm, () => { back.hidden = false; }), back, said, history);
  let rev = -1;
  const showNow = now => {
    if (now.rev <= rev) return;
    rev = now.rev;
    facts(list, alarmFacts(now));
    const recorded = now.recording && recordingOf(now);
    if (recorded) list.append(element("dt", "recording"), recorded);
    back.hidden = !now.shelved;
    ask();
    function ask() {
      get(`alarms/${now.id}`).then(heard, () => setTimeout(() => { if (now.rev === rev && sheet.open) ask(); }, AGAIN_MS));
    }
    function heard({changes, recording_kept}) {
      if (recorded && recording_kept === false) recorded.replaceChildren(fileOf(now), element("p", "removed since, to make room for newer ones", "none"));
      history.replaceChildren(...told(changes));
      if (changes.length) showNow(changes.at(-1).alarm);  // the list may not have heard of it yet
    }
  };
  renew = alarms => alarms.filter(one => one.id === alarm.id).forEach(showNow);
  showNow(alarm);
  sheet.onclose = () => document.querySelector(`.alarm[data-alarm="${alarm.id}"]`)?.focus();  // the list may be another by now
  show(sheet);
  if (!isAboutFrames(alarm)) note.textContent = "It is about no frame.";
  else picture(TRIES);
  // A frame of a moment ago may not be kept yet, and on a busy machine an answer may take too long.
  function picture(tries) {
    get(`alarms/${alarm.id}/picture`).then(one => {
      note.textContent = noteOf(alarm, one);
      pictures(box, one);
    }, error => {
      note.textContent = error.message;
      if (tries > 1) setTimeout(() => { if (sheet.open && box.isConnected) picture(tries - 1); }, AGAIN_MS);
    });
  }
}

// What is on the sheet as it is now: what was done about an alarm, its end, its recording.
export const renewSheet = alarms => renew(alarms);

const fileOf = alarm => alarm.recording.split("/").at(-1);

function recordingOf(alarm) {
  const file = fileOf(alarm), cell = element("dd");
  cell.append(element("a", file, "", {href: "api/v1/recordings/" + encodeURIComponent(file), download: file}));
  return cell;
}

function alarmFacts(alarm) {
  const rows = [["what", sentence(alarm)]];
  if (alarm.peak) rows.push(peakOf(alarm));
  if (isAboutFrames(alarm)) rows.push(["frames", framesOf(alarm)]);
  if (alarm.kind) rows.push(["kind", alarm.kind.name + ", " + few(alarm.kind.distance, 2) + " from its centre"]);
  if (alarm.job || alarm.layer !== null) rows.push(["job, layer", [alarm.job, alarm.layer].filter(one => one !== null && one !== "").join(", ")]);
  if (alarm.xy) rows.push(["at", place(alarm.xy)]);
  if (alarm.context) rows.push(["context", alarm.context]);
  rows.push(["state", alarm.state + (alarm.acked ? ", acknowledged" : ", not acknowledged") + (alarm.latched ? ", latched" : "")]);
  return rows;
}

function alarmActs(sheet, said, alarm, shelved) {
  const verdict = choice(["", "none yet"], ["true", "true"], ["false", "false"], ["unknown", "cannot be said"]);
  const why = element("input", undefined, "", {type: "text", maxlength: "500"});
  const shelf = choice(...SHELF_MIN.map(min => [String(60 * min), min < 60 ? min + " min" : min / 60 + " h"]));
  const reason = element("input", undefined, "", {type: "text", maxlength: "500"});
  verdict.value = alarm.verdict || "";
  const forms = [
    act(sheet, said, "acknowledge", [field("verdict", verdict), field("why", why, true)], `alarms/${alarm.id}/acknowledge`,
      () => ({verdict: verdict.value || null, reason: why.value}), true),
    act(sheet, said, "shelve " + words(alarm.source), [field("for", shelf), field("why", reason, true)], `alarms/${alarm.id}/shelve`,
      () => ({for_s: Number(shelf.value), reason: reason.value}), false, shelved),
  ];
  return alarm.kind ? [...forms, naming(sheet, said, alarm.kind.id, alarm.kind.name)] : forms;
}

function naming(sheet, said, number, name, main) {
  const called = element("input", undefined, "", {type: "text", maxlength: "60", required: ""});
  const urgency = choice(["", "as it is"], ["low", "low"], ["medium", "medium"], ["high", "high"], ["critical", "critical"], ["none", "none of its own"]);
  called.id = "kind-name";
  called.value = name === "kind " + number ? "" : name;
  return act(sheet, said, "name kind " + number, [field("name of this kind", called, true), field("priority", urgency)],
    `taxonomy/${number}/name`, () => ({name: called.value, ...(urgency.value ? {priority: urgency.value} : {})}), main);
}

// With *examples* of it: who is to name something sees it.
export function openKind(kind, examples) {
  const {sheet, said, bar} = frame("Kind " + kind.id + (kind.name ? ": " + kind.name : ""));
  const list = element("dl"), note = element("input", undefined, "", {type: "text", maxlength: "500", required: ""});
  facts(list, [["events", kind.events + ", " + kind.held + " kept"], ["first, last", moment(kind.first_t_ns) + ", " + moment(kind.last_t_ns)],
    ["priority of its own", kind.priority || "none"], ...kind.notes.map(one => ["noted", one])]);
  const thumbs = element("div", undefined, "thumbs");
  thumbs.append(...examples);
  sheet.append(thumbs, list, bar, naming(sheet, said, kind.id, kind.name, true),
    act(sheet, said, "note", [field("note", note, true)], `taxonomy/${kind.id}/name`, () => ({note: note.value})), said);
  show(sheet);
}

// A source that is shelved, suppressed or out of service: what was said of it, and how it is told of again.
export function openMode(mode) {
  const {sheet, said, bar} = frame(words(mode.source) + " is " + words(mode.name)), list = element("dl");
  facts(list, [["by", mode.by], ["why", mode.reason || "–"], ["since", moment(mode.since_t_ns)],
    ["until", mode.until_t_ns ? moment(mode.until_t_ns) : "somebody ends it"]]);
  sheet.append(list, bar, act(sheet, said, "tell of " + words(mode.source) + " again", [],
    `alarms/${encodeURIComponent(mode.source)}/put-back`, () => ({mode: mode.name}), true), said);
  show(sheet);
}

export function openAll(until, open) {
  const {sheet, said, bar} = frame("Acknowledge all alarms raised until now");
  const why = element("input", undefined, "", {type: "text", maxlength: "500"});
  sheet.append(element("p", open + " open or waiting in the list; alarms that come from now on are not among them.", "none"), bar,
    act(sheet, said, "acknowledge all", [field("why", why, true)], "alarms/acknowledge", () => ({until, reason: why.value}), true), said);
  show(sheet);
}

function told(changes) {
  if (!changes.length) return [];
  const table = element("table"), head = element("tr");
  head.append(...["when", "what", "by", "why"].map(name => element("th", name)));
  table.append(head, ...changes.filter(one => one.what !== "changed").slice(-20).map(one => {
    const line = element("tr");
    line.append(...[moment(one.t_ns), words(one.what), one.by || "", one.reason || ""].map(text => element("td", text)));
    return line;
  }));
  return [table];
}
