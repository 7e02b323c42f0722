// Locks, queues, pools and their kin: how they stand, who has them, who waits.

class ResourceView {
  constructor() {
    this.box = el("div", { class: "list resources", role: "list", "aria-label": "resources" });
    this.list = new VirtualList(this.box, (row) => this.render(row));
    this.list.guess = 70;
    const many = data.resources.reduce((/** @type {number} */ sum, /** @type {any} */ each) => sum + each.count, 0);
    this.element = section("resources", "Resources", many ? number(many) : null,
      many ? this.box : el("p", { class: "none" }, "No locks, queues, pools or executors are waited for or held."));
    this.list.reset(data.resources.map((/** @type {any} */ _, /** @type {number} */ at) => `r${at}`));
  }

  /** @param {number} at */
  render(at) {
    const { said, count, waiters, threads } = data.resources[at];
    const waiting = waiters.length + threads.length;
    return el("div", { class: "row resource-row", role: "listitem", id: `row-r${at}`, tabindex: -1 },
      el("div", { class: "body" },
        el("div", { class: "head" },
          el("span", { class: waiting ? "badge waiting" : "badge" }, `${number(waiting)} waiting`),
          el("span", { class: "title" }, say(said, { skip: `r${at}` })),
          count > 1 && el("span", { class: "note" }, `and ${number(count - 1)} alike, each with at most one task`)),
        waiters.length > 0 && el("div", { class: "wait" }, amount(waiters.length, "task"), waiters.length === 1 ? " waits: " : " wait: ", taskLinks(waiters)),
        threads.length > 0 && el("div", { class: "wait" }, "blocked: ",
          ...threads.flatMap((/** @type {number} */ thread, /** @type {number} */ i) => [i ? ", " : "", say(data.threads[thread].said)]))));
  }

  /** @param {number} at */
  go(at) {
    this.list.reveal(at, true);
    const row = this.list.shown.get(at);
    row?.focus({ preventScroll: true });
    row?.classList.add("flash");
  }
}
