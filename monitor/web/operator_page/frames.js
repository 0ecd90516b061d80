// Every frame, and the promise: numbers that close.

import {at, count, facts, few, moment, span, words} from "./dom.js";

export function showFrames(s) {
  const l = s.ledger, sum = values => Object.values(values).reduce((a, b) => a + b, 0);
  const rest = l.received - l.judged - sum(l.unjudged) - sum(l.dropped) - l.in_flight;
  at("balance").textContent = rest === 0
    ? count(l.received) + " received, each accounted for"
    : "▲ " + count(rest) + " frames are not accounted for";
  const rows = [["announced by the camera", count(l.announced)], ["lost upstream", count(l.lost_upstream), l.lost_upstream > 0],
    ["judged", count(l.judged)]];
  for (const [why, n] of Object.entries(l.unjudged)) if (n) rows.push(["not judged: " + words(why), count(n)]);
  for (const [why, n] of Object.entries(l.dropped)) if (n) rows.push(["dropped: " + words(why), count(n), true]);
  rows.push(["in flight", count(l.in_flight)]);
  for (const [why, n] of Object.entries(l.rejected)) if (n) rows.push(["messages rejected: " + words(why), count(n), true]);
  rows.push(["judged of announced, last 10 s", l.announced ? (100 * s.coverage).toFixed(1) + " %" : "–"]);
  rows.push(["age when judged, 99 %", l.judged ? few(s.frame_age_p99_ms) + " ms" : "–"]);
  facts(at("frames"), rows);
}

// What nobody has judged may be true or false: both ends are told, and the interval from the lower to the upper one.
function realised({fewest, most}) {
  const rates = [fewest, most].map(one => few(one.per_hour, 2)), top = most.high === null ? "?" : few(most.high, 2);
  return (rates[0] === rates[1] ? rates[0] : rates.join(" to ")) + " (" + few(fewest.low, 2) + " to " + top + ")";
}

export function showPromise(s) {
  const p = s.promise;
  at("promised").hidden = !p && !s.drift && !s.layers;
  const rows = [];
  if (p) {
    const sure = p.conservative ? ", with 90 % confidence" : " on average";
    at("pledge").textContent = "At most one false alarm in " + span(3600 / p.per_hour) + " of judged frames" + sure + ".";
    const o = p.overall;
    rows.push(["so far it is", o.judgement, o.judgement === "broken"]);
    rows.push(["false alarms an hour, 90 % interval", realised(o)]);
    rows.push(["events: true, false, unknown", [o.true, o.false, o.unknown].map(count).join(", ")]);
    if (s.calibrated_t_ns) rows.push(["limits set", moment(s.calibrated_t_ns) + ", " + span((s.t_ns - s.calibrated_t_ns) / 1e9) + " ago"]);
    rows.push(["judged since then", span(3600 * o.hours)]);
    rows.push(["clean frames that set them", span(3600 * p.calibration_hours)]);
    rows.push(p.extrapolated_by > 1 ? ["extrapolated by", "× " + few(Math.ceil(100 * p.extrapolated_by) / 100), true] : ["extrapolated", "no"]);
    if (p.rate_apart) rows.push(["frames a second: judged, counted as one", [p.judged_rate_hz, p.rate_hz].map(r => few(r)).join(", "), true]);
    if (p.stops) {
      const t = p.stops;
      rows.push(["false stops: one in", span(3600 / t.per_hour) + " (" + t.overall.judgement + ")", t.overall.judgement === "broken"]);
      rows.push(["false stops an hour, 90 % interval", realised(t.overall)]);
    }
    rows.push(["blocks kept for new limits", count(p.blocks)]);
  } else at("pledge").textContent = "";
  if (s.layers) {
    const l = s.layers, name = (l.layered ? "layers" : "windows") + " out of control, this job";
    rows.push([name, count(l.out_of_control) + " of " + count(l.charted), l.out_of_control > 0]);
  }
  if (s.drift) rows.push(["drift since calibration", s.drift.evidence >= 1 ? s.drift.why : "none shown", s.drift.evidence >= 1]);
  facts(at("promise"), rows);
}
