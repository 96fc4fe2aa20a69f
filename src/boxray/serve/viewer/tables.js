/** The tables: in words and numbers what the picture shows, at the same threshold. */

function swatch(look) {
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  for (const [name, value] of Object.entries({class: 'bx-swatch-line', viewBox: '0 0 26 6', 'aria-hidden': 'true'}))
    line.setAttribute(name, value);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  const drawn = {d: 'M0 3H26', stroke: look.colour, 'stroke-width': '3', 'stroke-dasharray': look.dash.join(' ')};
  for (const [name, value] of Object.entries(drawn)) path.setAttribute(name, value);
  line.append(path);
  return line;
}

function named(look, words) {
  return [swatch(look), make('b', {class: 'bx-letter'}, look.letter), ` ${words.finding(look)}`];
}

/** All findings, with a switch for the boxes of each. */
function findingsTable(film, words) {
  const {setup, said, state} = film;
  const heads = ['table.finding', 'table.detector', 'table.best', 'table.score_and_threshold', 'table.agreement'];
  const labels = heads.map((key) => words.say(key));
  const body = rowsAt(said, setup.findings, state.threshold).map((row) => {
    const look = film.looks[row.key], name = words.finding(look);
    const cell = (number, ...said) => make('td', {'data-label': labels[number]}, ...said);
    const toggle = make('input', {
      type: 'checkbox', checked: !state.hidden.has(row.key), 'data-shown': row.key,
      'aria-label': words.say('viewer.show_finding', {finding: name}),
    });
    const label = make('label', {class: 'bx-named'}, toggle, ...named(look, words));
    return make('tr', {class: `bx-${row.state.replace('_', '-')}`, 'data-finding': row.key},
      make('th', {scope: 'row'}, label),
      cell(1, make('span', {class: 'bx-state'}, words.say(`table.${row.state}`, {n: row.count}))),
      cell(2, bestWords(row, words)), cell(3, ...scoreCell(row, words)), cell(4, agreementWords(row, words)));
  });
  return make('table', {class: 'bx-findings'}, make('caption', {}, words.say('table.findings')),
    make('thead', {}, make('tr', {}, ...labels.map((label) => make('th', {scope: 'col'}, label)))),
    make('tbody', {}, ...body));
}

function bestWords(row, words) {
  if (row.state === 'not_assessed') return words.say('table.not_assessed');
  if (row.best === null) return words.say('table.none');
  if (row.state === 'boxed' || row.least === null) return scoreWords(row.best);
  const [score, threshold] = apartWords(row.best, row.least);
  return words.say('table.below', {score, threshold});
}

function scoreCell(row, words) {
  if (row.score === null) return [words.say('table.not_assessed')];
  const mark = row.leastScore === null ? null : make('i', {style: `left:${100 * row.leastScore}%`});
  const bar = make('span', {class: 'bx-bar', 'aria-hidden': 'true'}, make('b', {style: `width:${100 * row.score}%`}), mark);
  const [score, least] = row.leastScore === null ? [scoreWords(row.score), ''] : apartWords(row.score, row.leastScore);
  const side = row.leastScore === null ? '' : `${row.score >= row.leastScore ? '≥' : '<'} ${least}`;
  return [make('span', {class: 'bx-score'}, score), bar, make('span', {class: 'bx-quiet'}, side)];
}

/** Every box that is seen, the reader's too, with what may be done with it. */
function boxesTable(film, words) {
  const shown = film.shown, own = film.annotations.boxes;
  if (!shown.length && !own.length) return make('p', {class: 'bx-none'}, words.say('table.empty'));
  const {selected} = film.state;
  const button = (act, key, {index, key: own}, pressed) => make('button', {
    type: 'button', 'data-act': act, 'data-index': index, 'data-key': own,
    'aria-pressed': pressed === undefined ? null : String(pressed),
  }, words.say(key));
  const place = (box) => box.map((edge) => edge.toFixed(0)).join(', ');
  const ofModel = shown.map((each) => {
    const said = film.annotations.of(each.index)?.action;
    return [each, selected?.index === each.index, scoreWords(each.score),
      said ? words.say(`viewer.was_${said}`) : words.say('viewer.unjudged'),
      [button('accept', 'viewer.accept', each, said === 'accepted'), button('reject', 'viewer.reject', each, said === 'rejected'),
        button('change', 'viewer.change', each)]];
  });
  const ofReader = own.map((each) => [each, selected?.key === each.key, words.say('viewer.yours'),
    words.say(`viewer.was_${each.action}`), [relabel(film, each, words), button('remove', 'viewer.remove', each)]]);
  const rows = [...ofModel, ...ofReader].map(([each, isSelected, score, verdict, acts]) =>
    make('tr', {class: isSelected ? 'bx-selected' : null},
      make('td', {}, make('button', {
        type: 'button', class: 'bx-pick', 'data-act': 'select', 'data-index': each.index, 'data-key': each.key,
        'aria-pressed': String(isSelected),
      }, each.id)),
      make('th', {scope: 'row'}, ...named(film.looks[each.finding], words)),
      make('td', {'data-label': words.say('table.box_score')}, score),
      make('td', {'data-label': words.say('table.place'), class: 'bx-place'}, place(each.box)),
      make('td', {'data-label': words.say('viewer.verdict')}, verdict),
      make('td', {class: 'bx-acts'}, ...acts)));
  const heads = ['table.box', 'table.finding', 'table.box_score', 'table.place', 'viewer.verdict', 'viewer.your_word'];
  return make('table', {class: 'bx-boxes'}, make('caption', {}, words.say('table.boxes')),
    make('thead', {}, make('tr', {}, ...heads.map((key) => make('th', {scope: 'col'}, words.say(key))))),
    make('tbody', {}, ...rows));
}

function relabel(film, each, words) {
  const options = film.setup.findings.map((look) =>
    make('option', {value: look.key, selected: look.key === each.finding}, words.finding(look)));
  return make('select', {'data-relabel': each.key, 'aria-label': words.say('viewer.relabel', {box: each.id})}, ...options);
}

/** What the models do not assess, what the lung fields give, which weights spoke, how the pixels were made. */
function factsOf(said, setup, words) {
  const looks = Object.fromEntries(setup.findings.map((each) => [each.key, each])), {reading} = said, lines = [];
  for (const [role, keys] of Object.entries(reading.not_assessed)) {
    const findings = keys.filter((key) => key in looks).map((key) => words.finding(looks[key])).join(', ');
    if (findings) lines.push(make('p', {class: 'bx-silence'}, words.say('table.silence', {model: words.say(`role.${role}`), findings})));
  }
  const ratio = reading.chest?.cardiothoracic_ratio;
  if (ratio) lines.push(make('p', {}, words.say('viewer.ratio', {ratio: ratio.toFixed(2)})));
  lines.push(make('p', {class: 'bx-quiet'}, words.say('viewer.map_note')));
  const models = Object.entries(reading.models).map(([role, model]) =>
    `${words.say(`role.${role}`)} ${model.name} ${model.version} (${model.sha256.slice(0, 12)})`);
  lines.push(make('p', {class: 'bx-quiet'}, [...models, ...reading.notes].join('; ')));
  return lines;
}

/** Code and reason of a file that gives no result. */
function refusalOf(row, words) {
  const meaning = words.refusal(row.code);
  return make('div', {class: 'bx-refusal', role: 'alert'},
    make('p', {class: 'bx-title'}, `${words.say(row.status === 'failed' ? 'refused.failed' : 'refused.title')}: `,
      make('code', {}, row.code)),
    make('p', {}, meaning),
    row.reason && row.reason !== meaning ? make('p', {class: 'bx-quiet', lang: 'en'}, row.reason) : null,
    make('p', {}, words.say('refused.silence')));
}
