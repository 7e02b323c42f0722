// Sentences and stacks as elements.

/** A sentence as plain text. @param {number} said @returns {string} */
function saidText(said) {
  return tables.said[said].map((/** @type {number} */ piece) => tables.text[tables.pieces[piece][1]]).join("");
}

/**
 * Words of our own, in which names stand between backticks.
 * @param {string} words @param {string} [link] where the first of the names leads to
 */
function named(words, link) {
  const out = document.createDocumentFragment();
  words.split("`").forEach((part, i) => {
    if (i % 2 === 0) out.append(part);
    else if (link && i === 1) out.append(el("a", { class: "name-of jump", href: `#${link}` }, part));
    else out.append(el("code", { class: "name-of" }, part));
  });
  return out;
}

/**
 * A sentence, with links to what it speaks of.
 * @param {number} said @param {{ jump?: string, skip?: string }} [how]
 *   `jump`: where the first name between backticks leads to; `skip`: the place it stands at
 */
function say(said, { jump, skip = "" } = {}) {
  const out = document.createDocumentFragment();
  for (const number of tables.said[said]) {
    const [role, text, link] = tables.pieces[number];
    const words = tables.text[text];
    if (link && link !== skip) out.append(el("a", { class: ROLES[role], href: `#${link}` }, words));
    else if (role === 0) out.append(named(words, jump));
    else out.append(el("span", { class: ROLES[role] }, words));
  }
  return out;
}

/** A link to a task. @param {number} task */
function taskLink(task) {
  return el("a", { class: "task", href: `#t${task}` }, tasks.name[task]);
}

/**
 * Names of tasks with links; of many the first.
 * @param {number[]} all @param {number} [most]
 */
function taskLinks(all, most = 8) {
  const out = document.createDocumentFragment();
  all.slice(0, most).forEach((task, i) => out.append(i > 0 ? ", " : "", taskLink(task)));
  if (all.length > most) out.append(` and ${number(all.length - most)} more`);
  return out;
}

/** The frame that tells most: the innermost own one. @param {number} chain */
function telling(chain) {
  const frames = tables.chains[chain].map((/** @type {number} */ at) => tables.frames[at]);
  const own = frames.filter((/** @type {any} */ frame) => frame.origin === 0 && frame.line > 0);
  return own.at(-1) ?? frames.at(-1);
}

/** `bank.py:40`. @param {any} frame */
function placeOf(frame) {
  return tables.text[frame.short] + (frame.line > 0 ? `:${frame.line}` : "");
}

/** A frame with its line of source. @param {any} frame */
function frameLine(frame) {
  const own = frame.origin === 0;
  const place = placeOf(frame);
  return el(
    "li",
    { class: own ? "frame own" : "frame" },
    el("span", { class: "where" },
      el("span", { class: own ? "function" : "library" }, tables.text[frame.function]),
      place && el("span", { class: "place", title: `${tables.text[frame.file]}:${frame.line}` }, place)),
    frame.source !== undefined && el("code", { class: "code" }, tables.text[frame.source]),
    frame.locals && el("dl", { class: "locals" },
      ...frame.locals.flatMap((/** @type {number[]} */ [name, value]) => [
        el("dt", {}, tables.text[name]), el("dd", {}, tables.text[value]),
      ])),
  );
}

/** `4 frames of aiohttp, asyncio`. @param {any[]} frames */
function foldedWords(frames) {
  const packages = [...new Set(frames.map((frame) => tables.text[frame.package]))];
  const more = packages.length > 3 ? " and others" : "";
  return `${amount(frames.length, "frame")} of ${packages.slice(0, 3).join(", ")}${more}`;
}

/**
 * A stack: own frames in full, those of libraries behind a button.
 * @param {number} chain
 * @param {{ all: boolean, innermost?: boolean, said?: boolean, key: string, unfolded: Set<string>, changed: () => void }} how
 *   `innermost`: that frame is shown whosever it is; `said`: words tell already what asyncio does at the end;
 *   `unfolded` remembers which folds are open, under names that begin with `key`.
 */
function stack(chain, { all, innermost = false, said = false, key, unfolded, changed }) {
  let frames = tables.chains[chain].map((/** @type {number} */ at) => tables.frames[at]);
  if (said && !all) {
    const own = frames.findLastIndex((/** @type {any} */ frame) => frame.origin !== 3);
    if (own >= 0) frames = frames.slice(0, own + 1);
  }
  const list = el("ol", { class: "stack", "aria-label": "stack, outermost first" });
  const foreign = frames.every((/** @type {any} */ frame) => frame.origin !== 0);
  const shown = (/** @type {number} */ i) =>
    all || frames[i].origin === 0 || (foreign && i === 0) || (innermost && i === frames.length - 1);
  for (let i = 0; i < frames.length; ) {
    if (shown(i)) {
      list.append(frameLine(frames[i++]));
      continue;
    }
    let end = i;
    while (end < frames.length && !shown(end)) end++;
    const folded = frames.slice(i, end);
    const name = `${key}:${i}`;
    const open = unfolded.has(name);
    list.append(el("li", { class: "fold" },
      el("button", {
        type: "button",
        "aria-expanded": String(open),
        click: () => {
          if (open) unfolded.delete(name);
          else unfolded.add(name);
          changed();
        },
      }, `${open ? "▾" : "▸"} ${foldedWords(folded)}`)));
    if (open) list.append(...folded.map(frameLine));
    i = end;
  }
  return list;
}
