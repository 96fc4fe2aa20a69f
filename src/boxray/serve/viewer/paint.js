/** Drawing on the canvas: film, map, boxes with their labels. Sizes in pixels of the page. */

const DARK = 'rgba(0, 0, 0, 0.55)', PAPER = '#ececec', LABEL_PX = 13;

function paintFilm(context, picture, view, pane, film, quick) {
  const corner = toPage(view, pane, film, 0, 0), scale = scaleOf(view, pane, film);
  context.imageSmoothingEnabled = scale * window.devicePixelRatio < 4;  // beyond that its own pixels are looked at
  context.imageSmoothingQuality = quick ? 'low' : 'high';
  context.drawImage(picture, corner.x, corner.y, film.width * scale, film.height * scale);
}

function paintMap(context, picture, view, pane, film) {
  const corner = toPage(view, pane, film, 0, 0), scale = scaleOf(view, pane, film);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = 'low';  // bilinear, as the server enlarges maps
  context.drawImage(picture, corner.x, corner.y, film.width * scale, film.height * scale);
}

/** The line runs outside of the box, so that it hides nothing of what the box encloses; the dark keeps it visible.
 *  @param {{box: number[], colour: string, dash: number[], faint?: boolean, own?: boolean, selected?: boolean}} mark */
function paintBox(context, mark, view, pane, film) {
  const [x1, y1, x2, y2] = mark.box;
  const from = toPage(view, pane, film, x1, y1), to = toPage(view, pane, film, x2, y2), by = 1.5;
  const frame = (grown) => context.strokeRect(
    from.x - grown, from.y - grown, to.x - from.x + 2 * grown, to.y - from.y + 2 * grown);
  context.save();
  context.globalAlpha = mark.faint ? 0.45 : 1;
  context.lineWidth = mark.selected ? 6 : 4.5;
  context.strokeStyle = DARK;
  frame(by);
  context.lineWidth = mark.selected ? 3 : 2;
  context.strokeStyle = mark.colour;
  context.setLineDash(mark.dash);
  frame(by);
  if (mark.own) {  // a reader's box has a second, thin line round it
    context.setLineDash([]);
    context.lineWidth = 1;
    context.strokeStyle = PAPER;
    frame(by + 4);
  }
  if (mark.selected) {
    context.setLineDash([]);
    context.fillStyle = PAPER;
    for (const x of [from.x, (from.x + to.x) / 2, to.x])
      for (const y of [from.y, (from.y + to.y) / 2, to.y])
        if (!(x === (from.x + to.x) / 2 && y === (from.y + to.y) / 2)) context.fillRect(x - 3.5, y - 3.5, 7, 7);
  }
  context.restore();
}

/** Labels beside their boxes, each at the first place where it covers no other and stays in sight. */
function paintLabels(context, marks, view, pane, film) {
  context.save();
  context.font = `600 ${LABEL_PX}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  const taken = [], height = LABEL_PX + 8;
  for (const mark of marks) {
    const [x1, y1, x2, y2] = mark.box;
    const from = toPage(view, pane, film, x1, y1), to = toPage(view, pane, film, x2, y2);
    if (to.x < pane.left || from.x > pane.left + pane.width || to.y < pane.top || from.y > pane.top + pane.height) continue;
    const room = Math.max(60, pane.width - 12);
    const text = context.measureText(mark.label).width + 14 > room ? mark.short : mark.label;
    const width = context.measureText(text).width + 14;
    const place = [
      [from.x - 3, from.y - height - 5], [to.x - width + 3, from.y - height - 5], [from.x - 3, to.y + 5],
      [to.x - width + 3, to.y + 5], [to.x + 6, from.y], [from.x - width - 6, from.y], [from.x + 4, from.y + 4],
      [from.x + 4, from.y + 8 + height], [from.x + 4, from.y + 12 + 2 * height],
    ].map(([x, y]) => ({
      x: bounded(x, pane.left + 2, pane.left + pane.width - width - 2),
      y: bounded(y, pane.top + 2, pane.top + pane.height - height - 2), width, height,
    })).find((label) => !taken.some((other) => overlap(label, other)));
    if (!place) continue;  // the table has it
    taken.push(place);
    context.globalAlpha = mark.faint ? 0.75 : 1;
    context.fillStyle = 'rgba(17, 17, 17, 0.88)';
    context.fillRect(place.x, place.y, width, height);
    context.fillStyle = mark.colour;
    context.fillRect(place.x, place.y, 4, height);
    context.fillStyle = PAPER;
    context.fillText(text, place.x + 9, place.y + height / 2 + 1);
  }
  context.restore();
}

function overlap(one, other) {
  return one.x < other.x + other.width && other.x < one.x + one.width
    && one.y < other.y + other.height && other.y < one.y + one.height;
}

/** From nothing to full colour as it looks on a middle grey, with its raw values beside it. */
function paintColourBar(context, pane, colours, opacity, full, highest, words) {
  if (full <= 0) return;
  const height = Math.min(140, pane.height / 3), left = pane.left + pane.width - 22, top = pane.top + 34;
  context.save();
  for (let at = 0; at < height; at++) {
    const level = 1 - at / (height - 1);
    context.globalAlpha = 1;
    context.fillStyle = '#606060';
    context.fillRect(left, top + at, 12, 1.5);
    context.globalAlpha = opacity * level;
    context.fillStyle = colours[Math.round(255 * level)];
    context.fillRect(left, top + at, 12, 1.5);
  }
  context.globalAlpha = 1;
  context.font = '12px system-ui, sans-serif';
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  const write = (text, y, colour) => {
    const width = context.measureText(text).width;
    context.fillStyle = 'rgba(17, 17, 17, 0.75)';
    context.fillRect(left - width - 10, y - 8, width + 6, 16);
    context.fillStyle = colour;
    context.fillText(text, left - 7, y);
  };
  const reached = top + (1 - Math.min(highest / full, 1)) * (height - 1);
  if (Math.abs(reached - top) > 16) write(number(full), top, '#b0b0b0');
  if (Math.abs(reached - top - height) > 16) write('0', top + height, '#b0b0b0');
  context.fillStyle = PAPER;
  context.fillRect(left - 4, reached - 1, 20, 2);
  write(words.say('viewer.highest', {value: number(highest)}), reached, PAPER);
  context.restore();
}

/** Three significant digits, as in the pictures that are saved. */
function number(value) { return String(Number(value.toPrecision(3))); }
