// How the process did over time, where it was recorded: small charts with one axis.

const [CHART_HEIGHT, CHART_LEFT] = [64, 64];

class TimelineView {
  /** @param {any} timeline */
  constructor(timeline) {
    this.timeline = timeline;
    const seconds = (/** @type {number} */ n) => (n < 1 ? `${Math.round(n * 1000)} ms` : `${n.toFixed(1)} s`);
    const percent = (/** @type {number} */ n) => `${Math.round(n * 100)} %`;
    const plain = (/** @type {number} */ n) => number(Math.round(n));
    const charts = [
      { name: "tasks", words: "tasks", values: timeline.tasks, show: plain },
      { name: "ready", words: "callbacks ready", values: timeline.ready, show: plain },
      { name: "busy", words: "loop busy", values: timeline.busy, show: percent, most: 1 },
      { name: "lag", words: "loop late", values: timeline.lag_s, show: seconds },
      ...timeline.sites.slice(0, 8).map((/** @type {any} */ site) => ({
        name: "site",
        words: `${site.function} ${site.file}${site.line ? `:${site.line}` : ""}`,
        values: site.counts,
        show: plain,
      })),
    ];
    this.charts = charts.filter((chart) => chart.values.length > 1);
    this.readout = el("output", { class: "readout", "aria-live": "polite" });
    this.at = timeline.times_s.length - 1;
    this.figures = el("div", {
      class: "charts", tabindex: 0, role: "group", "aria-label": "timeline; arrow keys move through time",
      pointermove: (/** @type {PointerEvent} */ event) => this.point(event),
      keydown: (/** @type {KeyboardEvent} */ event) => this.key(event),
    });
    const end = timeline.times_s.at(-1) ?? 0;
    const left = timeline.sites.length > 8 ? `${number(timeline.sites.length - 8)} more places not drawn` : null;
    this.element = section("timeline", "Timeline", `${amount(timeline.times_s.length, "sample")} in ${seconds(end)}`,
      this.readout, this.figures, left && el("p", { class: "left-out" }, left));
    this.width = 0;
    new ResizeObserver(() => this.draw()).observe(this.figures);
  }

  /** @param {number} i @param {number} width */
  x(i, width) {
    const { times_s } = this.timeline;
    const [first, last] = [times_s[0], times_s.at(-1)];
    return CHART_LEFT + ((times_s[i] - first) / (last - first || 1)) * (width - CHART_LEFT - 8);
  }

  draw() {
    const width = this.figures.clientWidth;
    if (width === 0 || width === this.width) return;
    this.width = width;
    this.figures.replaceChildren(...this.charts.map((chart) => this.chart(chart, width)));
    this.show(this.at);
  }

  /** @param {any} chart @param {number} width */
  chart({ name, words, values, show, most }, width) {
    const high = most ?? Math.max(1e-9, ...values);
    const y = (/** @type {number} */ value) => CHART_HEIGHT - 6 - (Math.max(0, value) / high) * (CHART_HEIGHT - 14);
    const points = values.slice(0, this.timeline.times_s.length).map((/** @type {number} */ value, /** @type {number} */ i) => `${this.x(i, width).toFixed(1)} ${y(value).toFixed(1)}`);
    const [left, right] = [CHART_LEFT, this.x(points.length - 1, width)];
    const peak = Math.max(...values);
    return el("figure", { class: `chart ${name}` },
      el("figcaption", {}, el("span", { class: "place" }, words), el("span", { class: "note" }, `last ${show(values.at(-1))}, most ${show(peak)}`)),
      svg("svg", { width, height: CHART_HEIGHT, role: "img", "aria-label": `${words}: last ${show(values.at(-1))}, most ${show(peak)}` },
        svg("path", { class: "axis", d: `M${left} 4V${CHART_HEIGHT - 6}H${width - 8}` }),
        svg("text", { class: "tick-words", x: left - 6, y: 16, "text-anchor": "end" }, show(high)),
        svg("text", { class: "tick-words", x: left - 6, y: CHART_HEIGHT - 6, "text-anchor": "end" }, "0"),
        svg("path", { class: "area", d: `M${left} ${CHART_HEIGHT - 6}L${points.join("L")}L${right} ${CHART_HEIGHT - 6}z` }),
        svg("path", { class: "line", d: `M${points.join("L")}` }),
        svg("path", { class: "cursor", d: "" })));
  }

  /** @param {PointerEvent} event */
  point(event) {
    const x = event.clientX - this.figures.getBoundingClientRect().left;
    const { times_s } = this.timeline;
    let [low, high] = [0, times_s.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x(middle, this.width) < x) low = middle + 1;
      else high = middle;
    }
    this.show(low);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.timeline.times_s.length - 1;
    /** @type {Record<string, number>} */
    const to = { ArrowLeft: Math.max(0, this.at - 1), ArrowRight: Math.min(last, this.at + 1), Home: 0, End: last };
    if (to[event.key] === undefined) return;
    event.preventDefault();
    this.show(to[event.key]);
  }

  /** @param {number} at */
  show(at) {
    this.at = at;
    const said = this.charts.filter(({ name }) => name !== "site").map(({ words, values, show }) => `${words} ${show(values[at] ?? 0)}`);
    this.readout.textContent = `at ${this.timeline.times_s[at].toFixed(2)} s: ${said.join(", ")}`;
    const x = this.x(at, this.width);
    for (const cursor of this.figures.querySelectorAll(".cursor")) cursor.setAttribute("d", `M${x} 4V${CHART_HEIGHT - 6}`);
  }
}
