// A frame, what the network makes of it, and what is left: side by side, with the worst spot marked.

import {at, clock, element, few, place, rarity, words} from "./dom.js";

const LIVE = "the most unusual frame since the last one shown", OLD_NS = 5e9, HOLD_MS = 2000;
let shown_t_ns = 0, held = {ratio: 0, until_ms: 0};

const NAMES = [["seen", "frame"], ["drawn", "as normal would be"], ["residual", "difference"]];

// Of a frame that was not judged there may be the frame alone.
export function pictures(box, picture) {
  const names = NAMES.filter(([key]) => picture[key]), there = box.children.length === names.length;
  const figures = there ? [...box.children] : names.map(([, name]) => {
    const figure = element("figure"), frame = element("div", undefined, "picture"), spot = element("div", undefined, "spot");
    frame.append(element("img", undefined, "", {alt: name}), spot);
    figure.append(frame, element("figcaption", name));
    if (names.length === 1) figure.style.gridColumn = "span 2";  // larger than one of three
    return figure;
  });
  if (!there) box.replaceChildren(...figures);
  names.forEach(([key], index) => {
    const frame = figures[index].firstChild, [image, spot] = frame.children;
    frame.style.setProperty("--ratio", picture.width + " / " + picture.height);
    frame.classList.toggle("over", picture.ratio > 1);
    image.src = picture[key];
    spot.hidden = !picture.where || (index !== 2 && picture.ratio <= 1);
    if (!picture.where) return;
    spot.style.left = 100 * (picture.where[1] + 0.5) / picture.width + "%";
    spot.style.top = 100 * (picture.where[0] + 0.5) / picture.height + "%";
  });
  if (names.length === 1) figures[0].lastChild.textContent = "frame " + picture.seq + ", as the camera sent it";
  if (figures[2]) figures[2].lastChild.textContent = "difference, ± " + few(picture.residual_most, 2) + " times the usual";
}

// A picture stays when nothing is judged any more: it is not to look like what the camera sees now.
export function showAge(status) {
  const old = shown_t_ns > 0 && status.t_ns - shown_t_ns > OLD_NS;
  at("live").classList.toggle("old", old);
  const none = !status.bundle ? "without a bundle nothing is judged"
    : status.ledger.judged ? "waiting for the first picture" : "no frame judged yet";
  at("live-what").textContent = old ? "no other frame since " + clock(shown_t_ns) : shown_t_ns ? LIVE : none;
}

// What is over its limit stays long enough to be looked at, unless something worse comes.
export function showLive(picture) {
  const worst = picture.ratio ?? 0;
  if (Date.now() < held.until_ms && worst < held.ratio) return;
  held = {ratio: worst, until_ms: worst > 1 ? Date.now() + HOLD_MS : 0};
  shown_t_ns = picture.t_ns;
  pictures(at("live"), picture);
  const where = picture.xy ? ", at " + place(picture.xy) : "";
  const layer = picture.layer === null ? "" : ", layer " + picture.layer;
  const judged = picture.source ? rarity(picture.ratio) + ", most unusual by " + words(picture.source) : "not judged";
  at("live-facts").textContent = "frame " + picture.seq + " at " + clock(picture.t_ns) + layer + where + ": " + judged;
}
