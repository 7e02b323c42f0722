// A list of which only what can be seen is in the document. Rows may be of any height: heights are
// guessed until a row has been seen, and whatever stands in view stays where it is when a guess was wrong.

class VirtualList {
  /**
   * @param {HTMLElement} box what scrolls, when the list is long; else the page does
   * @param {(row: number) => HTMLElement} render
   */
  constructor(box, render) {
    this.box = box;
    this.render = render;
    this.sheet = el("div", { class: "sheet", role: "presentation" });
    this.box.append(this.sheet);
    this.count = 0;
    this.guess = 64;
    /** @type {Float64Array} */
    this.heights = new Float64Array(0);
    /** Where each row begins; one more at the end. @type {Float64Array} */
    this.tops = new Float64Array(1);
    /** @type {Map<number, HTMLElement>} */
    this.shown = new Map();
    /** Rows that stay in the document although they are out of sight. @type {number} */
    this.pinned = -1;
    const later = () => this.soon();
    box.addEventListener("scroll", later, { passive: true });
    addEventListener("scroll", later, { passive: true });
    new ResizeObserver(() => this.refresh()).observe(box);
    this.width = 0;
  }

  /**
   * Shows other rows. `keys` names them: those that stay keep their height.
   * @param {string[]} keys
   */
  reset(keys) {
    const known = new Map();
    for (let row = 0; row < this.count; row++) if (this.heights[row]) known.set(this.keys[row], this.heights[row]);
    this.keys = keys;
    this.count = keys.length;
    this.heights = new Float64Array(keys.length);
    keys.forEach((key, row) => (this.heights[row] = known.get(key) ?? 0));
    this.forget();
    this.place();
    this.draw();
  }

  /** @type {string[]} */
  keys = [];

  /** Draws all rows anew, as after a change of the width. */
  refresh() {
    const { clientWidth } = this.box;
    if (clientWidth === this.width) return this.draw();
    const first = this.width === 0;
    this.width = clientWidth;
    // What was drawn before the first measure was drawn at this width already.
    if (first && this.shown.size) return this.draw();
    const anchor = this.at(this.box.scrollTop);
    this.heights.fill(0);
    this.place();
    if (this.box.scrollTop > 0) this.box.scrollTop = this.tops[anchor];
    this.draw();
  }

  /** Draws one row anew. @param {number} row */
  redraw(row) {
    this.shown.get(row)?.remove();
    this.shown.delete(row);
    this.draw();
  }

  forget() {
    this.sheet.replaceChildren();
    this.shown.clear();
  }

  place() {
    const tops = new Float64Array(this.count + 1);
    for (let row = 0; row < this.count; row++) tops[row + 1] = tops[row] + (this.heights[row] || this.guess);
    this.tops = tops;
    const total = tops[this.count];
    this.sheet.style.height = `${total}px`;
    this.box.classList.toggle("long", total > 1.6 * innerHeight);
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  waiting = false;

  /** The row at a height. @param {number} y */
  at(y) {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What of the sheet can be seen. */
  view() {
    const box = this.box.getBoundingClientRect();
    const top = this.box.scrollTop + Math.max(0, -box.top);
    const bottom = this.box.scrollTop + Math.min(box.height, innerHeight - box.top);
    return { top, bottom };
  }

  draw() {
    // Twice: what the first pass has measured may make room for more.
    for (let pass = 0; pass < 3; pass++) {
      const { top, bottom } = this.view();
      const [first, last] = [this.at(top - 400), Math.min(this.count, this.at(bottom + 400) + 1)];
      for (const [row, element] of this.shown) {
        if ((row < first || row >= last) && row !== this.pinned) {
          element.remove();
          this.shown.delete(row);
        }
      }
      const wanted = [];
      for (let row = first; row < last; row++) wanted.push(row);
      if (this.pinned >= 0 && this.pinned < this.count && (this.pinned < first || this.pinned >= last)) {
        wanted.push(this.pinned);
      }
      for (const row of wanted) if (!this.shown.has(row)) this.add(row);
      if (!this.measure(top)) break;
    }
  }

  /** In their order in the document too, so that a reader of the screen meets them so. @param {number} row */
  add(row) {
    const element = this.render(row);
    let next = null;
    for (const [other, shown] of this.shown) {
      if (other > row && (next === null || other < next.row)) next = { row: other, shown };
    }
    this.shown.set(row, element);
    this.sheet.insertBefore(element, next?.shown ?? null);
    element.style.transform = `translateY(${this.tops[row]}px)`;
  }

  /**
   * Takes the heights of what is shown; returns whether one was guessed wrong.
   * @param {number} top
   */
  measure(top) {
    const anchor = this.at(top);
    const before = this.tops[anchor];
    let changed = false;
    for (const [row, element] of this.shown) {
      const height = element.offsetHeight;
      if (height > 0 && height !== this.heights[row]) {
        changed ||= height !== (this.heights[row] || this.guess);
        this.heights[row] = height;
      }
    }
    if (!changed) return false;
    this.place();
    for (const [row, element] of this.shown) element.style.transform = `translateY(${this.tops[row]}px)`;
    const moved = this.tops[anchor] - before;
    if (moved !== 0 && top > 0) {
      if (this.box.scrollTop > 0) this.box.scrollTop += moved;
      else scrollBy(0, moved);
    }
    return true;
  }

  /** Brings a row into view. @param {number} row @param {boolean} [center] */
  reveal(row, center = false) {
    for (let pass = 0; pass < 3; pass++) {
      const height = this.heights[row] || this.guess;
      if (this.box.classList.contains("long")) {
        const room = this.box.clientHeight;
        const y = this.tops[row];
        if (center) this.box.scrollTop = y - Math.max(0, (room - height) / 3);
        else if (y < this.box.scrollTop) this.box.scrollTop = y;
        else if (y + Math.min(height, room) > this.box.scrollTop + room) this.box.scrollTop = y + Math.min(height, room) - room;
      }
      this.draw();
      this.shown.get(row)?.scrollIntoView({ block: center ? "center" : "nearest" });
      this.draw();
    }
  }

  /** On paper all rows are in the document, up to a bound. @param {boolean} on */
  print(on) {
    this.forget();
    this.box.classList.toggle("printed", on);
    if (!on) return this.refresh();
    for (let row = 0; row < Math.min(this.count, 400); row++) this.sheet.append(this.render(row));
    if (this.count > 400) this.sheet.append(el("p", {}, `… and ${number(this.count - 400)} more rows`));
  }
}
