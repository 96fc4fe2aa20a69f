/** The controls round the film. Each has a key; what they show follows from the film's state. */

const LAYOUTS = ['boxes', 'map', 'swipe', 'side'];

/** Key -> action. Letters are the same in every language, as they stand on the buttons. */
const KEYS = {
  o: 'overlay', i: 'invert', w: 'window', r: 'reset', f: 'full', '+': 'larger', '=': 'larger', '-': 'smaller',
  s: 'layout', m: 'map', h: 'reveal', b: 'box', B: 'boxBefore', d: 'draw', a: 'accept', x: 'reject', e: 'change',
  Delete: 'remove', Backspace: 'remove', n: 'next', p: 'previous', '?': 'help', Escape: 'quit',
};

/** Those that speak of boxes: nobody can before the models have spoken. */
const MARKING = ['box', 'boxBefore', 'draw', 'accept', 'reject', 'change', 'remove', 'reveal'];

class Toolbar {
  /** @param {Film} film  @param {Words} words  @param {Object<string, () => void>} actions */
  constructor(film, words, actions) {
    this.film = film;
    this.words = words;
    this.actions = actions;
    const button = (act, key) => make('button', {type: 'button', 'data-act': act, title: words.say(`viewer.${act}_help`)},
      words.say(`viewer.${act}`), key ? make('kbd', {}, key) : null);
    const sign = (act, text) => make('button', {
      type: 'button', 'data-act': act, title: words.say(`viewer.${act}_help`), 'aria-label': words.say(`viewer.${act}`)}, text);
    const toggle = (act, key) => { const each = button(act, key); each.setAttribute('aria-pressed', 'false'); return each; };
    const slider = (name, least, most, step) => make('input', {type: 'range', min: least, max: most, step, 'data-set': name});
    const labelled = (key, control) => make('label', {}, words.say(key), control);
    const choice = (name, options) => make('select', {'data-set': name},
      ...options.map(([value, text]) => make('option', {value}, text)));
    const findings = film.setup.findings.map((look) => [look.key, words.finding(look)]);
    this.looking = make('div', {class: 'bx-tools', role: 'toolbar', 'aria-label': words.say('viewer.looking')},
      toggle('overlay', 'O'), labelled('viewer.layout', choice('layout', LAYOUTS.map((each) => [each, words.say(`viewer.layout_${each}`)]))),
      labelled('viewer.map_of', choice('finding', findings)),
      toggle('invert', 'I'), toggle('window', 'W'), sign('larger', '+'), sign('smaller', '−'), button('reset', 'R'),
      toggle('full', 'F'), toggle('help', '?'));
    this.sliders = make('div', {class: 'bx-tools bx-sliders', role: 'group', 'aria-label': words.say('viewer.shades')},
      labelled('viewer.preset', choice('preset', [['', words.say('viewer.preset_own')],
        ...['whole', 'full', 'lung', 'mediastinum'].map((each) => [each, words.say(`viewer.preset_${each}`)])])),
      labelled('viewer.level', slider('level', 0, 1, 0.005)), labelled('viewer.width', slider('width', LEAST_WIDTH, 2, 0.005)),
      labelled('viewer.opacity', slider('opacity', 0, 1, 0.05)), labelled('viewer.swipe', slider('swipe', 0, 1, 0.01)));
    this.marking = make('div', {class: 'bx-tools bx-marking', role: 'toolbar', 'aria-label': words.say('viewer.marking')},
      toggle('draw', 'D'), button('box', 'B'), button('accept', 'A'), button('reject', 'X'), button('change', 'E'),
      button('remove', 'Del'), labelled('viewer.reader', make('input', {
        type: 'text', 'data-set': 'reader', maxlength: '80', autocomplete: 'off', spellcheck: 'false', class: 'bx-reader',
      })));
    this.help = make('div', {class: 'bx-help', hidden: true}, make('p', {}, words.say('viewer.help_text')), make('dl', {},
      ...Object.entries(KEYS).filter(([key]) => !['=', 'Backspace'].includes(key)).flatMap(([key, act]) => [
        make('dt', {}, make('kbd', {}, {Delete: 'Del', Escape: 'Esc'}[key] ?? (key === 'B' ? '⇧B' : key.toUpperCase()))),
        make('dd', {}, words.say(`viewer.${act}_help`))])));
    for (const part of [this.looking, this.sliders, this.marking]) {
      part.addEventListener('click', (event) => {
        const act = event.target.closest('[data-act]')?.dataset.act;
        if (act) actions[act]();
      });
      part.addEventListener('input', (event) => this.set(event.target));
    }
  }

  set({dataset, value}) {
    const {film} = this, {window} = film.state;
    if (dataset.set === 'preset') { if (value) film.update({window: film.windows[value]}); }
    else if (dataset.set === 'level' || dataset.set === 'width')
      film.update({window: boundedWindow({...window, [dataset.set]: Number(value)})});
    else if (dataset.set === 'opacity' || dataset.set === 'swipe') film.update({[dataset.set]: Number(value)});
    else if (dataset.set === 'reader') this.actions.reader(value);
    else if (dataset.set === 'layout') this.actions.setLayout(value);
    else if (dataset.set) film.update({[dataset.set]: value});
  }

  /** Show the state of the film. */
  render() {
    const {film} = this, {state} = film, selected = film.selectedBox();
    const press = (act, on) => this.find(`[data-act=${act}]`).setAttribute('aria-pressed', String(on));
    const value = (name, said) => { this.find(`[data-set=${name}]`).value = said; };
    press('overlay', film.speaks);
    press('invert', state.inverted);
    press('window', state.mode === 'window');
    press('draw', state.mode === 'draw');
    press('full', Boolean(document.fullscreenElement));
    press('help', !this.help.hidden);
    value('layout', state.layout);
    value('finding', state.finding ?? '');
    value('level', state.window.level);
    value('width', state.window.width);
    value('opacity', state.opacity);
    value('swipe', state.swipe);
    const same = (one) => one.level === state.window.level && one.width === state.window.width;
    value('preset', Object.keys(film.windows ?? {}).find((name) => same(film.windows[name])) ?? '');
    this.find('[data-set=finding]').closest('label').hidden = state.layout === 'boxes' || !state.revealed;  // it would tell what leads
    this.find('[data-set=swipe]').closest('label').hidden = state.layout !== 'swipe';
    const own = selected?.key !== undefined;
    for (const [act, off] of Object.entries({accept: !selected || own, reject: !selected || own, change: !selected || own, remove: !own}))
      this.find(`[data-act=${act}]`).disabled = off;
  }

  find(selector) {
    return [this.looking, this.sliders, this.marking].map((part) => part.querySelector(selector)).find(Boolean);
  }
}
