// A layer as a picture of the part: from cells that hold frames to pixels. Nothing here knows of the page.

// Dark blue to grey below the limit, amber to white above: told apart by lightness alone, whichever colours one sees.
const STOPS = [[0, [24, 46, 84]], [0.5, [54, 88, 122]], [0.999, [132, 142, 150]], [1, [240, 150, 50]], [2, [252, 205, 90]], [5, [255, 250, 235]]];
const WITHIN = [25, 29, 34], EDGE = [112, 124, 136];  // of the part, where this layer has no frame (yet); and its outline
const NONE = -1;  // no score is negative
const FINE_PX = 320, AROUND = [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]];
const FEWEST = 12;  // of so few cells nobody knows how far apart they usually are
const USUAL = 0.75, ALONE = 3;  // the share of gaps that are closed; and how many of them away a cell is by itself

export function colour(value) {
  const above = STOPS.findIndex(([at_]) => at_ >= value);
  if (above < 0) return STOPS.at(-1)[1];
  if (above === 0) return STOPS[0][1];
  const [[a, from], [b, to]] = [STOPS[above - 1], STOPS[above]], part = (value - a) / (b - a);
  return from.map((channel, i) => Math.round(channel + part * (to[i] - channel)));
}

// A board is a grid with empty cells around it, so that what is drawn larger has room.
function board(values, rows, columns, pad) {
  const width = columns + 2 * pad, height = rows + 2 * pad, cells = new Float32Array(width * height).fill(NONE);
  for (let row = 0; row < rows; row++) {
    // y grows upwards on the plate, and downwards on the screen
    for (let column = 0; column < columns; column++) cells[(pad + rows - 1 - row) * width + pad + column] = values[row * columns + column] ?? NONE;
  }
  return {width, height, cells};
}

// Each cell becomes the most of those at most *reach* away: no spike vanishes. Along one axis, then the other.
function most({width, height, cells}, reach) {
  const along = (from, step, count, other, turns) => {
    const to = new Float32Array(from.length);
    for (let turn = 0; turn < turns; turn++) {
      for (let i = 0; i < count; i++) {
        let found = -Infinity;
        for (let j = Math.max(0, i - reach); j <= Math.min(count - 1, i + reach); j++) found = Math.max(found, from[turn * other + j * step]);
        to[turn * other + i * step] = found;
      }
    }
    return to;
  };
  return {width, height, cells: reach ? along(along(cells, 1, width, width, height), width, height, 1, width) : cells};
}

// How far it is to the next cell with frames: right, left, below, above, each within a right angle; none: nothing near.
function gaps({width, height, cells}, at, furthest) {
  const x0 = at % width, y0 = Math.floor(at / width), holds = (x, y) => x >= 0 && y >= 0 && x < width && y < height && cells[y * width + x] !== NONE;
  const found = [];
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    search: for (let far = 1; far <= furthest; far++) {
      for (let aside = -far; aside <= far; aside++) {
        if (!holds(x0 + dx * far + dy * aside, y0 + dy * far + dx * aside)) continue;
        found.push(far);
        break search;
      }
    }
  }
  return found;
}

// Positions say where frames are, not how far they reach: so far that a scan, whatever its pitch, is a closed area.
// A cell by itself is drawn as large as it takes to be seen.
function reaches(given, side) {
  const furthest = Math.ceil(side / 8), seen = Math.round(side / 64);
  const filled = [...given.cells.keys()].filter(at => given.cells[at] !== NONE), apart = filled.map(at => gaps(given, at, furthest));
  const widest = apart.filter(one => one.length).map(one => Math.max(...one)).sort((a, b) => a - b);
  if (filled.length < FEWEST || !widest.length) return {reach: seen, seen, alone: []};
  const usual = widest[Math.floor(USUAL * (widest.length - 1))], reach = usual > 1 ? Math.ceil(usual / 2) : 0;
  return {reach, seen: Math.max(reach, seen), alone: filled.filter((_, i) => !(Math.min(...apart[i]) <= ALONE * usual))};
}

// What lies in clefts no wider than twice *reach*, and nothing else: cells that grow so far and shrink again.
function clefts(given, reach) {
  const grown = most(given, reach), turned = most({...grown, cells: grown.cells.map(one => -one)}, reach);
  return turned.cells.map((one, at) => given.cells[at] === NONE ? -one : NONE);
}

function over(given, more) {
  more.forEach((value, at) => { if (value > given.cells[at]) given.cells[at] = value; });
}

function closed(given, side) {
  const {reach, seen, alone} = reaches(given, side), drawn = {...given, cells: most(given, reach).cells.slice()};
  over(drawn, clefts(drawn, Math.max(1, reach)));
  const single = {...given, cells: new Float32Array(given.cells.length).fill(NONE)};
  for (const at of alone) single.cells[at] = given.cells[at];
  if (alone.length) over(drawn, most(single, seen).cells);
  return {drawn, reach};
}

// Where the part is: wherever a cell is drawn in one of the layers.
function ground(layers) {
  const part = {...layers[0].drawn, cells: layers[0].drawn.cells.slice()};
  for (const {drawn} of layers) over(part, drawn.cells);
  over(part, clefts(part, Math.max(1, ...layers.map(one => one.reach))));
  return part.cells.map(one => one !== NONE ? 1 : 0);
}

// Pictures of grids that lie on one lattice, all with the outline of what they show together: *side* cells wide and
// high, of which *margin* are on each end of the grid's longer side.
export function pictures(grids, rows, columns) {
  const longest = Math.max(rows, columns), furthest = Math.ceil(longest / 16), margin = furthest + 1, pad = margin + 2 * furthest;
  const layers = grids.map(values => closed(board(values, rows, columns, pad), longest)), part = ground(layers);
  const side = longest + 2 * margin, [left, top] = [columns, rows].map(count => pad - margin - Math.floor((longest - count) / 2));
  const frame = {side, left, top, width: columns + 2 * pad, height: rows + 2 * pad};
  return {side, margin, reach: layers.map(one => one.reach), images: layers.map(one => picture(one.drawn.cells, part, frame))};
}

// Cells are drawn several pixels wide, so that the outline is a fine line whatever the grid.
function picture(cells, part, {side, left, top, width, height}) {
  const scale = Math.max(1, Math.round(FINE_PX / side)), fine = Math.ceil(scale / 4), wide = side * scale, image = new ImageData(wide, wide);
  const cell = (x, y) => {
    const column = left + Math.floor(x / scale), row = top + Math.floor(y / scale);
    return column < 0 || row < 0 || column >= width || row >= height ? -1 : row * width + column;
  };
  const hues = Array.from(cells, (value, at) => value !== NONE ? colour(value) : part[at] ? WITHIN : null);
  const beside = (x, y) => AROUND.some(([dx, dy]) => part[cell(x + dx * fine, y + dy * fine)]);
  for (let y = 0; y < wide; y++) {
    for (let x = 0; x < wide; x++) {
      const hue = hues[cell(x, y)] ?? (beside(x, y) ? EDGE : null);
      if (hue) image.data.set([...hue, 255], 4 * (y * wide + x));
    }
  }
  return image;
}
