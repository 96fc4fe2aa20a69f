/** Where the film lies in a part of the canvas. Film coordinates: pixels, (0, 0) at the outer corner of the top left. */

const MOST_ZOOM = 24;

/** @typedef {{left: number, top: number, width: number, height: number}} Pane in pixels of the page
 *  @typedef {{zoom: number, x: number, y: number}} View zoom 1 shows all of the film; x, y is the film's point in the
 *  middle, in shares of its size */

function freshView() { return {zoom: 1, x: 0.5, y: 0.5}; }

/** Pixels of the page per pixel of the film. */
function scaleOf(view, pane, film) {
  return view.zoom * Math.min(pane.width / film.width, pane.height / film.height);
}

function toPage(view, pane, film, x, y) {
  const scale = scaleOf(view, pane, film);
  return {x: pane.left + pane.width / 2 + (x - view.x * film.width) * scale,
          y: pane.top + pane.height / 2 + (y - view.y * film.height) * scale};
}

function toFilm(view, pane, film, x, y) {
  const scale = scaleOf(view, pane, film);
  return {x: view.x * film.width + (x - pane.left - pane.width / 2) / scale,
          y: view.y * film.height + (y - pane.top - pane.height / 2) / scale};
}

/** Keep the film in sight: where all of a side is seen it stays in the middle. */
function settled(view, pane, film) {
  const zoom = bounded(view.zoom, 1, MOST_ZOOM), scale = scaleOf({zoom}, pane, film);
  const middle = (share, side, room) => {
    const half = room / 2 / (side * scale);
    return half >= 0.5 ? 0.5 : bounded(share, half, 1 - half);
  };
  return {zoom, x: middle(view.x, film.width, pane.width), y: middle(view.y, film.height, pane.height)};
}

/** Zoom so that the film's point under (x, y) stays there. */
function zoomedAt(view, pane, film, factor, x, y) {
  const before = toFilm(view, pane, film, x, y);
  const next = {...view, zoom: bounded(view.zoom * factor, 1, MOST_ZOOM)};
  const after = toFilm(next, pane, film, x, y);
  next.x += (before.x - after.x) / film.width;
  next.y += (before.y - after.y) / film.height;
  return settled(next, pane, film);
}

function movedBy(view, pane, film, right, down) {
  const scale = scaleOf(view, pane, film);
  return settled({...view, x: view.x - right / scale / film.width, y: view.y - down / scale / film.height}, pane, film);
}

/** The panes of a layout. `swipe` is where the divider stands, in shares of the width. */
function panesOf(layout, width, height, swipe) {
  const whole = {left: 0, top: 0, width, height};
  if (layout === 'side') {
    const half = (width - 6) / 2;
    return [{pane: {...whole, width: half}, clip: null, what: 'boxes'},
            {pane: {...whole, left: half + 6, width: half}, clip: null, what: 'map'}];
  }
  if (layout === 'swipe') {
    const at = Math.round(swipe * width);
    return [{pane: whole, clip: {...whole, width: at}, what: 'boxes'},
            {pane: whole, clip: {...whole, left: at, width: width - at}, what: 'map'}];
  }
  return [{pane: whole, clip: null, what: layout}];
}
