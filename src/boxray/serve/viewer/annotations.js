/** What the reader says of the boxes: beside the model's boxes, never in their place. */

/** @typedef {{key: number, action: 'accepted'|'rejected'|'changed'|'drawn', of: number|null, finding: string,
 *   box: number[], at: string}} Edit `of` is the place of the model's box in the reading */

class Annotations {
  /** @param {() => void} changed called after every change */
  constructor(changed) {
    /** @type {Edit[]} */
    this.edits = [];
    this.changed = changed;
    this.next = 1;
  }

  /** The word on a box of the model, or none. */
  of(index) { return this.edits.find((edit) => edit.of === index) ?? null; }

  /** Boxes that the reader made, as they are drawn: r1, r2 … */
  get boxes() {
    return this.edits.filter((edit) => edit.action === 'drawn' || edit.action === 'changed')
      .map((edit, number) => ({...edit, id: `r${number + 1}`}));
  }

  /** Accept or reject a box of the model; the same word again takes it back. */
  judge(shown, action) {
    const before = this.of(shown.index);
    this.edits = this.edits.filter((edit) => edit !== before);
    if (before?.action !== action) this.add(action, shown.index, shown.finding, shown.box);
    this.changed();
  }

  /** A copy of a model's box that the reader may move. @returns {number} its key */
  change(shown) {
    const before = this.of(shown.index);
    if (before?.action === 'changed') return before.key;
    this.edits = this.edits.filter((edit) => edit !== before);
    const key = this.add('changed', shown.index, shown.finding, shown.box);
    this.changed();
    return key;
  }

  /** @returns {number} key of the new box */
  draw(finding, box) {
    const key = this.add('drawn', null, finding, box);
    this.changed();
    return key;
  }

  /** Move, resize or relabel a box of the reader. */
  update(key, values) {
    this.edits = this.edits.map((edit) => (edit.key === key ? {...edit, ...values, at: now()} : edit));
    this.changed();
  }

  remove(key) {
    this.edits = this.edits.filter((edit) => edit.key !== key);
    this.changed();
  }

  /** As the server takes them. */
  told(reader) {
    return this.edits.map(({action, finding, box, at, of}) => ({action, finding, box_xyxy: box, reader, at, of}));
  }

  add(action, of, finding, box) {
    const key = this.next++;
    this.edits = [...this.edits, {key, action, of, finding, box: [...box], at: now()}];
    return key;
  }
}

/** In UTC, to the second. */
function now() { return new Date().toISOString().replace(/\.\d+Z$/, 'Z'); }
