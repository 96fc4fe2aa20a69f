/** Texts in the reader's language, by key; the catalogue is `boxray/serve/words`. */
class Words {
  /** @param {Object<string, Object<string, string>>} catalogue language -> key -> text with {placeholders}
   *  @param {string} wanted a language tag such as zh-CN; English where the catalogue has it not */
  constructor(catalogue, wanted) {
    const language = wanted.split('-')[0].toLowerCase();
    this.texts = catalogue[language] ?? catalogue.en;
  }

  /** @param {string} key  @param {Object<string, string|number>} values @returns {string} */
  say(key, values = {}) {
    const text = this.texts[key];
    if (text === undefined) return key;  // a missing key is seen; a test finds it before
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  /** @param {{key: string, display: string}} finding @returns {string} */
  finding(finding) { return this.texts[`finding.${finding.key}`] ?? finding.display; }

  /** @param {string} code @returns {string} what a code of a refusal means */
  refusal(code) { return this.texts[`refusal.${code}`] ?? this.texts[code] ?? this.texts['refusal.internal.error'] ?? code; }
}

/** An element with attributes, listeners (`onclick`) and children; a child that is a string becomes text, never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') element.style.cssText = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
