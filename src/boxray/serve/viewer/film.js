/** The film on a canvas: what is seen of it, and hands on it. Everything that is drawn follows from `state`. */

const SLACK_PX = 9, CLICK_PX = 4, OVERLAY_OPACITY = 0.55;

/** @typedef {'boxes'|'map'|'swipe'|'side'} Layout  @typedef {'look'|'window'|'draw'} Mode */

class Film {
  /** @param {Object} setup findings with their looks, colours of maps  @param {Words} words
   *  @param {Annotations} annotations  @param {() => void} changed called when `state` has changed */
  constructor(setup, words, annotations, changed) {
    this.setup = setup;
    this.words = words;
    this.annotations = annotations;
    this.changed = changed;
    this.looks = Object.fromEntries(setup.findings.map((each) => [each.key, each]));
    this.canvas = make('canvas', {class: 'bx-canvas', tabindex: '0', role: 'application'});
    this.said = null;
    this.picture = null;
    this.state = {
      window: {...WHOLE_WINDOW}, inverted: false, view: freshView(), layout: /** @type {Layout} */ ('boxes'), swipe: 0.5,
      opacity: 1, overlay: true, revealed: true, hidden: new Set(), threshold: null, finding: null,
      mode: /** @type {Mode} */ ('look'), selected: null,
    };
    this.pointers = new Map();
    this.held = null;
    this.asked = false;
    this.listen();
    new ResizeObserver(() => this.paintSoon()).observe(this.canvas);
  }

  /** Show a radiograph of which nothing is said yet.
   *  @param {{width: number, height: number, pixels: Uint16Array, maps: Object<string, Uint16Array>}} picture */
  begin(picture) {
    const {width, height} = picture;
    this.said = null;
    this.picture = {...picture, canvas: document.createElement('canvas'), mapCanvas: null};
    Object.assign(this.picture.canvas, {width, height});
    this.windows = presets(picture.pixels);
    Object.assign(this.state, {
      window: {...WHOLE_WINDOW}, inverted: false, view: freshView(), overlay: true, hidden: new Set(), mode: 'look',
      selected: null, finding: null,
    });
    this.shade();
    this.update({});
  }

  /** Show a radiograph with what was read in it. One that is on the canvas already stays as hands have put it. */
  open(said, picture) {
    if (this.said || this.picture?.pixels !== picture.pixels) this.begin(picture);
    this.said = said;
    this.picture.maps = picture.maps;
    this.update({finding: said.leading});
  }

  close() {
    this.said = this.picture = null;
    this.paintSoon();
  }

  /** Change what is seen. */
  update(values) {
    const {state} = this, before = {...state};
    Object.assign(state, values);
    if (!this.picture) { this.changed(); return; }
    if (before.window !== state.window || before.inverted !== state.inverted) this.shade();
    if (before.finding !== state.finding || before.opacity !== state.opacity) this.picture.mapCanvas = null;
    state.view = settled(state.view, this.panes()[0].pane, this.picture);
    const still = state.view.zoom === 1 && state.mode === 'look' && !document.fullscreenElement;
    this.canvas.style.touchAction = still ? 'pan-y' : 'none';
    this.canvas.style.cursor = {look: 'grab', window: 'ns-resize', draw: 'crosshair'}[state.mode];
    this.paintSoon();
    this.changed();
  }

  get map() { return this.picture?.maps[this.state.finding] ?? null; }

  get highest() { return this.map ? this.map.reduce((most, each) => Math.max(most, each), 0) / 65535 * this.said.full : 0; }

  /** Whether boxes and map are wanted at all. */
  get speaking() { return this.state.overlay && this.state.revealed; }

  /** Whether they are seen. */
  get speaks() { return this.said !== null && this.speaking; }

  /** Boxes of the model that are seen. */
  get shown() {
    if (!this.said) return [];
    return boxesAt(this.said, this.state.threshold).filter((each) => !this.state.hidden.has(each.finding));
  }

  panes() {
    const {clientWidth, clientHeight} = this.canvas;
    return panesOf(this.speaking ? this.state.layout : 'boxes', clientWidth, clientHeight, this.state.swipe);
  }

  shade() {
    const {picture} = this, table = shades(this.state.window, this.state.inverted);
    const context = picture.canvas.getContext('2d');
    picture.image ??= context.createImageData(picture.width, picture.height);
    const out = new Uint32Array(picture.image.data.buffer), {pixels} = picture;
    for (let at = 0; at < pixels.length; at++) out[at] = table[pixels[at]];
    context.putImageData(picture.image, 0, 0);
  }

  // Drawing

  paintSoon() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.paint(); });
  }

  paint() {
    const {canvas} = this, dots = window.devicePixelRatio || 1, context = canvas.getContext('2d');
    const width = Math.round(canvas.clientWidth * dots), height = Math.round(canvas.clientHeight * dots);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.fillStyle = '#0b0b0b';
    context.fillRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    if (!this.picture || !width) return;
    this.state.view = settled(this.state.view, this.panes()[0].pane, this.picture);
    for (const {pane, clip, what} of this.panes()) {
      const area = clip ?? pane;
      context.save();
      context.beginPath();
      context.rect(area.left, area.top, area.width, area.height);
      context.clip();
      paintFilm(context, this.picture.canvas, this.state.view, pane, this.picture, this.held !== null);
      if (this.speaks) this.paintOverlay(context, pane, area, what);
      if (this.draft) paintBox(context, this.draft, this.state.view, pane, this.picture);
      context.restore();
    }
    if (this.speaks && this.state.layout === 'swipe') this.paintDivider(context);
    canvas.dataset.painted = String(Number(canvas.dataset.painted ?? 0) + 1);
  }

  paintOverlay(context, pane, area, what) {
    const {view, finding} = this.state;
    if (what === 'map') {
      if (this.map) {
        const opacity = OVERLAY_OPACITY * this.state.opacity, {map_wh: [width, height], full} = this.said;
        this.picture.mapCanvas ??= mapPicture(this.map, width, height, this.setup.colours, opacity);
        paintMap(context, this.picture.mapCanvas, view, pane, this.picture);
        paintColourBar(context, area, this.setup.colours, opacity, full, this.highest, this.words);
      }
    }
    const marks = this.marks(what === 'map' ? finding : null);
    context.globalAlpha = what === 'boxes' ? Math.max(this.state.opacity, 0.15) : 1;
    for (const mark of marks) paintBox(context, mark, view, pane, this.picture);
    context.globalAlpha = 1;
    if (what === 'boxes') paintLabels(context, marks.reverse(), view, pane, this.picture);
  }

  paintDivider(context) {
    const x = Math.round(this.state.swipe * this.canvas.clientWidth), middle = this.canvas.clientHeight / 2;
    context.fillStyle = '#ffc400';
    context.fillRect(x - 1, 0, 2, this.canvas.clientHeight);
    context.fillRect(x - 7, middle - 22, 14, 44);
    context.fillStyle = '#111';
    for (const by of [-3, 2]) context.fillRect(x + by, middle - 9, 1.5, 18);
  }

  /** What is drawn, the surest last. @param {string|null} finding only this one's */
  marks(finding) {
    const {selected} = this.state, {words} = this;
    const named = (key) => `${this.looks[key].letter} ${words.finding(this.looks[key])}`;
    const model = this.shown.map((each) => {
      const said = this.annotations.of(each.index)?.action;
      const tick = {accepted: ' ✓', rejected: ' ✗', changed: ' ✎'}[said] ?? '';
      return {
        box: each.box, colour: this.looks[each.finding].colour, dash: this.looks[each.finding].dash,
        faint: said === 'rejected' || said === 'changed', finding: each.finding,
        selected: selected?.index === each.index,
        label: `${named(each.finding)} ${scoreWords(each.score)} (${each.id})${tick}`,
        short: `${this.looks[each.finding].letter} ${scoreWords(each.score)}${tick}`,
      };
    }).reverse();
    const own = this.annotations.boxes.filter((each) => !this.state.hidden.has(each.finding)).map((each) => ({
      box: each.box, colour: this.looks[each.finding].colour, dash: this.looks[each.finding].dash, own: true,
      finding: each.finding, selected: selected?.key === each.key,
      label: `${named(each.finding)} · ${words.say('viewer.yours')} (${each.id})`,
      short: `${this.looks[each.finding].letter} ${each.id}`,
    }));
    return [...model, ...own].filter((each) => finding === null || each.finding === finding);
  }

  // Hands

  listen() {
    const {canvas} = this;
    canvas.addEventListener('pointerdown', (event) => this.press(event));
    canvas.addEventListener('pointermove', (event) => this.move(event));
    for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, (event) => this.release(event));
    canvas.addEventListener('contextmenu', (event) => event.preventDefault());
    canvas.addEventListener('dblclick', (event) => {
      if (this.picture && this.state.mode === 'look') this.zoom(this.state.view.zoom > 1 ? 0.001 : 3, this.at(event));
    });
    canvas.addEventListener('wheel', (event) => {
      if (!this.picture || (event.deltaY > 0 && this.state.view.zoom <= 1)) return;  // nothing smaller: the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), this.at(event));
    }, {passive: false});
  }

  at(event) {
    const frame = this.canvas.getBoundingClientRect();
    return {x: event.clientX - frame.left, y: event.clientY - frame.top};
  }

  paneAt({x}) {
    return (this.panes().find(({pane, clip}) => {
      const area = clip ?? pane;
      return x >= area.left && x < area.left + area.width;
    }) ?? this.panes()[0]).pane;
  }

  filmAt(place, pane = this.paneAt(place)) { return toFilm(this.state.view, pane, this.picture, place.x, place.y); }

  zoom(factor, place = null) {
    const pane = place ? this.paneAt(place) : this.panes()[0].pane;
    const {x, y} = place ?? {x: pane.left + pane.width / 2, y: pane.top + pane.height / 2};
    this.update({view: zoomedAt(this.state.view, pane, this.picture, factor, x, y)});
  }

  pan(right, down) {
    this.update({view: movedBy(this.state.view, this.panes()[0].pane, this.picture, right, down)});
  }

  press(event) {
    if (!this.picture) return;
    const place = this.at(event);
    this.canvas.focus({preventScroll: true});
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, place);
    this.draft = null;
    this.held = this.pointers.size > 1 ? {what: 'pinch'} : this.grip(event, place);
  }

  /** What a pointer that goes down takes hold of. */
  grip(event, place) {
    const {state} = this, pane = this.paneAt(place), held = {start: place, last: place, pane, moved: false};
    if (event.button === 2 || (state.mode === 'window' && event.button === 0)) return {...held, what: 'window'};
    if (event.button === 1) return {...held, what: 'pan'};
    if (state.mode === 'draw') return {...held, what: 'draw', from: this.filmAt(place, pane)};
    const divider = state.swipe * this.canvas.clientWidth;
    if (this.speaks && state.layout === 'swipe' && Math.abs(place.x - divider) < 14) return {...held, what: 'swipe'};
    const point = this.filmAt(place, pane), slack = SLACK_PX / scaleOf(state.view, pane, this.picture);
    const box = this.selectedBox();
    if (box) {
      const edges = edgesAt(box.box, point, slack);
      if (edges || (box.key !== undefined && boxAt([box], point, 0))) return {...held, what: 'box', edges};
    }
    return {...held, what: 'pan'};
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before || !this.held) return;
    const place = this.at(event), {held} = this;
    if (held.what === 'pinch') { this.pinch(event.pointerId, place); return; }
    this.pointers.set(event.pointerId, place);
    const right = place.x - held.last.x, down = place.y - held.last.y;
    if (!held.moved && Math.hypot(place.x - held.start.x, place.y - held.start.y) < CLICK_PX) return;
    held.moved = true;
    held.last = place;
    this.drag(held, place, right, down);
  }

  drag(held, place, right, down) {
    const {state, picture} = this, scale = scaleOf(state.view, held.pane, picture);
    if (held.what === 'pan') this.pan(right, down);
    if (held.what === 'swipe') this.update({swipe: bounded(place.x / this.canvas.clientWidth, 0, 1)});
    if (held.what === 'window') {  // to the right: wider, so less contrast; down: a higher middle, so darker
      const {level, width} = state.window;
      this.update({window: boundedWindow({level: level + down / 500, width: width + right / 500})});
    }
    if (held.what === 'box') this.reshape(held.edges, right / scale, down / scale);
    if (held.what === 'draw') {
      const to = this.filmAt(place, held.pane), xs = [held.from.x, to.x], ys = [held.from.y, to.y];
      const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]
        .map((edge, side) => bounded(edge, 0, side % 2 ? picture.height : picture.width));
      this.draft = {box, colour: '#ececec', dash: [6, 4], own: true};
      this.paintSoon();
    }
  }

  pinch(id, place) {
    const [[, one], [, other]] = [...this.pointers].sort(([first]) => (first === id ? -1 : 1));
    const far = (from) => Math.hypot(from.x - other.x, from.y - other.y);
    const middle = {x: (place.x + other.x) / 2, y: (place.y + other.y) / 2};
    this.pointers.set(id, place);
    const pane = this.paneAt(middle);
    const view = zoomedAt(this.state.view, pane, this.picture, far(place) / Math.max(far(one), 1), middle.x, middle.y);
    this.update({view: movedBy(view, pane, this.picture, (place.x - one.x) / 2, (place.y - one.y) / 2)});
  }

  release(event) {
    const {held} = this;
    this.pointers.delete(event.pointerId);
    if (!held) return;
    this.held = null;
    if (held.what === 'draw' && this.draft) this.finishDraft();
    else if (held.what === 'pan' && !held.moved && event.type === 'pointerup') this.selectAt(held.start, held.pane);
    this.paintSoon();
  }

  // Boxes

  selectAt(place, pane) {
    const point = this.filmAt(place, pane), slack = SLACK_PX / scaleOf(this.state.view, pane, this.picture);
    const boxes = this.speaks ? [...this.annotations.boxes, ...this.shown] : this.annotations.boxes;
    const found = boxAt(boxes, point, slack);
    this.select(found);
  }

  select(found) {
    const selected = !found ? null : found.key !== undefined ? {key: found.key} : {index: found.index};
    this.update({selected});
  }

  /** The box that is selected: one of the reader has a `key`, one of the model an `index`. */
  selectedBox() {
    const {selected} = this.state;
    if (!selected) return null;
    if (selected.key !== undefined) return this.annotations.boxes.find(({key}) => key === selected.key) ?? null;
    return this.shown.find(({index}) => index === selected.index) ?? null;
  }

  /** Select the next box, or the one before. */
  step(by) {
    const all = [...this.shown, ...this.annotations.boxes], {selected} = this.state;
    if (!all.length || !this.said) return;
    const here = all.findIndex((each) => (each.key !== undefined ? each.key === selected?.key
      : selected?.key === undefined && each.index === selected?.index));
    this.select(all[(here + by + all.length + (here < 0 && by < 0 ? 1 : 0)) % all.length]);
  }

  /** Move or resize the selected box; of a model's box the reader gets a copy of his own first. */
  reshape(edges, right, down) {
    const box = this.selectedBox();
    if (!box) return;
    const key = box.key ?? this.annotations.change(box);
    this.state.selected = {key};
    this.annotations.update(key, {box: reshaped(box.box, edges, right, down, this.picture)});
  }

  finishDraft() {
    const {box} = this.draft;
    this.draft = null;
    const tooSmall = box[2] - box[0] < LEAST_SIDE_PX || box[3] - box[1] < LEAST_SIDE_PX;
    if (tooSmall) this.update({mode: 'look'});
    else this.drawn(box);
  }

  /** A box in the middle of what is seen, for those who draw by keys. */
  drawInTheMiddle() {
    const {view} = this.state, {width, height} = this.picture, half = Math.min(width, height) / 8 / view.zoom;
    const x = bounded(view.x * width, half, width - half), y = bounded(view.y * height, half, height - half);
    this.drawn([x - half, y - half, x + half, y + half]);
  }

  drawn(box) {
    const key = this.annotations.draw(this.state.finding ?? this.setup.findings[0].key, box);
    this.update({mode: 'look', selected: {key}, overlay: true, revealed: true});
  }
}
