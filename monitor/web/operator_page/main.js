// The page: one stream from the daemon, and a panel for each thing that it tells of.

import {refreshAlarms, showAlarms} from "./alarms.js";
import {addScores, noteAlarms, prepareCharts, refreshHistory, renewHistory} from "./charts.js";
import {showFrames, showPromise} from "./frames.js";
import {prepareHeader, showLost, showState} from "./header.js";
import {listen} from "./keys.js";
import {renewKinds, refreshKinds} from "./kinds.js";
import {prepareMap, refreshMap} from "./map.js";
import {showAge, showLive} from "./pictures.js";
import {whenChanged} from "./sheet.js";

const PATIENCE_MS = 3500, LOOK_MS = 500, AGAIN_MS = 1500;
let heard_ms = 0, stream = null, opened_ms = 0, latest = null, version = null;

function show(status) {
  heard_ms = Date.now();
  version ??= status.version;
  // Another version of the daemon has another page; who is typing ends first.
  if (status.version !== version && !document.querySelector("dialog[open]")) location.reload();
  latest = status;
  showLost(null);
  showState(status);
  showFrames(status);
  showPromise(status);
  showAge(status);
  showAlarms(status);
  noteAlarms(status);
  refreshKinds();
  refreshMap();
}

function open() {
  stream?.close();
  opened_ms = Date.now();
  stream = new EventSource("api/v1/live");
  stream.addEventListener("open", renewHistory);
  stream.addEventListener("status", event => show(JSON.parse(event.data)));
  stream.addEventListener("scores", event => addScores(JSON.parse(event.data)));
  stream.addEventListener("frame", event => showLive(JSON.parse(event.data)));
}

// A connection may hang without an error: what counts is when something was last heard.
function look() {
  const silent_ms = Date.now() - (heard_ms || opened_ms);
  if (silent_ms > PATIENCE_MS) {
    showLost(heard_ms);
    if (Date.now() - opened_ms > PATIENCE_MS + AGAIN_MS) open();
  } else if (heard_ms) refreshHistory();
}

prepareHeader();
prepareCharts();
prepareMap();
listen();
whenChanged(() => {
  refreshAlarms();
  if (latest) showAlarms(latest);
  renewKinds();
});
open();
setInterval(look, LOOK_MS);
