/** Which boxes are seen, and what is said of each finding, at a threshold; no server is asked. */

const MOST_DIGITS = 6;

/** @typedef {{index: number, id: string, finding: string, score: number, box: number[]}} Shown */

/** Boxes that reach their threshold, numbered as a reading at this threshold numbers them.
 *  @param {Object} said what the server told of the radiograph  @param {number|null} threshold null: the stored ones
 *  @returns {Shown[]} */
function boxesAt(said, threshold) {
  const stored = said.reading.models.detector?.thresholds ?? {};
  return said.reading.detections
    .map((each, index) => ({index, finding: each.finding, score: said.scores[index], box: each.box_xyxy}))
    .filter((each) => each.score >= (threshold ?? stored[each.finding] ?? 0))
    .map((each, number) => ({...each, id: `d${number + 1}`}));
}

/** What both models say of each finding at a threshold: the rows of the table, in the label space's order. */
function rowsAt(said, findings, threshold) {
  const {reading} = said, shown = boxesAt(said, threshold);
  const silent = reading.not_assessed, models = reading.models;
  const isSilent = (role, key) => !(role in models) || (silent[role] ?? []).includes(key);
  return findings.map(({key}) => {
    const own = shown.filter((each) => each.finding === key);
    const all = said.scores.filter((_, index) => reading.detections[index].finding === key);
    const roles = ['detector', 'classifier'].filter((role) => isSilent(role, key));
    return {
      key,
      count: own.length,
      state: isSilent('detector', key) ? 'not_assessed' : own.length ? 'boxed' : 'no_box',
      best: all.length ? Math.max(...all) : null,
      least: threshold ?? models.detector?.thresholds[key] ?? null,
      score: reading.scores[key] ?? null,
      leastScore: models.classifier?.thresholds[key] ?? null,
      agreement: roles.length ? null : (said.by_boxes[key]?.[own.length] ?? null),
      silent: roles,
    };
  });
}

/** How far box and map agree, in words. */
function agreementWords(row, words) {
  if (row.agreement === null) {
    if (!row.silent.length) return words.say('agreement.none');
    const roles = row.silent.map((role) => words.say(`role.${role}`)).join(words.say('agreement.and'));
    return words.say('agreement.silent', {models: roles});
  }
  const {iou, pointing_hit: hit, energy_inside: energy} = row.agreement, numbers = [];
  if (iou !== null) numbers.push(`IoU ${iou.toFixed(2)}`);
  if (hit !== null) numbers.push(words.say(hit ? 'agreement.inside' : 'agreement.outside'));
  if (energy !== null) numbers.push(words.say('agreement.energy', {share: `${Math.round(100 * energy)}%`}));
  const said = words.say(`agreement.${row.agreement.case}`);
  return numbers.length ? `${said}: ${numbers.join(', ')}` : said;
}

/** Two digits, three where two would say little: a weak finding is probable in a few boxes of a hundred. */
function scoreWords(score) { return score >= 0.1 ? score.toFixed(2) : score.toFixed(3); }

/** A score and its threshold side by side, with more digits where both would look the same; as `told_apart` of
 *  `boxray/localization/page.py` writes them. @returns {[string, string]} */
function apartWords(score, least) {
  let said = [scoreWords(score), scoreWords(least)];
  for (let digits = 3; digits <= MOST_DIGITS && score !== least && Number(said[0]) === Number(said[1]); digits++)
    said = [score.toFixed(digits), least.toFixed(digits)];
  return said;
}

/** The smallest box round a point; `slack` in pixels of the film. */
function boxAt(boxes, point, slack) {
  const around = boxes.filter(({box: [x1, y1, x2, y2]}) =>
    point.x >= x1 - slack && point.x <= x2 + slack && point.y >= y1 - slack && point.y <= y2 + slack);
  const area = ({box: [x1, y1, x2, y2]}) => (x2 - x1) * (y2 - y1);
  return around.sort((one, other) => area(one) - area(other))[0] ?? null;
}

/** Which edges of a box are held at a point: [left, top, right, bottom] as true or false; null: none. */
function edgesAt([x1, y1, x2, y2], point, slack) {
  const near = (value, edge) => Math.abs(value - edge) <= slack;
  const inY = point.y >= y1 - slack && point.y <= y2 + slack, inX = point.x >= x1 - slack && point.x <= x2 + slack;
  const held = [inY && near(point.x, x1), inX && near(point.y, y1), inY && near(point.x, x2), inX && near(point.y, y2)];
  if (held[0] && held[2]) held[0] = false;
  if (held[1] && held[3]) held[1] = false;
  return held.some(Boolean) ? held : null;
}

const LEAST_SIDE_PX = 4;

/** Move the held edges of a box, or all of it, within the film. */
function reshaped([x1, y1, x2, y2], edges, right, down, film) {
  if (edges === null) {
    const dx = bounded(right, -x1, film.width - x2), dy = bounded(down, -y1, film.height - y2);
    return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
  }
  const [left, top, rightHeld, bottom] = edges;
  return [
    left ? bounded(x1 + right, 0, x2 - LEAST_SIDE_PX) : x1, top ? bounded(y1 + down, 0, y2 - LEAST_SIDE_PX) : y1,
    rightHeld ? bounded(x2 + right, x1 + LEAST_SIDE_PX, film.width) : x2,
    bottom ? bounded(y2 + down, y1 + LEAST_SIDE_PX, film.height) : y2,
  ];
}
