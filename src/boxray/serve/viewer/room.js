/** The page Read: files in, a worklist, the film with its tables, downloads. */

const SIDE_FROM_PX = 900, NARROW_PX = 760, STORE = 'boxray';

class Room {
  /** @param {HTMLElement} root  @param {Object} setup from `boxray/serve/viewer/__init__.py`  @param {Words} words
   *  @param {Door} door */
  constructor(root, setup, words, door) {
    this.root = root;
    this.setup = setup;
    this.words = words;
    this.list = new Worklist(door, (row) => this.listChanged(row), (row) => row === this.wanted);
    this.annotations = new Annotations(() => this.annotated());
    this.film = new Film(setup, words, this.annotations, () => this.renderFilm());
    this.door = door;
    /** @type {Row|null} */
    this.row = null;
    /** @type {Row|null} the row that is opened as soon as there is anything of it */
    this.wanted = null;
    this.mayGo = false;  // whether somebody agreed that the page, and all that is on it, goes
    this.readFirst = kept('readFirst') === 'yes';
    this.reader = kept('reader') ?? '';
    this.film.state.layout = window.innerWidth >= SIDE_FROM_PX ? 'side' : 'boxes';
    this.build();
    this.render();
  }

  // What stands on the page

  build() {
    const {words, setup} = this;
    this.toolbar = new Toolbar(this.film, words, this.actions());
    this.toolbar.find('[data-set=reader]').value = this.reader;
    const pick = (attributes) => make('input', {type: 'file', multiple: true, hidden: true, ...attributes,
      onchange: (event) => { this.bring([...event.target.files]); event.target.value = ''; }});
    const files = pick({class: 'bx-files'}), folder = pick({class: 'bx-folder', webkitdirectory: true});
    const opening = (key, input) => make('button', {type: 'button', class: 'bx-open', onclick: () => input.click()}, words.say(key));
    this.drop = make('section', {class: 'bx-drop', 'aria-label': words.say('viewer.bring')},
      make('h1', {class: 'bx-heard'}, `boxray: ${words.say('viewer.bring')}`), make('p', {class: 'bx-drop-words'}, words.say('viewer.drop')), files, folder,
      make('div', {class: 'bx-tools'}, opening('viewer.open_files', files),
        'webkitdirectory' in files ? opening('viewer.open_folder', folder) : null,
        ...(setup.examples.length ? [make('span', {class: 'bx-quiet bx-example'}, words.say('viewer.examples'))] : []),
        ...setup.examples.map((name, number) => make('button', {
          type: 'button', id: `example-${number}`, class: 'bx-example', onclick: () => this.opened(this.list.bringExample(number, name)),
        }, name.replace(/\.[^.]+$/, '')))));
    this.progress = make('div', {class: 'bx-progress'});
    this.rows = make('ol', {class: 'bx-rows'});
    this.worklist = make('section', {class: 'bx-worklist', 'aria-label': words.say('viewer.worklist'), hidden: true},
      make('h2', {}, words.say('viewer.worklist')), this.progress, this.rows, make('p', {class: 'bx-quiet bx-rule'}),
      make('div', {class: 'bx-tools'},
        make('button', {type: 'button', onclick: () => this.step(-1)}, words.say('viewer.previous'), make('kbd', {}, 'P')),
        make('button', {type: 'button', onclick: () => this.step(1)}, words.say('viewer.next'), make('kbd', {}, 'N'))));
    this.thresholds = this.thresholdControls();
    this.status = make('p', {class: 'bx-file', 'aria-live': 'polite'});
    this.refusal = make('div');
    this.captions = make('div', {class: 'bx-captions'});
    this.warning = make('p', {class: 'bx-warning'}, make('b', {}, words.say('disclaimer')), ' ', make('span', {}, words.say('banner.caution')));
    this.revealing = make('div', {class: 'bx-reveal'}, make('p', {}, words.say('viewer.read_first_now')),
      make('button', {type: 'button', 'data-act': 'reveal', onclick: () => this.actions().reveal()}, words.say('viewer.reveal'), make('kbd', {}, 'H')));
    this.stage = make('div', {class: 'bx-stage'}, this.toolbar.looking, this.toolbar.help, this.captions, this.film.canvas,
      this.revealing, this.warning, this.thresholds, this.toolbar.sliders, this.toolbar.marking);
    this.tables = make('div', {class: 'bx-tables'});
    this.saving = make('p', {class: 'bx-saving', 'aria-live': 'polite'});
    const save = (kind) => make('button', {type: 'button', id: `download-${kind}`, onclick: () => this.save(kind)}, words.say(`viewer.save_${kind}`));
    this.downloads = make('div', {class: 'bx-tools bx-downloads', role: 'group', 'aria-label': words.say('viewer.save')},
      ...setup.downloads.map(save));
    this.result = make('section', {class: 'bx-result', hidden: true, 'aria-label': words.say('viewer.film')}, this.stage, this.tables);
    this.root.replaceChildren(make('div', {class: 'bx-room'}, this.drop,
      make('div', {class: 'bx-work'}, this.worklist, make('div', {class: 'bx-main'}, this.status, this.refusal, this.result, this.downloads, this.saving))));
    this.listen();
  }

  thresholdControls() {
    const {words, setup} = this, radio = (value, key) => make('label', {},
      make('input', {type: 'radio', name: 'bx-thresholds', value, checked: value === 'stored'}), words.say(key));
    this.slider = make('input', {type: 'range', min: setup.lowest, max: 0.95, step: 0.01, value: 0.25, id: 'threshold', 'aria-label': words.say('viewer.one')});
    this.said = make('output', {for: 'threshold'});
    const first = make('input', {type: 'checkbox', id: 'read-first', checked: this.readFirst});
    const box = make('div', {class: 'bx-tools bx-thresholds', role: 'group', 'aria-label': words.say('viewer.thresholds')},
      make('span', {}, words.say('viewer.thresholds')), radio('stored', 'viewer.stored'), radio('one', 'viewer.one'), this.slider, this.said,
      make('label', {class: 'bx-first'}, first, words.say('viewer.read_first')));
    box.addEventListener('input', ({target}) => {
      if (target === first) { this.setReadFirst(first.checked); return; }
      if (target === this.slider) box.querySelector('[value=one]').checked = true;
      const one = box.querySelector('[value=one]').checked;
      this.film.update({threshold: one ? Number(this.slider.value) : null});
    });
    return box;
  }

  // Hands

  listen() {
    const {root, drop} = this;
    for (const name of ['dragover', 'dragenter']) root.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add('bx-over');
    });
    for (const name of ['dragleave', 'drop']) root.addEventListener(name, () => drop.classList.remove('bx-over'));
    root.addEventListener('drop', async (event) => {
      event.preventDefault();
      this.bring(await dropped(event.dataTransfer));
    });
    this.tables.addEventListener('click', ({target}) => this.tableAct(target.closest('[data-act]')));
    this.tables.addEventListener('input', ({target}) => this.tableSet(target));
    this.rows.addEventListener('click', ({target}) => {
      const key = Number(target.closest('[data-row]')?.dataset.row);
      const row = this.list.rows.find((each) => each.key === key);
      if (!row) return;
      if (target.closest('[data-act=drop]')) this.drop_(row);
      else this.open(row);
    });
    document.addEventListener('fullscreenchange', () => this.film.update({}));
    document.addEventListener('keydown', (event) => this.key(event));
    document.addEventListener('boxray-reload', (event) => {
      this.mayGo = !this.held || confirm(this.words.say('viewer.leave', {n: this.held}));
      if (!this.mayGo) event.preventDefault();
    });
    window.addEventListener('beforeunload', (event) => { if (this.held && !this.mayGo) event.preventDefault(); });
  }

  /** How many films a page that goes takes with it: their place in the worklist, and what was said of them. */
  get held() { return this.list.rows.filter((row) => !['refused', 'failed'].includes(row.status)).length; }

  key(event) {
    const {target} = event, typing = target.closest?.('input:not([type=radio], [type=range], [type=checkbox]), textarea, select');
    if (event.ctrlKey || event.metaKey || event.altKey || typing || !this.root.offsetParent) return;
    if (target === this.film.canvas && this.arrow(event)) { event.preventDefault(); return; }
    const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
    if (!act || !this.row || (!this.film.said && MARKING.includes(act))) return;
    event.preventDefault();
    if (act === 'draw' && event.shiftKey) this.film.drawInTheMiddle();
    else this.actions()[act]();
  }

  /** Arrows move the film; where a box is selected they move it, with Shift its right and lower edge. */
  arrow({key, shiftKey}) {
    const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[key];
    if (key === 'Enter' && this.film.state.mode === 'draw') { this.film.drawInTheMiddle(); return true; }
    if (!way || !this.film.picture) return false;
    const step = this.film.picture.width / 200;
    if (this.film.state.selected) this.film.reshape(shiftKey ? [false, false, way[0] !== 0, way[1] !== 0] : null, way[0] * step, way[1] * step);
    else this.film.pan(-40 * way[0], -40 * way[1]);
    return true;
  }

  actions() {
    const {film, annotations} = this, {state} = film;
    const withBox = (act) => { const box = film.selectedBox(); if (box) act(box); };
    return {
      overlay: () => (state.revealed ? film.update({overlay: !state.overlay}) : film.update({revealed: true, overlay: true})),
      reveal: () => film.update({revealed: !state.revealed, overlay: true}),
      invert: () => film.update({inverted: !state.inverted}),
      window: () => film.update({mode: state.mode === 'window' ? 'look' : 'window'}),
      larger: () => film.zoom(1.4),
      smaller: () => film.zoom(1 / 1.4),
      reset: () => film.update({view: freshView(), window: {...WHOLE_WINDOW}, inverted: false, opacity: 1, swipe: 0.5, hidden: new Set(), mode: 'look', selected: null}),
      full: () => (document.fullscreenElement ? document.exitFullscreen() : this.stage.requestFullscreen()),
      layout: () => this.setLayout(LAYOUTS[(LAYOUTS.indexOf(state.layout) + 1) % LAYOUTS.length]),
      setLayout: (layout) => this.setLayout(layout),
      map: () => {
        const keys = this.row?.said?.map_findings ?? [];
        if (keys.length) film.update({finding: keys[(keys.indexOf(state.finding) + 1) % keys.length]});
      },
      box: () => film.step(1),
      boxBefore: () => film.step(-1),
      draw: () => { film.update({mode: state.mode === 'draw' ? 'look' : 'draw'}); film.canvas.focus({preventScroll: true}); },
      accept: () => withBox((box) => box.index !== undefined && annotations.judge(box, 'accepted')),
      reject: () => withBox((box) => box.index !== undefined && annotations.judge(box, 'rejected')),
      change: () => withBox((box) => { if (box.index !== undefined) film.update({selected: {key: annotations.change(box)}}); }),
      remove: () => withBox((box) => { if (box.key !== undefined) { state.selected = null; annotations.remove(box.key); } }),
      next: () => this.step(1),
      previous: () => this.step(-1),
      help: () => { this.toolbar.help.hidden = !this.toolbar.help.hidden; this.toolbar.render(); },
      quit: () => film.update({mode: 'look', selected: null}),
      reader: (name) => { this.reader = name; keep('reader', name); if (annotations.edits.length) this.tell(); },
    };
  }

  setLayout(layout) { this.film.update({layout, overlay: true}); }

  tableAct(button) {
    if (!button) return;
    const {index, key, act} = button.dataset;
    this.film.state.selected = key !== undefined ? {key: Number(key)} : {index: Number(index)};
    if (act === 'select') this.film.update({});
    else this.actions()[act]();
    const again = `[data-act=${act}]${key !== undefined ? `[data-key="${key}"]` : `[data-index="${index}"]`}`;
    this.tables.querySelector(again)?.focus({preventScroll: true});  // the table was made anew under the finger
  }

  tableSet({dataset, checked, value}) {
    if (dataset.shown) {
      const hidden = new Set(this.film.state.hidden);
      if (checked) hidden.delete(dataset.shown); else hidden.add(dataset.shown);
      this.film.update({hidden});
      this.tables.querySelector(`[data-shown="${dataset.shown}"]`)?.focus({preventScroll: true});
    }
    if (dataset.relabel) this.annotations.update(Number(dataset.relabel), {finding: value});
  }

  setReadFirst(on) {
    this.readFirst = on;
    keep('readFirst', on ? 'yes' : 'no');
    this.film.update({revealed: !on});
    this.renderList();
  }

  // Files

  bring(files) {
    const wanted = files.filter((file) => !file.name.startsWith('.') && file.name !== 'Thumbs.db' && file.name !== 'desktop.ini');
    if (wanted.length) this.opened(this.list.bring(wanted));
  }

  /** What was brought last is what somebody wants to see: its first film is opened when it is read. */
  opened([first]) {
    this.wanted = first;
    this.renderList();
  }

  listChanged(row) {
    this.renderList();
    if (!row) return;
    if (STILL.includes(row.status)) {
      if (row === this.wanted && row.picture) this.begin(row);
      if (row === this.wanted) this.renderStatus();
      return;
    }
    if (row === this.wanted) { this.wanted = null; this.open(row); }
    else if (row === this.row && row.status !== 'read') this.open(row);
  }

  step(by) {
    const rows = this.list.ordered(this.readFirst).filter((row) => !STILL.includes(row.status));
    const next = rows[rows.indexOf(this.row) + by];
    if (next) this.open(next);
  }

  drop_(row) {
    this.list.remove(row);
    if (row === this.wanted) this.wanted = null;
    if (row !== this.row) return;
    this.row = null;
    this.film.close();
    this.render();
  }

  /** Show the film of a row that the models still read. */
  begin(row) {
    this.row = row;
    this.annotations.edits = row.edits;
    this.film.state.revealed = !this.readFirst;
    this.result.hidden = false;  // so that the canvas has its size
    this.film.begin(row.picture);
    this.render();
    if (window.innerWidth <= NARROW_PX) this.status.scrollIntoView();  // there the film lies below all that stands before it
  }

  async open(row) {
    this.row = row;
    this.wanted = STILL.includes(row.status) ? row : null;
    this.renderList();
    if (row.status !== 'read') { this.film.close(); this.render(); return; }
    try {
      const picture = await this.list.picture(row);
      if (this.row !== row) return;  // somebody was faster
      this.annotations.edits = row.edits;
      this.annotations.next = Math.max(0, ...row.edits.map((edit) => edit.key)) + 1;
      this.film.state.revealed = !this.readFirst;
      this.result.hidden = false;  // so that the canvas has its size
      this.film.open(row.said, picture);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      Object.assign(row, {status: 'failed', code: error.code, reason: error.message});
      this.film.close();
    }
    this.render();
  }

  // Annotations

  annotated() {
    if (this.row) Object.assign(this.row, {edits: this.annotations.edits, untold: true});
    this.film.update({});
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell(), 400);
  }

  /** Tell the server what the reader said. @returns {Promise<void>} */
  async tell() {
    clearTimeout(this.telling);
    const {row} = this, reader = this.reader.trim() || this.words.say('viewer.nobody');
    if (row?.status !== 'read') return;
    row.untold = false;
    const told = () => this.door.ask('PUT', `cases/${row.id}/annotations`, JSON.stringify(this.annotations.told(reader)));
    try {
      await this.list.again(row, told);
      this.saving.textContent = this.words.say('viewer.kept', {n: row.edits.length});
    } catch (error) {
      row.untold = true;
      this.saving.textContent = `${this.words.say('viewer.not_kept')} ${this.words.refusal(error.code)}`;
    }
  }

  // Saving

  async save(kind) {
    const {row, film, words} = this, {threshold, finding} = film.state, query = new URLSearchParams();
    if (!row?.id && kind !== 'table') return;
    this.saving.textContent = words.say('viewer.saving');
    try {
      if (kind === 'table') {
        const cases = this.list.ordered(false).filter((each) => each.said).map((each) => each.id);
        await patient(() => this.door.save('POST', 'files/table', JSON.stringify({cases, min_score: threshold})));
      } else {
        if (row.untold) await this.tell();
        if (threshold !== null) query.set('min_score', threshold);
        if (finding) query.set('finding', finding);
        await this.list.again(row, () => this.door.save('GET', `cases/${row.id}/files/${kind}?${query}`));
      }
      this.saving.textContent = words.say('viewer.saved');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.saving.textContent = `${words.say('viewer.not_saved')} ${words.refusal(error.code)}`;
    }
  }

  // Showing

  render() {
    const {row} = this;
    this.renderList();
    this.renderStatus();
    this.result.hidden = !this.film.picture;
    this.drop.classList.toggle('bx-small', row !== null);
    this.refusal.replaceChildren(...(row && ['refused', 'failed'].includes(row.status) ? [refusalOf(row, this.words)] : []));
    this.downloads.hidden = !row;
    for (const button of this.downloads.children) {
      const kind = button.id.replace('download-', '');
      button.disabled = kind !== 'table' && !row?.said?.kinds.includes(kind);
    }
    this.renderFilm();
  }

  renderStatus() {
    const {row, words} = this, busy = this.wanted;
    const name = (each) => make('b', {}, each.name);
    if (busy) this.status.replaceChildren(name(busy), ` ${words.say(`viewer.is_${busy.status}`)}`);
    else if (!row) this.status.textContent = words.say('viewer.welcome');
    else if (row.status !== 'read') this.status.replaceChildren(name(row));
    else {
      const {width, height} = row.said.reading, n = boxesAt(row.said, this.film.state.threshold).length;
      const said = this.film.state.revealed ? words.say('viewer.n_boxes', {n}) : words.say('viewer.hidden');
      this.status.replaceChildren(name(row), ` ${width} × ${height} px, ${said}`);
    }
  }

  renderFilm() {
    if (!this.toolbar) return;
    const {film, words, row} = this, {state} = film;
    this.toolbar.render();
    this.said.textContent = state.threshold === null ? '' : scoreWords(state.threshold);
    this.stage.classList.toggle('bx-unread', !film.said);
    if (!film.picture || !row) return;
    this.renderStatus();
    this.revealing.hidden = state.revealed || !film.said;
    this.renderCaptions();
    const seen = film.said && state.revealed ? [findingsTable(film, words), boxesTable(film, words), ...factsOf(film.said, this.setup, words)] : [];
    this.tables.replaceChildren(...seen);
    film.canvas.setAttribute('aria-label', this.describe());
  }

  renderCaptions() {
    const {film, words} = this, {state} = film, shown = film.shown;
    const {layout} = state, scale = Math.round(100 * scaleOf(state.view, film.panes()[0].pane, film.picture) * window.devicePixelRatio);
    const windowed = words.say('viewer.window_now', {level: Math.round(100 * state.window.level), width: Math.round(100 * state.window.width), scale});
    const boxes = make('p', {}, make('b', {}, words.say('viewer.boxes_caption', {n: shown.length})), ` ${windowed}`);
    const parts = film.speaks && layout === 'map' ? [] : [boxes];
    if (!film.said) boxes.replaceChildren(make('b', {}, words.say('viewer.unread')), ` ${windowed}`);
    else if (!film.speaks) boxes.replaceChildren(make('b', {}, words.say('viewer.original')), ` ${windowed}`);
    if (film.speaks && layout !== 'boxes' && state.finding) {
      const row = rowsAt(film.said, this.setup.findings, state.threshold).find(({key}) => key === state.finding);
      const finding = words.finding(film.looks[state.finding]);
      const score = row.score === null ? '' : scoreWords(row.score);
      parts.push(make('p', {class: 'bx-map-caption'},
        make('b', {}, film.map ? words.say('viewer.map_caption', {finding, score}) : words.say('viewer.no_map', {finding})),
        film.map ? ` ${agreementWords(row, words)}. ${words.say('viewer.reference', {value: number(film.said.full)})}` : ''));
    }
    this.captions.className = `bx-captions bx-${layout}`;
    this.captions.replaceChildren(...parts);
  }

  /** The picture in a sentence, for those who hear it; the tables below say all of it. */
  describe() {
    const {film, words} = this;
    if (!film.said) return words.say('viewer.unread');
    if (!film.speaks) return words.say('viewer.describe_plain');
    const said = film.shown.map((each) => `${words.finding(film.looks[each.finding])} ${scoreWords(each.score)}`).join(', ');
    return words.say('viewer.describe', {boxes: said || words.say('table.none')});
  }

  renderList() {
    const {list, words} = this, n = list.rows.length;
    this.worklist.hidden = n < 1;
    this.worklist.querySelector('.bx-rule').textContent = words.say(this.readFirst ? 'viewer.rule_first' : 'viewer.rule');
    const working = list.done < n;
    this.progress.replaceChildren(
      working ? make('progress', {max: n, value: list.done, 'aria-label': words.say('viewer.progress')}) : '',
      make('span', {}, words.say('viewer.n_done', {n: list.done, all: n})));
    const active = document.activeElement?.closest?.('[data-row]')?.dataset.row;
    this.rows.replaceChildren(...list.ordered(this.readFirst).map((row) => this.rowOf(row)));
    if (active) this.rows.querySelector(`[data-row="${active}"] .bx-row`)?.focus({preventScroll: true});
  }

  rowOf(row) {
    const {words} = this, {said} = row;
    let state = words.say(`viewer.is_${row.status}`);
    if (row.status === 'sending' && row.progress > 0) state += ` ${Math.round(100 * row.progress)}%`;
    if (row.status === 'refused' || row.status === 'failed') state += `: ${words.refusal(row.code)}`;
    if (row.status === 'read' && !this.readFirst) {
      const boxes = boxesAt(said, null), first = boxes[0];
      const look = first && this.film.looks[first.finding];
      state = boxes.length ? `${words.finding(look)} ${scoreWords(first.score)}${boxes.length > 1 ? ` +${boxes.length - 1}` : ''}` : words.say('viewer.no_boxes');
    }
    if (row.edits.length) state += ` ✎${row.edits.length}`;
    return make('li', {'data-row': row.key, class: `bx-is-${row.status}`},
      make('button', {type: 'button', class: 'bx-row', 'aria-current': row === this.row ? 'true' : null},
        make('b', {}, row.name), make('span', {class: 'bx-quiet'}, state)),
      make('button', {type: 'button', class: 'bx-away', 'data-act': 'drop', 'aria-label': words.say('viewer.drop_row', {name: row.name})},
        make('span', {'aria-hidden': 'true'}, '×')));
  }
}

/** All files of a drop, those of folders too. @returns {Promise<File[]>} */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  const walk = async (entry) => {
    if (entry.isFile) { files.push(await new Promise((resolve, reject) => entry.file(resolve, reject))); return; }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const each of some) await walk(each);
    }
  };
  for (const entry of entries) await walk(entry);
  return files;
}

/** A choice that the browser remembers; where it may not, nothing is lost. */
function kept(name) { try { return localStorage.getItem(`${STORE}.${name}`); } catch { return null; } }
function keep(name, value) { try { localStorage.setItem(`${STORE}.${name}`, value); } catch { /* only a convenience */ } }

/** Put the page into an element. @returns {Room} */
function openRoom(element, setup) {
  const words = new Words(setup.words, document.documentElement.lang || navigator.language || 'en');
  const root = window.gradio_config?.root ?? new URL('.', document.baseURI).href;
  return new Room(element, setup, words, new Door(root.replace(/\/?$/, '/')));
}
