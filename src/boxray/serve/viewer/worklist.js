/** The files that were brought: sent one after the other, read, and put in order. One bad file stops nothing. */

/** @typedef {{key: number, name: string, file: File|null, id: string|null, example: number|null, progress: number,
 *   status: 'waiting'|'sending'|'reading'|'read'|'refused'|'failed', said: Object|null, code: string|null,
 *   reason: string|null, edits: Edit[], untold: boolean, picture: Object|null}} Row */

const AT_ONCE = 2, PICTURES = 3, MOST_TRIES = 40;
const STILL = ['waiting', 'sending', 'reading'];

class Worklist {
  /** @param {Door} door  @param {(row: Row|null) => void} changed
   *  @param {(row: Row) => boolean} isAwaited whether somebody waits to see this very row */
  constructor(door, changed, isAwaited) {
    this.door = door;
    this.changed = changed;
    this.isAwaited = isAwaited;
    /** @type {Row[]} */
    this.rows = [];
    this.next = 1;
    this.busy = 0;
    this.lately = [];
  }

  /** @param {File[]} files  @returns {Row[]} */
  bring(files) { return this.add(files.map((file) => ({name: file.name, file}))); }

  bringExample(number, name) { return this.add([{name, example: number}]); }

  add(brought, after = null) {
    const rows = brought.map((each) => ({
      key: this.next++, file: null, id: null, example: null, progress: 0, status: 'waiting', said: null, code: null,
      reason: null, edits: [], untold: false, picture: null, ...each,
    }));
    const at = after ? this.rows.indexOf(after) + 1 : this.rows.length;
    this.rows.splice(at, 0, ...rows);
    this.work();
    this.changed(null);
    return rows;
  }

  remove(row) {
    this.rows = this.rows.filter((each) => each !== row);
    if (row.id) this.door.ask('DELETE', `cases/${row.id}`).catch(() => {});  // it goes by itself, too
    this.changed(null);
  }

  get done() { return this.rows.filter((row) => !STILL.includes(row.status)).length; }

  /** Most suspicious first: the highest score of a box over its threshold. What was not read comes last.
   *  @param {boolean} asBrought the order in which they came, which gives nothing away */
  ordered(asBrought) {
    const place = (row) => (row.status === 'read' ? 0 : STILL.includes(row.status) ? 1 : 2);
    if (asBrought) return [...this.rows];
    return [...this.rows].sort((one, other) => place(one) - place(other)
      || (other.said?.suspicion ?? 0) - (one.said?.suspicion ?? 0) || one.key - other.key);
  }

  work() {
    while (this.busy < AT_ONCE) {
      const row = this.rows.find((each) => each.status === 'waiting');
      if (!row) return;
      this.busy++;
      row.status = 'sending';
      this.process(row).finally(() => { this.busy--; this.work(); });
    }
  }

  async process(row) {
    try {
      if (!row.id) await this.send(row);
      if (this.rows.includes(row)) await this.read(row);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      row.status = error.reading?.status === 'FAILED' || /^(viewer|service)\./.test(error.code) ? 'failed' : 'refused';
      Object.assign(row, {code: error.code, reason: error.message, picture: null});
    }
    this.changed(row);
    if (!this.lately.includes(row)) row.picture = null;  // nobody waited for it in the end
  }

  async send(row) {
    row.status = 'sending';
    this.changed(row);
    const cases = await patient(() => (row.example === null ? this.door.send(row.file, (share) => {
      row.progress = share;
      this.changed(row);
    }) : this.door.example(row.example)));
    const [first, ...others] = cases;
    if (!first) throw new Refusal('archive.unsafe', 'the archive holds no file');
    if (others.length) this.add(others.map(({id, name}) => ({id, name})), row);
    Object.assign(row, {id: first.id, name: first.name});
    if (others.length) row.file = null;  // the archive is not sent again for one of its files
  }

  async read(row) {
    row.status = 'reading';
    this.changed(row);
    const said = await patient(() => (this.isAwaited(row) ? this.opening(row) : this.door.json('POST', `cases/${row.id}/reading`)));
    const {status, code, reason} = said.reading;
    row.said = said;
    row.status = {RESULT: 'read', REFUSED: 'refused', FAILED: 'failed'}[status];
    Object.assign(row, {code, reason});
  }

  /** Read a row that somebody waits to see: its film is there before what the models say. */
  async opening(row) {
    for await (const {head, body} of this.door.parts('POST', `cases/${row.id}/opening`)) {
      if (head.problem) throw new Refusal(head.problem.code, head.problem.detail, head.problem.retry_after);
      if (head.film) {
        row.picture = {...unpackedPixels(body), maps: {}};
        this.changed(row);
      } else {
        if (row.picture) row.picture.maps = await unpackedMaps(body, head.said.map_findings, ...head.said.map_wh);
        return head.said;
      }
    }
    throw new Refusal('viewer.offline', '', 3);
  }

  /** Pixels and maps of a row that was read; those of the last few stay. */
  async picture(row) {
    if (!row.picture) {
      const [pixels, maps] = await this.again(row, () => Promise.all(
        [this.door.bytes(`cases/${row.id}/pixels`), this.door.bytes(`cases/${row.id}/maps`)]));
      const {map_findings: findings, map_wh: size} = row.said;
      row.picture = {...unpackedPixels(pixels), maps: await unpackedMaps(maps, findings, ...size)};
    }
    this.lately = [row, ...this.lately.filter((each) => each !== row)];
    for (const old of this.lately.splice(PICTURES)) old.picture = null;
    return row.picture;
  }

  /** Ask for something of a row; where the server has let its file go, the file is sent again. */
  async again(row, ask) {
    try {
      return await patient(ask);
    } catch (error) {
      if (error.code !== 'request.not_found' || (!row.file && row.example === null)) throw error;
      await this.send(row);
      await this.read(row);
      row.untold = row.edits.length > 0;  // the server has forgotten them, too
      return patient(ask);
    }
  }
}

/** Ask until there is room: a full service says when to come again. */
async function patient(ask) {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Refusal) || error.retryAfter === null || tries >= MOST_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(error.retryAfter, 10)));
    }
  }
}
