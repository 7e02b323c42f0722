// Which rows the tree of tasks has: with nothing searched for, groups below those that await them; else
// what was found.

/**
 * @typedef {object} Row
 * @property {string} key
 * @property {"loop" | "group" | "task" | "members" | "elsewhere"} type
 * @property {number} level
 * @property {number} group the group; -1 for none
 * @property {number} task the task, or the first of the group
 * @property {number[]} members
 * @property {boolean | null} expanded whether what is below it is shown; null where there is nothing
 */

/**
 * @param {{ grouped: boolean, query: string, state: number, kind: number }} filter
 * @param {Set<string>} toggled the keys of rows that are folded, or of those unfolded that are folded at first
 * @returns {{ rows: Row[], found: number | null }}
 */
function rowsOf(filter, toggled) {
  if (filter.query.trim() || filter.state >= 0 || filter.kind >= 0) {
    const found = search(filter);
    return { rows: filter.grouped ? foundGroups(found, toggled) : found.map((task) => taskRow(task, 0)), found: found.length };
  }
  return { rows: filter.grouped ? tree(toggled) : singly(toggled), found: null };
}

/** @param {number} task @param {number} level @returns {Row} */
function taskRow(task, level) {
  return { key: `t${task}`, type: "task", level, group: groupOf[task], task, members: [task], expanded: null };
}

/** All groups, below each other. @param {Set<string>} toggled */
function tree(toggled) {
  /** @type {Row[]} */
  const rows = [];
  let loop = -1;
  /** The level from which on rows are hidden. */
  let hidden = Infinity;
  const several = data.loops.length > 1;
  for (let group = 0; group < groups.level.length; group++) {
    const members = groups.members[group];
    let level = groups.level[group];
    if (level > hidden) continue;
    hidden = Infinity;
    if (level === 0 && groups.loop[group] !== loop) {
      loop = groups.loop[group];
      if (several) rows.push(loopRow(loop));
    }
    const base = several ? 1 : 0;
    const many = members.length > 1;
    const here = !elsewhere.has(group);
    const key = many || !here ? `g${group}` : `t${members[0]}`;
    const folds = here && (many || hasChildren[group] === 1);
    const expanded = folds ? !toggled.has(key) : null;
    const type = here ? (many ? "group" : "task") : "elsewhere";
    rows.push({ key, type, level: level + base, group, task: members[0], members, expanded });
    if (folds && !expanded) hidden = level;
    if (many && expanded) rows.push(...membersRows(group, members, level + base + 1, toggled));
  }
  return rows;
}

/**
 * The members of a group, one by one: folded at first.
 * @param {number} group @param {number[]} members @param {number} level @param {Set<string>} toggled
 */
function membersRows(group, members, level, toggled) {
  const key = `m${group}`;
  const expanded = toggled.has(key);
  /** @type {Row[]} */
  const rows = [{ key, type: "members", level, group, task: members[0], members, expanded }];
  if (expanded) for (const task of members) rows.push(taskRow(task, level + 1));
  return rows;
}

/** @param {number} loop @returns {Row} */
function loopRow(loop) {
  return { key: `l${loop}`, type: "loop", level: 0, group: -1, task: -1, members: [], expanded: null };
}

/** Each task in a row of its own, in the tree. @param {Set<string>} toggled */
function singly(toggled) {
  /** @type {Row[]} */
  const rows = [];
  const placed = new Set();
  /** @type {Array<[number, number]>} */
  const todo = [];
  const isRoot = (/** @type {number} */ task) => groupOf[task] >= 0 && groups.level[groupOf[task]] === 0;
  for (let task = tasks.name.length - 1; task >= 0; task--) if (isRoot(task)) todo.push([task, 0]);
  // Not a recursion: trees can be very deep.
  for (let next = todo.pop(); next; next = todo.pop()) {
    const [task, level] = next;
    if (placed.has(task)) continue;
    placed.add(task);
    const row = taskRow(task, level);
    const children = (tasks.pending[task] ?? []).filter((/** @type {number} */ child) => groupOf[child] >= 0 && !isRoot(child));
    if (children.length) {
      row.expanded = !toggled.has(row.key);
      if (row.expanded) for (const child of [...children].reverse()) todo.push([child, level + 1]);
    }
    rows.push(row);
  }
  return rows;
}

/** What was found, in groups of those that look alike. @param {number[]} found @param {Set<string>} toggled */
function foundGroups(found, toggled) {
  /** @type {Map<number, number[]>} */
  const byGroup = new Map();
  /** @type {Row[]} */
  const rows = [];
  for (const task of found) {
    const group = groupOf[task];
    const known = byGroup.get(group);
    if (known && group >= 0) known.push(task);
    else {
      const members = [task];
      if (group >= 0) byGroup.set(group, members);
      rows.push({ key: "", type: "task", level: 0, group, task, members, expanded: null });
    }
  }
  return rows.flatMap((row) => {
    const { group, members } = row;
    if (members.length === 1) return [taskRow(members[0], 0)];
    const all = members.length === groups.members[group].length;
    const shown = membersRows(group, members, 1, toggled);
    return [{ ...row, key: all ? `g${group}` : `f${group}`, type: /** @type {"group"} */ ("group") }, ...shown];
  });
}
