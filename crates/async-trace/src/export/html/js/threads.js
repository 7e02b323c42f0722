// Threads with their stacks; idle workers behind a fold.

class ThreadView {
  constructor() {
    /** @type {Set<string>} */
    this.unfolded = new Set();
    this.cards = data.threads.map((/** @type {any} */ _, /** @type {number} */ at) => this.card(at));
    const idle = this.cards.filter((/** @type {any} */ _, /** @type {number} */ at) => data.threads[at].idle);
    const busy = this.cards.filter((/** @type {any} */ _, /** @type {number} */ at) => !data.threads[at].idle);
    this.element = section("threads", "Threads", amount(data.threads.length, "thread"), ...busy,
      idle.length > 0 && el("details", { class: "idle" },
        el("summary", {}, idle.length === 1 ? "1 idle worker" : `${number(idle.length)} idle workers`), ...idle));
  }

  /** @param {number} at @returns {HTMLElement} */
  card(at) {
    const thread = data.threads[at];
    const again = () => {
      const next = this.card(at);
      this.cards[at].replaceWith(next);
      this.cards[at] = next;
      next.querySelector("button")?.focus();
    };
    return el("article", { class: "thread-card", id: `h${at}`, tabindex: -1 },
      el("h3", {}, say(thread.said, { skip: `h${at}` }),
        thread.loop !== undefined && el("span", { class: "note" }, "runs a loop")),
      thread.task !== undefined && el("p", { class: "fact" }, "executes a step of task ", taskLink(thread.task)),
      tables.chains[thread.chain].length > 0 &&
        stack(thread.chain, { all: false, innermost: true, key: `h${at}`, unfolded: this.unfolded, changed: again }),
      thread.facts.length > 0 && el("ul", { class: "facts" },
        ...thread.facts.map((/** @type {number} */ said) => el("li", {}, say(said)))));
  }
}
