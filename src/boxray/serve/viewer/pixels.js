/** Pixels and maps as the server packed them (`boxray/serve/packing.py`), and the window that makes shades of them. */

/** @param {ArrayBuffer} packed @returns {Promise<Uint8Array>} */
async function inflated(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Undo the steps between the ranks of the values that occur; each row began at rank 0, byte 0 is a wider step.
 *  @returns {{width: number, height: number, pixels: Uint16Array}} 65535 is the densest shade */
function unpackedPixels(packed) {
  const [width, height, nValues, nFar] = new Uint32Array(packed, 0, 4);
  const values = new Uint16Array(packed, 16, nValues), far = new Uint16Array(packed, 16 + 2 * nValues, nFar);
  const steps = new Uint8Array(packed, 16 + 2 * (nValues + nFar)), pixels = new Uint16Array(width * height);
  for (let y = 0, at = 0, next = 0; y < height; y++)
    for (let x = 0, rank = 0; x < width; x++, at++) {
      const step = steps[at];
      rank = step ? (rank + step - 128) & 65535 : far[next++];
      pixels[at] = values[rank];
    }
  return {width, height, pixels};
}

/** @returns {Promise<Object<string, Uint16Array>>} finding -> shares of full colour, 65535 is all of it */
async function unpackedMaps(packed, findings, width, height) {
  const bytes = await inflated(packed), view = new DataView(bytes.buffer, bytes.byteOffset), maps = {};
  findings.forEach((finding, number) => {
    const map = maps[finding] = new Uint16Array(width * height);
    for (let at = 0, from = number * map.length; at < map.length; at++) map[at] = view.getUint16(2 * (from + at), true);
  });
  return maps;
}

/** The window: `level` is its middle and `width` its width, in shares of all shades. Left as it is, {0.5, 1}, it shows
 *  the shades that the file's own window gave. */
const WHOLE_WINDOW = Object.freeze({level: 0.5, width: 1});
const LEAST_WIDTH = 0.02;

function bounded(value, least, most) { return Math.min(most, Math.max(least, value)); }

function boundedWindow({level, width}) {
  return {level: bounded(level, 0, 1), width: bounded(width, LEAST_WIDTH, 2)};
}

/** One grey for each of the 65,536 values, as RGBA of a picture. @returns {Uint32Array} */
function shades({level, width}, inverted) {
  const table = new Uint32Array(65536), black = level - width / 2;
  for (let value = 0; value < 65536; value++) {
    let grey = Math.round(255 * bounded((value / 65535 - black) / width, 0, 1));
    if (inverted) grey = 255 - grey;
    table[value] = 0xff000000 | (grey << 16) | (grey << 8) | grey;  // little-endian: A, B, G, R
  }
  return table;
}

/** Presets from the picture's own shades: name -> window. `whole` is the file's; the others lie between percentiles. */
function presets(pixels) {
  const counts = new Uint32Array(65536);
  let total = 0;
  const step = Math.max(1, Math.floor(pixels.length / 500000));
  for (let at = 0; at < pixels.length; at += step)
    if (pixels[at] > 0) { counts[pixels[at]]++; total++; }  // 0 is the ground round the patient
  const at = (share) => {
    let sum = 0;
    for (let value = 0; value < 65536; value++) if ((sum += counts[value]) >= share * total) return value / 65535;
    return 1;
  };
  const between = (low, high) => boundedWindow({level: (at(low) + at(high)) / 2, width: at(high) - at(low)});
  return {
    whole: {...WHOLE_WINDOW}, full: between(0.005, 0.995), lung: between(0.02, 0.65), mediastinum: between(0.45, 0.999),
  };
}

/** A map as a picture: colour and opacity both grow with the level, at 0 there is nothing.
 *  @param {string[]} colours 256 of them, #RRGGBB, from weak to strong */
function mapPicture(map, width, height, colours, opacity) {
  const canvas = document.createElement('canvas');
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext('2d'), picture = context.createImageData(width, height);
  const rgb = colours.map((colour) => [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16)));
  for (let at = 0; at < map.length; at++) {
    const level = map[at] / 65535;
    picture.data.set(rgb[Math.round(255 * level)], 4 * at);
    picture.data[4 * at + 3] = Math.round(255 * opacity * level);
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}
