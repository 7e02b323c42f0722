// The tasks: a tree that can be searched, filtered and folded, by mouse and by keyboard.

/** With so few rows, all stacks are shown at once. */
const FEW_ROWS = 12;

class TaskView {
  constructor() {
    this.filter = { grouped: true, query: "", state: -1, kind: -1 };
    this.allFrames = false;
    /** Rows whose folding differs from what it is at first. @type {Set<string>} */
    this.toggled = new Set();
    /** Rows whose details differ from what they are at first. @type {Set<string>} */
    this.opened = new Set();
    /** Folds of stacks that are open. @type {Set<string>} */
    this.unfolded = new Set();
    /** @type {Row[]} */
    this.rows = [];
    this.active = -1;
    const few = rowsOf(this.filter, this.toggled).rows.length <= FEW_ROWS;
    /** @type {(row: Row) => boolean} */
    this.openAtFirst = (row) =>
      few && (row.type === "group" || (row.type === "task" && groups.members[row.group]?.length === 1));

    this.tree = el("div", {
      class: "list", id: "task-tree", role: "tree", tabindex: 0, "aria-label": "tasks",
      keydown: (/** @type {KeyboardEvent} */ event) => this.key(event),
      click: (/** @type {MouseEvent} */ event) => this.click(event),
      focus: () => this.select(Math.max(0, this.active)),
    });
    this.list = new VirtualList(this.tree, (row) => this.render(row));
    this.toolbar = this.makeToolbar();
    this.element = section("tasks", "Tasks", amount(tasks.name.length, "task"),
      el("ul", { class: "loops", "aria-label": "event loops" },
        ...data.loops.map((/** @type {number} */ said) => el("li", {}, say(said)))),
      this.toolbar, this.tree,
      el("p", { class: "keys" }, ...keysHelp()));
  }

  makeToolbar() {
    this.search = /** @type {HTMLInputElement} */ (el("input", {
      type: "search", id: "search", placeholder: "name, function, file, what is waited for",
      "aria-label": "search tasks", "aria-controls": "task-tree", autocomplete: "off", spellcheck: "false",
      "aria-keyshortcuts": "/",
      input: () => {
        this.filter.query = this.search.value;
        this.update();
      },
      keydown: (/** @type {KeyboardEvent} */ event) => this.searchKey(event),
    }));
    this.count = el("output", { class: "count", for: "search", "aria-live": "polite" });
    const states = STATES.map(({ name }, state) => ({ name, value: state, count: countOf(tasks.state, state) }));
    const kinds = tables.kinds.map((/** @type {string} */ name, /** @type {number} */ kind) =>
      ({ name, value: kind, count: countOf(tasks.kind, kind) }));
    kinds.sort((/** @type {any} */ a, /** @type {any} */ b) => b.count - a.count);
    this.state = this.choice("filter-state", "State", "any state", states, (value) => (this.filter.state = value));
    this.kind = this.choice("filter-kind", "Waits for", "anything", kinds, (value) => (this.filter.kind = value));
    return el("search", { class: "toolbar", role: "search", "aria-label": "tasks" },
      this.search, this.state, this.kind,
      this.toggle("group-equal", "group equal tasks", true, (on) => (this.filter.grouped = on)),
      this.toggle("all-frames", "library frames", false, (on) => (this.allFrames = on)),
      this.count);
  }

  /**
   * @param {string} id @param {string} label @param {string} any
   * @param {{ name: string, value: number, count: number }[]} options @param {(value: number) => void} chosen
   */
  choice(id, label, any, options, chosen) {
    const select = /** @type {HTMLSelectElement} */ (el("select", {
      id, "aria-label": label, "aria-controls": "task-tree",
      change: () => {
        chosen(Number(select.value));
        this.update();
      },
    }, el("option", { value: -1 }, `${label}: ${any}`),
    ...options.filter((o) => o.count > 0).map((o) => el("option", { value: o.value }, `${label}: ${o.name} (${number(o.count)})`))));
    return select;
  }

  /** @param {string} id @param {string} label @param {boolean} on @param {(on: boolean) => void} changed */
  toggle(id, label, on, changed) {
    const box = /** @type {HTMLInputElement} */ (el("input", {
      type: "checkbox", id, checked: on,
      change: () => {
        changed(box.checked);
        this.update();
      },
    }));
    return el("label", { class: "toggle", for: id }, box, ` ${label}`);
  }

  /** Shows what fits the filter, and keeps what is selected where that is possible. */
  update() {
    const before = this.rows[this.active]?.key;
    const { rows, found } = rowsOf(this.filter, this.toggled);
    this.rows = rows;
    this.active = rows.findIndex((row) => row.key === before);
    this.list.pinned = this.active;
    this.list.reset(rows.map((row) => row.key));
    this.count.textContent = found === null ? "" : `${number(found)} of ${amount(tasks.name.length, "task")}`;
    this.tree.classList.toggle("nothing", rows.length === 0);
    this.mark();
  }

  /** @param {Row} row */
  isOpen(row) {
    return this.openAtFirst(row) !== this.opened.has(row.key);
  }

  /** @param {number} at */
  render(at) {
    const row = this.rows[at];
    const opens = row.type === "task" || row.type === "group";
    const open = opens && this.isOpen(row);
    const element = el("div", {
      class: `row row-${row.type}${open ? " open" : ""}${at === this.active ? " active" : ""}`,
      id: `row-${row.key}`, role: "treeitem", "data-row": at,
      "aria-level": row.level + 1,
      "aria-expanded": row.expanded === null ? (opens ? String(open) : null) : String(row.expanded),
      "aria-selected": String(at === this.active),
    });
    // The indentation of deep trees ends somewhere: the level is said instead.
    element.style.setProperty("--level", String(Math.min(row.level, 10)));
    const twisty = el("span", { class: "twisty", "aria-hidden": "true" }, row.expanded === null ? "" : row.expanded ? "▾" : "▸");
    element.append(twisty, el("div", { class: "body" }, ...this.body(row, open)));
    return element;
  }

  /** @param {Row} row @param {boolean} open @returns {Child[]} */
  body(row, open) {
    if (row.type === "loop") return [data.loops[row.group === -1 ? Number(row.key.slice(1)) : 0] !== undefined
      ? say(data.loops[Number(row.key.slice(1))])
      : "tasks whose loop could not be read"];
    if (row.type === "members") return [`these ${number(row.members.length)}, one by one`];
    if (row.type === "elsewhere") {
      const parent = parentOf[groupOf[row.task]];
      return ["task", row.members.length > 1 ? "s " : " ", taskLinks(row.members, 3), ", shown ",
        ...(parent >= 0 ? ["under task ", taskLink(groups.members[parent][0])] : ["elsewhere"])];
    }
    const many = row.type === "group";
    const { state, sign } = { state: STATES[tasks.state[row.task]].name, sign: STATES[tasks.state[row.task]].sign };
    const frame = telling(tasks.chain[row.task]);
    const deep = row.level > 10 ? `[${row.level}] ` : "";
    const head = el("div", { class: "head" },
      el("span", { class: `badge ${state}` }, el("span", { "aria-hidden": "true" }, sign), ` ${state}`),
      el("span", { class: "title" }, deep, this.title(row)),
      ...this.findingLinks(row.members),
      open && !many && el("span", { class: "identity" }, `id ${tasks.id[row.task]}`),
      !open && frame && el("span", { class: "place" }, placeOf(frame), " ",
        el("span", { class: "function" }, tables.text[frame.function])));
    const { wait, facts } = this.facts(row);
    const parts = [head];
    if (wait >= 0) parts.push(el("div", { class: "wait" }, el("span", { class: "arrow", "aria-hidden": "true" }, "→ "), say(wait)));
    if (open) parts.push(...this.details(row, many, wait >= 0, facts));
    return parts;
  }

  /** @param {Row} row */
  title(row) {
    if (row.type === "group" && row.key.startsWith("g")) return say(groups.title[row.group]);
    if (row.members.length === 1) return el("b", { class: "task" }, tasks.name[row.task]);
    const names = row.members.slice(0, 3).map((task) => tasks.name[task]).join(", ");
    return el("b", {}, `${amount(row.members.length, "task")}: ${names}${row.members.length > 3 ? ", …" : ""}`);
  }

  /** @param {Row} row @returns {{ wait: number, facts: number[] }} */
  facts(row) {
    if (row.type === "group" && row.key.startsWith("g")) {
      const facts = groups.facts[row.group] ?? [];
      return groups.waits[row.group] ? { wait: facts[0], facts: facts.slice(1) } : { wait: -1, facts };
    }
    return { wait: tasks.wait[row.task], facts: tasks.facts[row.task] ?? [] };
  }

  /** @param {number[]} members */
  findingLinks(members) {
    const found = new Set();
    for (const task of members) for (const finding of tasks.findings[task] ?? []) found.add(finding);
    return [...found].slice(0, 3).map((finding) => {
      const { severity, check } = data.findings[finding];
      return el("a", { class: `chip ${severity}`, href: `#f${finding}` }, `${SIGNS[/** @type {"error"} */ (severity)]} ${check}`);
    });
  }

  /** @param {Row} row @param {boolean} many @param {boolean} said @param {number[]} facts @returns {Child[]} */
  details(row, many, said, facts) {
    const { task } = row;
    const again = () => this.list.redraw(this.rows.indexOf(row));
    const how = { all: this.allFrames, unfolded: this.unfolded, changed: again };
    const chain = tasks.chain[task];
    const items = facts.map((said) => el("li", {}, say(said, { skip: many ? "" : `t${task}` })));
    const waiters = [...new Set(row.members.slice(0, 200).flatMap((member) => awaitedBy.get(member) ?? []))];
    if (waiters.length) items.push(el("li", {}, "awaited by ", taskLinks(waiters)));
    const pending = tasks.pending[task] ?? [];
    if (!many && pending.length > 1) items.push(el("li", {}, "waits for ", taskLinks(pending)));
    const parts = [];
    if (tables.chains[chain].length) parts.push(stack(chain, { ...how, said, key: `${row.key}c` }));
    if (items.length) parts.push(el("ul", { class: "facts" }, ...items));
    const created = many ? undefined : tasks.created[task];
    if (created !== undefined && tables.chains[created].length > 1) {
      parts.push(el("div", { class: "created" }, el("h4", {}, "the stack that created it"),
        stack(created, { ...how, key: `${row.key}n` })));
    }
    return parts;
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("a, button, input")) return;
    const element = /** @type {HTMLElement | null} */ (target.closest(".row"));
    // Whoever marks text to copy it does not want it to go away.
    if (!element || String(getSelection())) return;
    const at = Number(element.dataset.row);
    this.select(at);
    const row = this.rows[at];
    if (target.closest(".twisty") || row.type === "members") this.fold(at);
    else if (target.closest(".head, .wait")) this.open(at);
  }

  /** @param {number} at */
  fold(at) {
    const row = this.rows[at];
    if (!row || row.expanded === null) return;
    if (!this.toggled.delete(row.key)) this.toggled.add(row.key);
    this.update();
  }

  /** @param {number} at @param {boolean} [on] */
  open(at, on) {
    const row = this.rows[at];
    if (!row || (row.type !== "task" && row.type !== "group")) return row && this.fold(at);
    if (on === this.isOpen(row)) return;
    if (!this.opened.delete(row.key)) this.opened.add(row.key);
    this.list.redraw(at);
    this.mark();
  }

  /** @param {number} at @param {boolean} [center] */
  select(at, center = false) {
    if (!this.rows[at]) return;
    this.active = at;
    this.list.pinned = at;
    this.list.reveal(at, center);
    this.mark();
  }

  /** Shows which row is the active one. */
  mark() {
    for (const [at, element] of this.list.shown) {
      element.classList.toggle("active", at === this.active);
      element.setAttribute("aria-selected", String(at === this.active));
    }
    const row = this.rows[this.active];
    if (row) this.tree.setAttribute("aria-activedescendant", `row-${row.key}`);
    else this.tree.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inner = event.target !== this.tree;
    const row = this.rows[this.active];
    const last = this.rows.length - 1;
    /** @type {Record<string, () => void>} */
    const moves = {
      ArrowDown: () => this.select(Math.min(last, this.active + 1)),
      ArrowUp: () => this.select(Math.max(0, this.active - 1)),
      PageDown: () => this.select(Math.min(last, this.active + 10)),
      PageUp: () => this.select(Math.max(0, this.active - 10)),
      Home: () => this.select(0),
      End: () => this.select(last),
      ArrowRight: () => (row?.expanded === false ? this.fold(this.active) : this.select(Math.min(last, this.active + 1))),
      ArrowLeft: () => (row?.expanded === true ? this.fold(this.active) : this.select(this.parent(this.active))),
      Enter: () => this.open(this.active),
      " ": () => this.open(this.active),
      Escape: () => this.close(),
    };
    moves.j = moves.ArrowDown;
    moves.k = moves.ArrowUp;
    moves.l = moves.ArrowRight;
    moves.h = moves.ArrowLeft;
    // Links and buttons within a row have their own Enter.
    if (inner && event.key !== "Escape") return;
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    if (inner) this.tree.focus();
    move();
  }

  /** What Esc does: closes what is open, else gives up the search. */
  close() {
    const row = this.rows[this.active];
    if (row && this.isOpen(row)) this.open(this.active, false);
    else if (this.filter.query) this.clear();
  }

  /** @param {number} at */
  parent(at) {
    const level = this.rows[at]?.level ?? 0;
    while (at > 0 && this.rows[at].level >= level) at--;
    return at;
  }

  /** @param {KeyboardEvent} event */
  searchKey(event) {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      this.tree.focus();
      this.select(0);
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (this.search.value) this.clear();
      else this.search.blur();
    }
  }

  /** Searches for nothing. */
  clear() {
    this.search.value = "";
    this.state.value = this.kind.value = "-1";
    Object.assign(this.filter, { query: "", state: -1, kind: -1 });
    this.update();
  }

  /** Brings a task into view, with its details. @param {number} task */
  go(task) {
    const key = `t${task}`;
    const find = () => this.rows.findIndex((row) => row.key === key);
    if (find() < 0) {
      this.clear();
      this.unhide(task);
      this.update();
    }
    const at = find();
    if (at < 0) return;
    this.tree.focus({ preventScroll: true });
    this.open(at, true);
    this.select(at, true);
    this.list.shown.get(at)?.classList.add("flash");
  }

  /** Unfolds all that a task stands below. @param {number} task */
  unhide(task) {
    if (!this.filter.grouped) {
      for (let at = task, steps = 0; steps < 1000; steps++) {
        this.toggled.delete(`t${at}`);
        const waiters = awaitedBy.get(at);
        if (!waiters) return;
        at = waiters[0];
      }
      return;
    }
    let group = groupOf[task];
    if (group >= 0 && groups.members[group].length > 1) this.toggled.add(`m${group}`);
    for (; group >= 0; group = parentOf[group]) {
      const members = groups.members[group];
      this.toggled.delete(members.length > 1 ? `g${group}` : `t${members[0]}`);
    }
  }
}

/** @param {number[]} column @param {number} value */
function countOf(column, value) {
  let count = 0;
  for (const each of column) if (each === value) count++;
  return count;
}

/** What the keys do. @returns {Child[]} */
function keysHelp() {
  const keys = [["/", "search"], ["j k", "down, up"], ["h l", "fold, unfold"], ["Enter", "open"], ["Esc", "close"]];
  return keys.flatMap(([key, what]) => [el("kbd", {}, key), ` ${what}  `]);
}
