// What Rust has written down, and what follows from it. Tasks, groups and the rest are named by number.

const data = JSON.parse(document.getElementById("data")?.textContent ?? "{}");
const { tables, tasks, groups } = data;

/** The names of the roles of pieces, as Rust counts them: also style classes. */
const ROLES = ["plain", "heading", "task", "function", "place", "library", "resource", "thread", "alarm", "source"];

/** The states of a task, with a sign for each, so that colour need not tell them apart. */
const STATES = [
  { name: "running", sign: "▶" },
  { name: "ready", sign: "◆" },
  { name: "waiting", sign: "…" },
  { name: "done", sign: "✓" },
];

/** The group each task stands in, and the one each group hangs below; -1 for none. */
const groupOf = new Int32Array(tasks.name.length).fill(-1);
const parentOf = new Int32Array(groups.level.length).fill(-1);
const elsewhere = new Set(groups.elsewhere);
/** Whether a group has others below it. */
const hasChildren = new Uint8Array(groups.level.length);

{
  /** @type {number[]} */
  const above = [];
  for (let group = 0; group < groups.level.length; group++) {
    const level = groups.level[group];
    above.length = level;
    if (level > 0) {
      parentOf[group] = above[level - 1];
      hasChildren[above[level - 1]] = 1;
    }
    above.push(group);
    if (!elsewhere.has(group)) for (const task of groups.members[group]) groupOf[task] = group;
  }
}

/** The tasks that wait for a task. @type {Map<number, number[]>} */
const awaitedBy = new Map();
for (const [waiter, pending] of Object.entries(tasks.pending)) {
  for (const task of pending) {
    const all = awaitedBy.get(task);
    if (all) all.push(Number(waiter));
    else awaitedBy.set(task, [Number(waiter)]);
  }
}

/** A text in lower case for the search. Made once for each, when it is first asked for. */
class Haystack {
  constructor() {
    /** @type {(string | undefined)[]} */
    this.names = [];
    /** @type {(string | undefined)[]} */
    this.chains = [];
    /** @type {(string | undefined)[]} */
    this.said = [];
  }

  /** @param {number} task */
  name(task) {
    return (this.names[task] ??= `${tasks.name[task]} ${tasks.id[task]}`.toLowerCase());
  }

  /** @param {number} chain */
  chain(chain) {
    return (this.chains[chain] ??= tables.chains[chain]
      .map((/** @type {number} */ at) => {
        const frame = tables.frames[at];
        return `${tables.text[frame.function]} ${tables.text[frame.file]}:${frame.line}`;
      })
      .join("\n")
      .toLowerCase());
  }

  /** @param {number} said */
  sentence(said) {
    return said < 0 ? "" : (this.said[said] ??= saidText(said).toLowerCase());
  }
}
const haystack = new Haystack();

/**
 * The tasks that fit. Chains and sentences that many tasks share are searched once.
 * @param {{ query: string, state: number, kind: number }} filter -1 for any
 * @returns {number[]}
 */
function search({ query, state, kind }) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  /** @type {Map<number, boolean>[]} */
  const chains = words.map(() => new Map());
  /** @type {Map<number, boolean>[]} */
  const sentences = words.map(() => new Map());
  const once = (/** @type {Map<number, boolean>} */ known, /** @type {number} */ key, /** @type {() => boolean} */ look) => {
    let found = known.get(key);
    if (found === undefined) known.set(key, (found = look()));
    return found;
  };
  const found = [];
  for (let task = 0; task < tasks.name.length; task++) {
    if (state >= 0 && tasks.state[task] !== state) continue;
    if (kind >= 0 && tasks.kind[task] !== kind) continue;
    const fits = words.every((word, i) => {
      const { [task]: chain } = tasks.chain;
      const { [task]: wait } = tasks.wait;
      return (
        haystack.name(task).includes(word) ||
        once(chains[i], chain, () => haystack.chain(chain).includes(word)) ||
        once(sentences[i], wait, () => haystack.sentence(wait).includes(word)) ||
        (tasks.facts[task] ?? []).some((/** @type {number} */ fact) => haystack.sentence(fact).includes(word))
      );
    });
    if (fits) found.push(task);
  }
  return found;
}
