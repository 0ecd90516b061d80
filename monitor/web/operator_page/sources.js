// What an alarm says, in a sentence, and of which frames: of a chart, of a rate, of the camera, or of the monitoring itself.

import {count, few, many, ratio, words} from "./dom.js";

const FAULTS = {frozen: "the camera sends the same picture again and again", saturated: "much of the picture is at full scale",
  dark: "there is no picture, though the process is on", rows_missing: "rows of the picture are empty"};
const SERVICE = {blind: "no frame comes, and no keep-alive", stale: "the calibration no longer holds", uncalibrated: "no calibration fits what the camera sends",
  degraded: "frames are lost, or a part of the monitoring fails", flood: "more alarms than a person can read", new_kind: "a kind of anomaly that was not there before"};
const OTHERS = {exceedance_rate: "more frames than usual over the warning limit in a layer or window", stop: "so far out that the machine is to stop"};
const OVER = {exceedance_rate: "over the warning limit", stop: "over the stop limit"};

export const isFault = alarm => alarm.source in FAULTS;
export const isAboutFrames = alarm => !(alarm.source in SERVICE);

export function sentence(alarm) {
  const {source, why} = alarm;
  if (isFault(alarm)) return `camera fault: ${words(source)}, ${many(alarm.frames_over, "frame")}` + (why ? "; " + why : "");
  return why || SERVICE[source] || OTHERS[source] || "chart " + words(source) + " over its limit";
}

// What stands beside the limit is of the peak frame, but for a rate: that is of all frames of a layer or window.
export function peakOf({source, peak}) {
  const beside = few(peak.score) + " of " + few(peak.limit) + ", " + ratio(peak.ratio);
  return source === "exceedance_rate" ? ["rate", beside + "; the worst frame is " + peak.seq] : ["peak", beside + ", frame " + peak.seq];
}

export function framesOf(alarm) {
  const what = isFault(alarm) ? "with this fault" : OVER[alarm.source] || "over the limit";
  return alarm.first_seq === alarm.last_seq ? `${alarm.first_seq}, ${what}` : `${alarm.first_seq} to ${alarm.last_seq}, ${count(alarm.frames_over)} ${what}`;
}

// What is shown may be another frame than the one meant, and the frame alone.
export function noteOf(alarm, picture) {
  const [which, meant] = alarm.peak ? ["the peak", alarm.peak.seq] : ["the first", alarm.first_seq];
  const other = picture.seq === meant ? "" : `This is frame ${picture.seq}: ${which}, frame ${meant}, is not to be had any more.`;
  if (picture.ratio !== null) return other;
  const why = isFault(alarm) ? `Not judged: ${FAULTS[alarm.source]}.` : "Shown as it was recorded: the bundle of now is for other frames.";
  return [why, other].filter(Boolean).join(" ");
}
