// The large state, the permit, the banner that says that what is shown is old, and all that in a bar for who has scrolled.

import {waiting} from "./alarms.js";
import {at, clock, element, isHushed, say, PRIORITIES, SIGNS} from "./dom.js";

const SIGN_OF = {ok: "✓", idle: "–", starting: "…", stopping: "…", uncalibrated: "?", stale: "◷", degraded: "▲", blind: "✕"};

export function prepareHeader() {
  new IntersectionObserver(([seen]) => { at("bar").hidden = seen.isIntersecting; }).observe(document.querySelector("body > header"));
}

// What stands large at the top, in a line.
function fillBar() {
  const [sign, word] = at("state").children, [, permit] = at("permit").children;
  const told = at("lost").hidden ? [at("open").textContent, "permit " + permit.textContent] : [at("lost").textContent];
  at("bar").replaceChildren(element("b", sign.textContent + " " + word.textContent), element("span", told.filter(Boolean).join(" · ")));
}

export function showState(s) {
  document.body.dataset.state = s.state;
  const loud = s.alarms.filter(one => !isHushed(one)), hushed = s.alarms.length - loud.length;
  const worst = PRIORITIES[Math.max(-1, ...loud.map(one => PRIORITIES.indexOf(one.priority)))] || "";
  document.body.dataset.alarm = worst;
  const told = loud.length + (loud.length > 1 ? " alarms open" : " alarm open");
  const others = hushed ? hushed + (worst ? " more" : hushed > 1 ? " alarms" : " alarm") + " shelved or suppressed" : "";
  document.title = (worst ? SIGNS[worst] + " " + told + " – " : "") + s.state + " – " + s.camera;
  at("camera").textContent = s.camera + (s.context ? " · " + s.context : "");
  // Who reads from three metres reads one word: where all is well but for what was found, that is the alarm.
  const alarmed = worst && ["ok", "idle"].includes(s.state);
  say(at("word"), alarmed ? "alarm" : s.state);
  say(document.querySelector("#state .sign"), alarmed ? SIGNS[worst] : SIGN_OF[s.state] || "");
  const seen = waiting(), over = seen.count ? seen.count + (seen.more ? " or more" : "") + " over, not acknowledged" : "";
  const shown = [worst && told + ", worst: " + worst, over, others, alarmed && "the state is " + s.state].filter(Boolean).join("; ");
  say(at("open"), shown);
  at("why").textContent = [s.why, s.side_why].filter(Boolean).join("; ");
  const [, word, mode] = at("permit").children;
  at("permit").className = s.permit ? "yes" : "no";
  word.textContent = s.permit ? "given" : "withheld";
  mode.textContent = s.permit ? s.permit_mode : s.permit_mode + ": " + s.permit_why;
  fillBar();
  at("version").textContent = "framewatch " + s.version + (s.bundle ? " · bundle " + s.bundle.slice(0, 12) : "");
}

export function showLost(heard_ms) {
  const lost = heard_ms !== null;
  document.body.classList.toggle("lost", lost);
  at("lost").hidden = !lost;
  if (!lost) return;
  const [sign, word] = at("state").children, [, permit, why] = at("permit").children;
  document.body.dataset.state = document.body.dataset.alarm = "";
  say(at("open"), "");
  say(at("why"), "");
  say(sign, "?");
  say(word, "no connection");
  at("permit").className = "";
  say(permit, "unknown");
  say(why, "");
  say(at("lost"), heard_ms ? "Connection lost at " + clock(heard_ms * 1e6) + ". What you see is old." : "No connection to the daemon.");
  fillBar();
  document.title = "connection lost";
}
