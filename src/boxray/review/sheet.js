"use strict";
// The review sheet. State is what the reader said, by film and finding; the page is drawn anew from it.
// Boxes are [x1, y1, x2, y2] in pixels of the built set's picture; the SVG over a film has those as its units.

const sheet = JSON.parse(document.getElementById("films").textContent);
const findings = new Map(sheet.findings.map((each) => [each.key, each]));
const KEPT_AS = "boxray.sheet/" + sheet.base;
const PER_PAGE = 24;
const SAME_IOU = 0.4;
const root = document.getElementById("sheet");
document.getElementById("noscript").remove();
root.hidden = false;

let said = { reviewer: "", films: {} };
let keeps = true;
try {
  said = JSON.parse(localStorage.getItem(KEPT_AS)) || said;
} catch {
  keeps = false;
}
const wanted = { finding: "", source: "", split: "", look: "", least: 0, page: 0 };
let open = null; // place of the film that is open, in `shown`
let chosen = null; // {kind: "box" | "detection" | "added", place, finding}
let drawing = null; // finding of which a box is being drawn
let shown = [];

function keep() {
  try {
    localStorage.setItem(KEPT_AS, JSON.stringify(said));
  } catch {
    keeps = false;
  }
}

function make(name, attributes = {}, ...inside) {
  const svg = ["svg", "rect", "text", "circle"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key.startsWith("aria-") && value !== null && value !== undefined) element.setAttribute(key, String(value));
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...inside.filter((each) => each !== null && each !== undefined));
  return element;
}

// what was said

function verdictsOf(film, finding, writing = false) {
  const none = { boxes: {}, added: [], presence: null, second: false, reason: "", at: "" };
  const ofFilm = said.films[film.id] || {};
  if (!writing) return ofFilm[finding] || none;
  said.films[film.id] = ofFilm;
  ofFilm[finding] = ofFilm[finding] || none;
  return ofFilm[finding];
}

function isEmpty(verdicts) {
  return !verdicts.presence && !verdicts.second && !verdicts.added.length && !Object.keys(verdicts.boxes).length;
}

function looked(film) {
  return Object.values(said.films[film.id] || {}).some((verdicts) => !isEmpty(verdicts));
}

function now() {
  return new Date().toISOString();
}

function change(film, finding, act) {
  const verdicts = verdictsOf(film, finding, true);
  act(verdicts);
  verdicts.at = now();
  if (isEmpty(verdicts) && !verdicts.reason) delete said.films[film.id][finding];
  keep();
  draw();
}

function sayOfBox(film, place, doing, after = null) {
  change(film, film.boxes[place].finding, (verdicts) => {
    const before = verdicts.boxes[place];
    verdicts.presence = null;
    if (before && before.do === doing && doing !== "changed") delete verdicts.boxes[place];
    else verdicts.boxes[place] = { do: doing, after, at: now() };
  });
}

function addBox(film, finding, xyxy, from) {
  change(film, finding, (verdicts) => {
    verdicts.presence = null;
    verdicts.added.push({ xyxy, from, at: now() });
  });
  const place = verdictsOf(film, finding).added.length - 1;
  chosen = { kind: "added", place, finding };
  draw();
}

function setPresence(film, finding, to) {
  change(film, finding, (verdicts) => {
    verdicts.presence = to ? { to, at: now() } : null;
    if (to) {
      verdicts.boxes = {};
      verdicts.added = [];
    }
  });
}

function rows() {
  const made = [];
  for (const film of sheet.films) {
    for (const [finding, verdicts] of Object.entries(said.films[film.id] || {})) {
      const common = { image_id: film.id, sha256: film.sha256, finding, reason: verdicts.reason.trim() };
      common.second_opinion = verdicts.second;
      const before = made.length;
      const say = (kind, at, rest) => made.push({ ...common, kind, made_at: at, ...rest });
      for (const [place, box] of Object.entries(verdicts.boxes)) {
        const kind = { kept: "box_kept", removed: "box_removed", changed: "box_changed" }[box.do];
        const xyxy = film.boxes[place].xyxy;
        say(kind, box.at, { box_before_xyxy: xyxy, box_after_xyxy: box.do === "changed" ? box.after : null });
      }
      for (const box of verdicts.added) say("box_added", box.at, { box_after_xyxy: box.xyxy });
      if (verdicts.presence) {
        const boxed = film.boxes.some((box) => box.finding === finding);
        const stood = boxed ? "boxed" : film.presence[finding] === "boxed" ? "present" : film.presence[finding];
        say("presence_set", verdicts.presence.at, { presence_before: stood, presence_after: verdicts.presence.to });
      }
      if (made.length === before && verdicts.second) say("marked", verdicts.at, {});
    }
  }
  return made;
}

function save() {
  const name = said.reviewer.trim();
  if (!/^[\p{L}\p{N}]/u.test(name)) {
    const field = document.getElementById("reviewer");
    field.setCustomValidity("Your name or sign goes with every verdict.");
    field.reportValidity();
    return;
  }
  const content = { schema: sheet.schema, base: sheet.base, reviewer: name, saved_at: now(), verdicts: rows() };
  const link = make("a", {
    href: URL.createObjectURL(new Blob([JSON.stringify(content, null, 1) + "\n"], { type: "application/json" })),
    download: `verdicts-${sheet.base.slice(0, 8)}-${content.saved_at.slice(0, 19).replaceAll(":", "")}.json`,
  });
  document.body.append(link);
  link.click();
  link.remove();
}

// which films

function overlap(one, other) {
  const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(one) + area(other) - width * height);
}

function speaking(film) {
  return film.detections.filter((det) => (wanted.least > 0 ? det.score >= wanted.least : det.speaks));
}

function looks(film, finding) {
  const of = (list) => list.filter((each) => each.finding === finding);
  const boxes = of(film.boxes);
  const found = of(speaking(film));
  const meets = (one, others) => others.some((other) => overlap(one.xyxy, other.xyxy) >= SAME_IOU);
  const asked = film.read && !film.not_assessed.includes(finding);
  return {
    missed: asked && boxes.some((box) => !meets(box, found)),
    extra: ["boxed", "absent"].includes(film.presence[finding]) && !film.assumed.includes(finding) && found.some((det) => !meets(det, boxes)),
    unasked: film.presence[finding] === "unknown" && found.length > 0,
    unboxed: film.presence[finding] === "present",
    readers: boxes.some((box) => box.votes < box.n_readers),
    second: verdictsOf(film, finding).second,
  };
}

function filtered() {
  return sheet.films.filter((film) => {
    if (wanted.source && film.source !== wanted.source) return false;
    if (wanted.split && film.split !== wanted.split) return false;
    const keys = wanted.finding ? [wanted.finding] : [...findings.keys()];
    const there = keys.some(
      (key) => ["boxed", "present"].includes(film.presence[key]) || speaking(film).some((det) => det.finding === key),
    );
    if (wanted.finding && !wanted.look && !there) return false;
    if (wanted.look === "open") return !looked(film);
    if (wanted.look === "done") return looked(film);
    return !wanted.look || keys.some((key) => looks(film, key)[wanted.look]);
  });
}

// drawing

function field(label, control) {
  return make("label", {}, label, control);
}

function select(options, value, onchange, more = {}) {
  const control = make("select", { onchange: (event) => onchange(event.target.value), ...more });
  for (const [key, words] of options) control.append(make("option", { value: key, selected: key === value }, words));
  return control;
}

function bar() {
  const filter = (name) => (value) => {
    wanted[name] = value;
    wanted.page = 0;
    open = null;
    draw();
  };
  const all = (name) => [...new Set(sheet.films.map((film) => film[name]))].sort().map((word) => [word, word]);
  const detector = sheet.films.some((film) => film.read);
  const looksLike = [["", "any"], ["open", "nothing said yet"], ["done", "something said"], ["second", "second opinion"],
    ["unboxed", "present, no box"], ["readers", "readers differ"]];
  if (detector) looksLike.push(["missed", "missed by detector"], ["extra", "detector alone"], ["unasked", "detector, unknown"]);
  const least = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: wanted.least, id: "least",
    onchange: (event) => filter("least")(Number(event.target.value)) });
  const n = rows().length;
  return make("div", { class: "bar" },
    field("Finding", select([["", "all"], ...[...findings].map(([key, each]) => [key, each.display])], wanted.finding,
      filter("finding"), { id: "finding" })),
    field("Source", select([["", "all"], ...all("source")], wanted.source, filter("source"), { id: "source" })),
    field("Split", select([["", "all"], ...all("split")], wanted.split, filter("split"), { id: "split" })),
    field("Look for", select(looksLike, wanted.look, filter("look"), { id: "look" })),
    detector ? field(wanted.least > 0 ? `Score from ${wanted.least.toFixed(2)}` : "Score: operating points", least) : null,
    field("Reviewer", make("input", { type: "text", id: "reviewer", value: said.reviewer, maxlength: 64,
      autocomplete: "off", oninput: (event) => {
        said.reviewer = event.target.value;
        event.target.setCustomValidity("");
        keep();
      } })),
    make("button", { class: "main", id: "save", onclick: save, disabled: n === 0 }, `Save ${n} verdict${n === 1 ? "" : "s"}`),
    make("span", { class: "count", role: "status" },
      `${shown.length} of ${sheet.films.length} films` + (keeps ? "" : " · this browser keeps nothing: save before you close")));
}

function place(element, xyxy) {
  const [x1, y1, x2, y2] = xyxy;
  for (const [key, value] of Object.entries({ x: x1, y: y1, width: x2 - x1, height: y2 - y1 })) element.setAttribute(key, value);
  return element;
}

function marksOf(film) {
  const marks = [];
  film.boxes.forEach((box, number) => {
    const verdicts = verdictsOf(film, box.finding);
    const verdict = verdicts.boxes[number];
    const gone = Boolean(verdicts.presence) || (verdict && verdict.do === "removed");
    const xyxy = verdict && verdict.do === "changed" ? verdict.after : box.xyxy;
    marks.push({ kind: "box", place: number, finding: box.finding, xyxy, gone, mine: Boolean(verdict), box, verdict });
  });
  for (const finding of findings.keys()) {
    verdictsOf(film, finding).added.forEach((box, number) =>
      marks.push({ kind: "added", place: number, finding, xyxy: box.xyxy, mine: true, box }));
  }
  film.detections.forEach((det, number) => {
    if (speaking(film).includes(det) && !verdictsOf(film, det.finding).added.some((box) => box.from === number)) {
      marks.push({ kind: "detection", place: number, finding: det.finding, xyxy: det.xyxy, box: det });
    }
  });
  return marks.filter((mark) => !wanted.finding || mark.finding === wanted.finding);
}

function isChosen(mark) {
  return chosen && mark.kind === chosen.kind && mark.place === chosen.place && mark.finding === chosen.finding;
}

function overlay(film, large) {
  const svg = make("svg", { viewBox: `0 0 ${film.width} ${film.height}`, preserveAspectRatio: "none" });
  const unit = film.width / (large ? 46 : 20);
  if (large) {
    for (const own of film.readers) {
      if (wanted.finding && own.finding !== wanted.finding) continue;
      svg.append(place(make("rect", { class: "mark other", stroke: findings.get(own.finding).colour }), own.xyxy));
    }
  }
  const marks = marksOf(film);
  const onTop = (mark) => (large && isChosen(mark) ? 1 : 0); // so that the pointer meets the chosen box and its corners
  for (const mark of marks.sort((one, other) => onTop(one) - onTop(other))) {
    const kind = `mark ${mark.kind === "detection" ? "model" : ""} ${mark.mine ? "mine" : ""} ${mark.gone ? "gone" : ""}`;
    const rect = place(make("rect", { class: kind + (large && isChosen(mark) ? " chosen" : ""),
      stroke: findings.get(mark.finding).colour }), mark.xyxy);
    svg.append(rect);
    if (!large) continue;
    rect.addEventListener("pointerdown", (event) => (drawing ? null : drag(event, film, mark, svg, "move")));
    const words = findings.get(mark.finding).display + (mark.kind === "detection" ? ` ${mark.box.score.toFixed(2)}` : "");
    const low = mark.xyxy[1] < unit * 1.5;
    const x = Math.min(mark.xyxy[0], film.width - words.length * unit * 0.55);
    svg.append(make("text", { class: "tag", x, y: low ? mark.xyxy[1] + unit : mark.xyxy[1] - unit * 0.3,
      style: `font-size:${unit}px;stroke-width:${unit / 4}px` }, words));
    if (isChosen(mark) && mark.kind !== "detection" && !mark.gone) {
      const side = Math.min(mark.xyxy[2] - mark.xyxy[0], mark.xyxy[3] - mark.xyxy[1]);
      const r = Math.max(unit * 0.2, Math.min(unit * 0.45, side / 5));
      for (const [i, j] of [[0, 1], [2, 1], [0, 3], [2, 3]]) {
        const grip = make("circle", { class: "grip", cx: mark.xyxy[i], cy: mark.xyxy[j], r, "data-corner": `${i}${j}`,
          style: "cursor:nwse-resize;touch-action:none" });
        grip.addEventListener("pointerdown", (event) => drag(event, film, mark, svg, [i, j]));
        svg.append(grip);
      }
    }
  }
  return svg;
}

function at(event, film, svg) {
  const frame = svg.getBoundingClientRect();
  const x = ((event.clientX - frame.left) / frame.width) * film.width;
  const y = ((event.clientY - frame.top) / frame.height) * film.height;
  return [Math.max(0, Math.min(film.width, x)), Math.max(0, Math.min(film.height, y))];
}

function sorted(box) {
  const round = (value) => Math.round(value * 10) / 10;
  return [Math.min(box[0], box[2]), Math.min(box[1], box[3]), Math.max(box[0], box[2]), Math.max(box[1], box[3])].map(round);
}

// A click chooses; a chosen box moves with the pointer, or its corner does.
function drag(event, film, mark, svg, how) {
  event.preventDefault();
  event.stopPropagation();
  const was = isChosen(mark);
  chosen = { kind: mark.kind, place: mark.place, finding: mark.finding };
  if (!was || mark.kind === "detection" || mark.gone) {
    draw();
    return;
  }
  const start = at(event, film, svg);
  let box = [...mark.xyxy];
  const rect = svg.querySelector(".mark.chosen");
  const move = (moving) => {
    const [x, y] = at(moving, film, svg);
    box = [...mark.xyxy];
    if (how === "move") {
      const dx = Math.max(-box[0], Math.min(film.width - box[2], x - start[0]));
      const dy = Math.max(-box[1], Math.min(film.height - box[3], y - start[1]));
      box = [box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy];
    } else {
      box[how[0]] = x;
      box[how[1]] = y;
    }
    place(rect, sorted(box));
  };
  follow(move, () => {
    const now_ = sorted(box);
    if (now_.every((value, index) => Math.abs(value - mark.xyxy[index]) < 0.6) || now_[2] - now_[0] < 3 || now_[3] - now_[1] < 3) draw();
    else if (mark.kind === "box") sayOfBox(film, mark.place, "changed", now_);
    else change(film, mark.finding, (verdicts) => Object.assign(verdicts.added[mark.place], { xyxy: now_, at: now() }));
  });
}

function follow(move, end) {
  const stop = () => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", stop);
    removeEventListener("pointercancel", stop);
    end();
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", stop);
  addEventListener("pointercancel", stop);
}

function drawNew(event, film, svg) {
  if (!drawing) return;
  event.preventDefault();
  const start = at(event, film, svg);
  const rect = make("rect", { class: "mark mine chosen", stroke: findings.get(drawing).colour });
  svg.append(rect);
  let box = [...start, ...start];
  follow((moving) => {
    box = sorted([...start, ...at(moving, film, svg)]);
    place(rect, box);
  }, () => {
    const finding = drawing;
    if (box[2] - box[0] < 3 || box[3] - box[1] < 3) return draw();
    drawing = null;
    addBox(film, finding, box, "drawn");
  });
}

function verdictWords(mark) {
  if (mark.kind === "added") return mark.box.from === "drawn" ? "drawn by you" : "taken from the detector";
  if (mark.kind === "detection") return "";
  if (mark.gone) return "removed";
  return { kept: "right", changed: "changed" }[mark.verdict && mark.verdict.do] || "";
}

function sourceWords(mark) {
  if (mark.kind === "detection") return `detector ${mark.box.score.toFixed(2)} (dashed)`;
  if (mark.kind === "added") return "yours";
  return mark.box.n_readers > 1 ? `${mark.box.votes} of ${mark.box.n_readers} readers: ${mark.box.readers}` : mark.box.readers;
}

function button(words, act, more = {}) {
  return make("button", { type: "button", onclick: act, ...more }, words);
}

function boxRow(film, mark, number) {
  const finding = findings.get(mark.finding);
  const verdict = verdictWords(mark);
  const row = make("div", { class: "row" + (isChosen(mark) ? " chosen" : ""), style: `--shade:${finding.colour}` },
    button(`${number < 9 ? number + 1 + ". " : ""}${finding.display} · ${sourceWords(mark)}`, () => {
      chosen = { kind: mark.kind, place: mark.place, finding: mark.finding };
      draw();
    }, { class: "what", title: `What a box should enclose: ${finding.box}` }));
  if (verdict) row.append(make("span", { class: "verdict" }, verdict));
  if (mark.kind === "box") {
    const doing = mark.verdict && mark.verdict.do;
    row.append(button("Right", () => sayOfBox(film, mark.place, "kept"), { "aria-pressed": doing === "kept", "data-do": "kept" }),
      button("Wrong", () => sayOfBox(film, mark.place, "removed"), { "aria-pressed": doing === "removed", "data-do": "removed" }));
    if (doing === "changed") row.append(button("Back", () => change(film, mark.finding, (verdicts) => delete verdicts.boxes[mark.place])));
  } else if (mark.kind === "detection") {
    row.append(button("Take as box", () => addBox(film, mark.finding, mark.xyxy, mark.place), { "data-do": "take" }));
  } else {
    row.append(button("Delete", () => {
      chosen = null;
      change(film, mark.finding, (verdicts) => verdicts.added.splice(mark.place, 1));
    }, { "data-do": "delete" }));
  }
  return row;
}

function findingRow(film, finding) {
  const verdicts = verdictsOf(film, finding.key);
  const stands = film.presence[finding.key];
  const words = { boxed: "boxed", present: "present, no box", absent: "absent", unknown: "unknown" };
  const assumed = film.assumed.includes(finding.key) ? " (only assumed)" : "";
  const more = assumed + (film.not_assessed.includes(finding.key) ? "; not assessed by the detector" : "");
  return make("div", { class: "row" + (chosen && chosen.finding === finding.key ? " chosen" : ""), style: `--shade:${finding.colour}`,
    "data-finding": finding.key },
    button(`${finding.display} · ${words[stands]}${more}`, () => {
      chosen = { kind: "finding", place: 0, finding: finding.key };
      draw();
    }, { class: "what", title: `What a box should enclose: ${finding.box}` }),
    verdicts.presence ? make("span", { class: "verdict" }, words[verdicts.presence.to]) : null,
    verdicts.second ? make("span", { class: "verdict" }, "second opinion") : null,
    select([["", "as it is"], ["present", "present, no box"], ["absent", "absent"], ["unknown", "unknown"]],
      verdicts.presence ? verdicts.presence.to : "", (to) => setPresence(film, finding.key, to),
      { "aria-label": `Presence of ${finding.display}` }),
    button(drawing === finding.key ? "Draw now…" : "Draw", () => {
      drawing = drawing === finding.key ? null : finding.key;
      chosen = { kind: "finding", place: 0, finding: finding.key };
      draw();
    }, { "aria-pressed": drawing === finding.key, "data-do": "draw" }),
    button("2nd", () => change(film, finding.key, (each) => (each.second = !each.second)),
      { "aria-pressed": verdicts.second, title: "Ask for a second opinion", "data-do": "second" }));
}

function filmView(film) {
  const svg = overlay(film, true);
  svg.addEventListener("pointerdown", (event) => drawNew(event, film, svg));
  if (drawing) svg.classList.add("drawing");
  const fit = make("div", { class: "fit picture", style: `aspect-ratio:${film.width}/${film.height};max-width:calc((100vh - 70px)*${film.width}/${film.height})` },
    make("img", { src: film.picture, alt: `Chest radiograph ${film.id}`, draggable: "false" }), svg);
  const marks = marksOf(film);
  const about = [film.source, film.split, film.aside ? `put aside: ${film.aside}` : "", film.read ? "" : "not read by a detector"];
  const keys = wanted.finding ? [wanted.finding] : [...findings.keys()];
  const reasonOf = chosen ? chosen.finding : wanted.finding || null;
  const verdicts = reasonOf ? verdictsOf(film, reasonOf) : null;
  const words = make("div", { class: "said" },
    make("h2", {}, film.id), make("div", { class: "quiet" }, about.filter(Boolean).join(" · ")),
    make("div", { class: "buttons" },
      button("← Before", () => go(-1), { disabled: open === 0 }), button("Next →", () => go(1), { disabled: open >= shown.length - 1, class: "main" }),
      button("All films", () => go(null)), make("span", { class: "count" }, `${open + 1} of ${shown.length}`)),
    make("div", { class: "rows" }, ...marks.map((mark, number) => boxRow(film, mark, number)),
      marks.length ? null : make("div", { class: "quiet" }, "No box here.")),
    make("div", { class: "rows" }, ...keys.map((key) => findingRow(film, findings.get(key)))),
    verdicts ? field(`Reason, for ${findings.get(reasonOf).display}`, make("textarea", { id: "reason", maxlength: 2000, placeholder: "What is seen. No patient's name.",
      onchange: (event) => {
        verdictsOf(film, reasonOf, true).reason = event.target.value;
        keep();
      } }, verdicts.reason)) : null,
    verdicts ? make("div", { class: "quiet" }, `What a box should enclose: ${findings.get(reasonOf).box}.`) : null,
    make("div", { class: "keys" }, ...keyWords()));
  return make("div", { class: "film" }, make("div", { class: "stage" }, fit), words);
}

function keyWords() {
  const pairs = [["← →", "films"], ["1–9", "box"], ["k", "right"], ["x", "wrong"], ["a", "take detection"], ["n", "draw"], ["p", "present"],
    ["0", "absent"], ["u", "unknown"], ["s", "second opinion"], ["Esc", "back"]];
  return pairs.flatMap(([key, does]) => [make("kbd", {}, key), ` ${does}  `]);
}

function thumbs() {
  const first = wanted.page * PER_PAGE;
  const grid = make("div", { class: "thumbs" });
  shown.slice(first, first + PER_PAGE).forEach((film, index) => {
    const there = [...findings.values()].filter((each) => ["boxed", "present"].includes(film.presence[each.key]));
    const found = [...new Set(speaking(film).map((det) => findings.get(det.finding).display))];
    const words = [there.map((each) => each.display).join(", ") || "nothing known to be there"];
    if (found.length) words.push(`detector: ${found.join(", ")}`);
    if (looked(film)) words.push("✔ something said");
    const inner = make("div", {}, make("img", { src: film.picture, alt: "", loading: "lazy" }), overlay(film, false));
    grid.append(button("", () => go(null, first + index), { class: "thumb", "aria-label": `Open ${film.id}` }));
    grid.lastChild.append(make("div", { class: "picture" }, inner), make("div", { class: "words" }, make("b", {}, film.id), ` ${words.join(" · ")}`));
  });
  const n = Math.max(1, Math.ceil(shown.length / PER_PAGE));
  const turn = (by) => () => {
    wanted.page += by;
    draw();
    scrollTo(0, 0);
  };
  return make("div", {}, grid, make("div", { class: "buttons" },
    button("← Page", turn(-1), { disabled: wanted.page === 0 }), make("span", { class: "count" }, `page ${wanted.page + 1} of ${n}`),
    button("Page →", turn(1), { disabled: wanted.page >= n - 1 })));
}

function go(by, to = null) {
  open = by === null ? to : Math.max(0, Math.min(shown.length - 1, open + by));
  if (by !== null) wanted.page = Math.floor(open / PER_PAGE);
  chosen = drawing = null;
  draw();
  const view = root.querySelector(".film");
  if (view) view.scrollIntoView({ block: "start" });
}

function draw() {
  const film = open === null ? null : shown[open];
  if (film === null) shown = filtered(); // a film that is open stays, whatever is said of it
  const focus = document.activeElement && document.activeElement.id;
  root.replaceChildren(bar(), film ? filmView(film) : thumbs());
  if (focus) {
    const again = document.getElementById(focus);
    if (again) again.focus();
  }
}

addEventListener("keydown", (event) => {
  if (open === null || event.ctrlKey || event.metaKey || event.altKey) return;
  if (["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const film = shown[open];
  const marks = marksOf(film);
  const mark = marks.find(isChosen);
  const finding = chosen ? chosen.finding : wanted.finding;
  const act = {
    ArrowLeft: () => go(-1), ArrowRight: () => go(1),
    Escape: () => (drawing ? ((drawing = null), draw()) : go(null)),
    k: () => mark && mark.kind === "box" && sayOfBox(film, mark.place, "kept"),
    x: () => mark && mark.kind === "box" && sayOfBox(film, mark.place, "removed"),
    a: () => mark && mark.kind === "detection" && addBox(film, mark.finding, mark.xyxy, mark.place),
    n: () => finding && ((drawing = finding), draw()),
    p: () => finding && setPresence(film, finding, "present"),
    0: () => finding && setPresence(film, finding, "absent"),
    u: () => finding && setPresence(film, finding, "unknown"),
    s: () => finding && change(film, finding, (each) => (each.second = !each.second)),
  }[event.key];
  const number = Number(event.key) - 1;
  if (act) act();
  else if (number >= 0 && marks[number]) {
    chosen = { kind: marks[number].kind, place: marks[number].place, finding: marks[number].finding };
    draw();
  } else return;
  event.preventDefault();
});

draw();
