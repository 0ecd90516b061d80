// A frame, what the network makes of it, and what is left: side by side, with the worst spot marked.

import {at, clock, element, few, place, ratio} from "./dom.js";

const NAMES = [["seen", "frame"], ["drawn", "as normal would be"], ["residual", "difference"]];

export function pictures(box, picture) {
  const there = box.children.length === NAMES.length;
  const figures = there ? [...box.children] : NAMES.map(([, name]) => {
    const figure = element("figure"), frame = element("div", undefined, "picture"), spot = element("div", undefined, "spot");
    frame.append(element("img", undefined, "", {alt: name}), spot);
    figure.append(frame, element("figcaption", name));
    return figure;
  });
  if (!there) box.replaceChildren(...figures);
  NAMES.forEach(([key], index) => {
    const frame = figures[index].firstChild, [image, spot] = frame.children;
    frame.style.setProperty("--ratio", picture.width + " / " + picture.height);
    frame.classList.toggle("over", picture.ratio > 1);
    image.src = picture[key];
    spot.hidden = !picture.where || (index !== 2 && picture.ratio <= 1);
    if (!picture.where) return;
    spot.style.left = 100 * (picture.where[1] + 0.5) / picture.width + "%";
    spot.style.top = 100 * (picture.where[0] + 0.5) / picture.height + "%";
  });
  figures[2].lastChild.textContent = "difference, ± " + few(picture.residual_most, 2) + " times the usual";
}

export function showLive(picture) {
  pictures(at("live"), picture);
  at("live-what").textContent = "the most unusual frame since the last one shown";
  const where = picture.xy ? ", at " + place(picture.xy) : "";
  const layer = picture.layer === null ? "" : ", layer " + picture.layer;
  at("live-facts").textContent = "frame " + picture.seq + " at " + clock(picture.t_ns) + layer + where + ": " + ratio(picture.ratio) + " (" + picture.source + ")";
}
