// The wait graph as a picture. Forms and words say what colours say.

/** @param {CanvasRenderingContext2D} pen @param {string} text @param {number} room @param {boolean} several names */
function shorten(pen, text, room, several) {
  if (pen.measureText(text).width <= room) return text;
  // Of several names, as many as there is room for.
  const names = several ? text.split(", ") : [];
  for (let n = names.length - 1; n > 0; n--) {
    const some = `${names.slice(0, n).join(", ")}, …`;
    if (pen.measureText(some).width <= room) return some;
  }
  // The middle goes: the end of a name or place says most.
  let keep = text.length;
  let short = "…";
  while (keep > 2 && pen.measureText((short = middleCut(text, keep))).width > room) keep--;
  return short;
}

/** @param {string} text @param {number} keep */
function middleCut(text, keep) {
  const characters = [...text];
  const head = Math.ceil(keep / 3);
  return `${characters.slice(0, head).join("")}…${characters.slice(-(keep - head)).join("")}`;
}

/** The point where the line to another box leaves a box. @param {Box} box @param {number} x @param {number} y */
function border(box, x, y) {
  const [cx, cy] = [box.x + box.w / 2, box.y + box.h / 2];
  const [dx, dy] = [x - cx, y - cy];
  const scale = Math.min(box.w / 2 / Math.abs(dx || 1e-9), box.h / 2 / Math.abs(dy || 1e-9));
  return [cx + dx * scale, cy + dy * scale];
}

/** A curve with one bend. @typedef {{ x1: number, y1: number, qx: number, qy: number, x2: number, y2: number }} Route */

/** From one box to another, `bend` to the side. @param {Box} from @param {Box} to @param {number} bend @returns {Route} */
function bent(from, to, bend) {
  const [fx, fy, tx, ty] = [from.x + from.w / 2, from.y + from.h / 2, to.x + to.w / 2, to.y + to.h / 2];
  const length = Math.hypot(tx - fx, ty - fy) || 1;
  const [qx, qy] = [(fx + tx) / 2 - ((ty - fy) / length) * bend * 2, (fy + ty) / 2 + ((tx - fx) / length) * bend * 2];
  const [x1, y1] = border(from, qx, qy);
  const [x2, y2] = border(to, qx, qy);
  return { x1, y1, qx, qy, x2, y2 };
}

/** @param {Route} route @param {number} t */
function pointOn({ x1, y1, qx, qy, x2, y2 }, t) {
  const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
  return [a * x1 + b * qx + c * x2, a * y1 + b * qy + c * y2];
}

/** @param {Box} box @param {number} x @param {number} y @param {number} margin */
function inside(box, x, y, margin) {
  return x > box.x - margin && x < box.x + box.w + margin && y > box.y - margin && y < box.y + box.h + margin;
}

/** @param {Box} a @param {Box} b */
function overlap(a, b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

class GraphView {
  constructor() {
    const { nodes, left_out } = data.graph;
    this.picture = el("div", { class: "picture" });
    const headlines = data.rings.map((/** @type {any} */ ring) => el("p", { class: "headline" }, say(ring.headline)));
    this.element = section("graph", "Wait graph", nodes.length ? "who waits for whom" : null,
      ...headlines,
      nodes.length ? this.picture : el("p", { class: "none" }, "No task waits for another, or for something that a task holds."),
      nodes.length ? this.legend() : null,
      left_out && el("p", { class: "left-out" }, left_out));
    this.width = 0;
    if (nodes.length) new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  legend() {
    const kinds = new Set(data.graph.nodes.map((/** @type {any} */ node) => node.kind));
    const sample = (/** @type {string} */ kind) =>
      svg("svg", { class: "sample", width: 34, height: 20, viewBox: "0 0 34 20", "aria-hidden": "true" }, this.shape(kind, 2, 2, 30, 16));
    const item = (/** @type {string} */ kind, /** @type {string} */ words) =>
      kinds.has(kind) && el("span", { class: `node ${kind}` }, sample(kind), words);
    return el("p", { class: "legend" }, item("task", "task"), item("resource", "lock, queue, pool, …"), item("thread", "thread"),
      data.rings.length > 0 && el("span", { class: "ring-key" }, "thick line: part of a ring"),
      data.graph.edges.some((/** @type {any} */ edge) => edge.guessed) && el("span", {}, "dashed: a guess"));
  }

  /** @param {string} kind @param {number} x @param {number} y @param {number} w @param {number} h */
  shape(kind, x, y, w, h) {
    const cut = Math.min(12, h / 3);
    if (kind === "resource") {
      const points = [[x + cut, y], [x + w - cut, y], [x + w, y + h / 2], [x + w - cut, y + h], [x + cut, y + h], [x, y + h / 2]];
      return svg("polygon", { class: "shape", points: points.join(" ") });
    }
    const rect = svg("rect", { class: "shape", x, y, width: w, height: h, rx: kind === "task" ? Math.min(10, h / 2) : 0 });
    if (kind === "task") return rect;
    return svg("g", {}, rect, svg("path", { class: "bars", d: `M${x + 6} ${y}v${h}M${x + w - 6} ${y}v${h}` }));
  }

  draw() {
    const { paddingLeft, paddingRight } = getComputedStyle(this.picture);
    const width = Math.floor(this.picture.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
    if (width === 0 || width === this.width) return;
    this.width = width;
    const { nodes, edges } = data.graph;
    const rings = data.rings.map((/** @type {any} */ ring) => ring.nodes);
    const plan = layout(nodes.length, edges, rings, width - 8);
    const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
    const label = data.rings.length ? `Wait graph. ${data.rings.map((/** @type {any} */ r) => saidText(r.headline)).join(". ")}` : "Wait graph";
    // Lines may go around the nodes where there is room beside them.
    const [w, h] = [Math.max(plan.width + 8, width), plan.height + 8];
    const beside = Math.floor((w - plan.width) / 2);
    const picture = svg("svg", { width: w, height: h, viewBox: `${-beside} -4 ${w} ${h}`, role: "group", "aria-label": label },
      svg("defs", {}, this.marker("arrow"), this.marker("ring-arrow")));
    const reverse = new Set(edges.map((/** @type {any} */ edge) => `${edge.to} ${edge.from}`));
    const labels = svg("g", { class: "labels" });
    /** Where words must not stand. @type {Box[]} */
    const taken = plan.boxes.map(({ x, y, w, h }) => ({ x: x - 2, y: y - 2, w: w + 4, h: h + 4 }));
    for (const { x, y } of plan.rings) taken.push({ x: x - 58, y: y - 10, w: 116, h: 20 });
    // Rings last: they lie on top, but their words have the first choice.
    const paths = [...edges].sort((a, b) => Number(b.ring !== undefined) - Number(a.ring !== undefined)).map((edge) => {
      const route = this.route(edge, plan, beside, reverse.has(`${edge.from} ${edge.to}`));
      this.label(edge, route, taken, labels);
      return this.edge(edge, route);
    });
    picture.append(...paths.reverse());
    nodes.forEach((/** @type {any} */ node, /** @type {number} */ at) => picture.append(this.node(node, at, plan.boxes[at], pen)));
    picture.append(labels);
    for (const { x, y, ring } of plan.rings) {
      const certain = !/probably/.test(saidText(data.rings[ring].headline));
      picture.append(svg("text", { class: "deadlock", x, y, "text-anchor": "middle", "dominant-baseline": "middle" },
        this.width < 560 && !certain ? "deadlock?" : certain ? "deadlock" : "probably a deadlock"));
    }
    this.picture.replaceChildren(picture);
  }

  /** @param {string} id */
  marker(id) {
    return svg("marker", { id, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: id === "arrow" ? 9 : 3.6, markerHeight: id === "arrow" ? 9 : 3.6, orient: "auto-start-reverse", markerUnits: id === "arrow" ? "userSpaceOnUse" : "strokeWidth" },
      svg("path", { d: "M0 0L10 5L0 10z", class: id }));
  }

  /**
   * The way of an edge: straight, or bent around what would be in its way.
   * @param {any} edge @param {Layout} plan @param {number} beside the room beside it @param {boolean} both whether one leads back too
   * @returns {Route}
   */
  route(edge, plan, beside, both) {
    const { [edge.from]: from, [edge.to]: to } = plan.boxes;
    const others = plan.boxes.filter((_, node) => node !== edge.from && node !== edge.to);
    const bends = both ? [26] : [0, 30, -30, 60, -60, 100, -100, 150, -150, 210, -210];
    let [best, least] = [bent(from, to, bends[0]), Infinity];
    const far = Math.hypot(from.x - to.x, from.y - to.y) * 0.55;
    for (const bend of bends.filter((bend) => both || Math.abs(bend) <= far)) {
      const route = bent(from, to, bend);
      let cost = Math.abs(bend) / 1000;
      for (let i = 1; i < 24; i++) {
        const [x, y] = pointOn(route, i / 24);
        if (x < -beside || y < 0 || x > plan.width + beside || y > plan.height) cost += 1;
        if (others.some((box) => inside(box, x, y, 5))) cost += 1;
      }
      if (cost < least) [best, least] = [route, cost];
    }
    return best;
  }

  /**
   * The words of an edge, where there is room for them.
   * @param {any} edge @param {Route} route @param {Box[]} taken @param {SVGElement} labels
   */
  label(edge, route, taken, labels) {
    const w = edge.words.length * 6.6;
    for (const t of [0.45, 0.35, 0.55]) {
      const [x, y] = pointOn(route, t);
      const box = { x: x - w / 2, y: y - 8, w, h: 16 };
      if (taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      labels.append(svg("text", { class: edge.ring === undefined ? "edge-words" : "edge-words ring", x, y, "text-anchor": "middle", "dominant-baseline": "middle" }, edge.words));
      return;
    }
  }

  /** @param {any} edge @param {Route} route */
  edge(edge, { x1, y1, qx, qy, x2, y2 }) {
    const ring = edge.ring !== undefined;
    return svg("path", {
      class: `edge${ring ? " ring" : ""}${edge.guessed ? " guessed" : ""}`,
      d: `M${x1} ${y1}Q${qx} ${qy} ${x2} ${y2}`,
      "marker-end": `url(#${ring ? "ring-arrow" : "arrow"})`,
    });
  }

  /** @param {any} node @param {number} at @param {Box} box @param {CanvasRenderingContext2D} pen */
  node(node, at, { x, y, w, h }, pen) {
    const inRing = data.rings.some((/** @type {any} */ ring) => ring.nodes.includes(at));
    const room = w - (node.kind === "resource" ? 34 : 26);
    const fits = (/** @type {string} */ text) => {
      pen.font = "11px ui-monospace, monospace";
      return pen.measureText(text).width <= room;
    };
    const line = (/** @type {string} */ text, /** @type {string} */ name, /** @type {string} */ font, /** @type {number} */ dy) => {
      pen.font = font;
      return svg("text", { class: name, x: x + w / 2, y: y + dy, "text-anchor": "middle" }, shorten(pen, text, room, name === "name" && node.kind === "task"));
    };
    const out = data.graph.edges.filter((/** @type {any} */ edge) => edge.from === at);
    const words = out.map((/** @type {any} */ edge) => `${edge.words} ${data.graph.nodes[edge.to].what} ${data.graph.nodes[edge.to].name}`);
    const full = [`${node.what} ${node.name}`, node.place && `at ${node.place}`, ...words].filter(Boolean).join("; ");
    return svg("a", { href: `#${node.link}`, class: `node ${node.kind}${inRing ? " in-ring" : ""}${node.found ? " found" : ""}`, "aria-label": full },
      svg("title", {}, full),
      this.shape(node.kind, x, y, w, h),
      line(node.what, "what", "600 11px system-ui, sans-serif", 17),
      line(node.name, "name", "600 14px system-ui, sans-serif", 36),
      line(fits(node.place) ? node.place : node.brief, "where", "11px ui-monospace, monospace", 54));
  }
}
