/** Asking the server: the desk's door, `boxray/serve/desk_door.py`. */

/** An answer that is none: a code of the catalogue, and the reason. */
class Refusal extends Error {
  constructor(code, reason, retryAfter = null, reading = null) {
    super(reason);
    this.code = code;
    this.retryAfter = retryAfter;
    this.reading = reading;
  }
}

class Door {
  /** @param {string} base address of the page, with its slash at the end */
  constructor(base) {
    this.base = base;
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    this.desk = [...bytes].map((each) => each.toString(16).padStart(2, '0')).join('');
  }

  /** @returns {Promise<Response>} */
  async ask(method, path, body = null) {
    let answer;
    try {
      answer = await fetch(`${this.base}desk/${path}`, {method, body, headers: this.headers(body)});
    } catch {
      throw new Refusal('viewer.offline', '', 3);
    }
    if (!answer.ok) throw refusalIn(await answer.text(), answer.status, answer.headers.get('retry-after'));
    return answer;
  }

  headers(body) { return {'x-boxray-desk': this.desk, ...(body ? {'content-type': 'application/json'} : {})}; }

  async json(method, path, body = null) { return (await this.ask(method, path, body)).json(); }

  /** An answer of several parts (`boxray/serve/packing.py`), each as soon as it is there.
   *  @returns {AsyncGenerator<{head: Object, body: ArrayBuffer}>} */
  async* parts(method, path) {
    const bytes = new Incoming((await this.ask(method, path)).body.getReader());
    while (await bytes.more()) {
      const [nHead, nBody] = new Uint32Array(await bytes.take(8));
      const head = JSON.parse(new TextDecoder().decode(await bytes.take(nHead)));
      yield {head, body: await bytes.take(nBody)};
    }
  }

  async bytes(path) { return (await this.ask('GET', path)).arrayBuffer(); }

  /** Send a file; `progress` is told the share that is there. XMLHttpRequest, as fetch does not tell it.
   *  @returns {Promise<{id: string, name: string, bytes: number}[]>} */
  send(file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(), form = new FormData();
      form.append('file', file, file.name);
      request.open('POST', `${this.base}desk/files`);
      request.setRequestHeader('x-boxray-desk', this.desk);
      request.upload.addEventListener('progress', (event) => progress(event.total ? event.loaded / event.total : 0));
      request.addEventListener('error', () => reject(new Refusal('viewer.offline', '', 3)));
      request.addEventListener('load', () => {
        if (request.status < 300) resolve(JSON.parse(request.responseText).cases);
        else reject(refusalIn(request.responseText, request.status, request.getResponseHeader('retry-after')));
      });
      request.send(form);
    });
  }

  async example(number) { return (await this.json('POST', `examples/${number}`)).cases; }

  /** Save what an address gives under the name that it gives. */
  async save(method, path, body = null) {
    const answer = await this.ask(method, path, body), said = answer.headers.get('content-disposition') ?? '';
    const link = make('a', {href: URL.createObjectURL(await answer.blob()), download: said.match(/filename="(.+?)"/)?.[1] ?? 'boxray'});
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}

/** Bytes as they come. One that breaks off is an offline server: it is asked again. */
class Incoming {
  constructor(reader) {
    this.reader = reader;
    this.chunk = new Uint8Array(0);
  }

  /** Whether there is anything more. */
  async more() {
    while (!this.chunk.length) {
      let next;
      try { next = await this.reader.read(); } catch { throw new Refusal('viewer.offline', '', 3); }
      if (next.done) return false;
      this.chunk = next.value;
    }
    return true;
  }

  /** @returns {Promise<ArrayBuffer>} exactly so many */
  async take(count) {
    const taken = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      if (!await this.more()) throw new Refusal('viewer.offline', '', 3);
      const some = this.chunk.subarray(0, count - filled);
      taken.set(some, filled);
      filled += some.length;
      this.chunk = this.chunk.subarray(some.length);
    }
    return taken.buffer;
  }
}

function refusalIn(text, status, retryAfter) {
  try {
    const problem = JSON.parse(text);
    return new Refusal(problem.code, problem.detail, retryAfter && Number(retryAfter), problem.reading ?? null);
  } catch {
    return new Refusal(status === 413 ? 'input.too_large' : 'internal.error', '', retryAfter && Number(retryAfter));
  }
}
