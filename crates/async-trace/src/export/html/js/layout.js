// Where the nodes of the wait graph stand. A deadlock is a ring, and is laid out as one; what else there is
// stands in layers, each above what it waits for. It fits the width of the screen: a telephone gets two columns.

/**
 * @typedef {{ x: number, y: number, w: number, h: number }} Box
 * @typedef {{ boxes: Box[], width: number, height: number, rings: { x: number, y: number, ring: number }[] }} Layout
 */

const NODE_HEIGHT = 64;

/**
 * @param {number} count how many nodes
 * @param {{ from: number, to: number }[]} edges
 * @param {number[][]} rings the nodes of each ring, in order
 * @param {number} width what there is
 * @returns {Layout}
 */
function layout(count, edges, rings, width) {
  const narrow = width < 560;
  const w = narrow ? Math.floor((width - 28) / 2) : 208;
  const metrics = { w, h: NODE_HEIGHT, gapX: narrow ? 24 : 44, gapY: narrow ? 46 : 58, width, narrow };
  const parts = components(count, edges).map((nodes) => {
    const inside = new Set(nodes);
    const ring = rings.findIndex((members) => members.length > 1 && inside.has(members[0]));
    return layoutPart(nodes, edges.filter((edge) => inside.has(edge.from)), ring >= 0 ? rings[ring] : [], ring, metrics);
  });
  // What has a ring comes first; the others stand beside each other as far as there is room.
  parts.sort((a, b) => Number(b.rings.length > 0) - Number(a.rings.length > 0) || b.height - a.height);
  /** @type {Box[]} */
  const boxes = new Array(count);
  const found = [];
  let [x, y, shelf, widest] = [0, 0, 0, 0];
  for (const part of parts) {
    if (x > 0 && x + part.width > width) [x, y, shelf] = [0, y + shelf + 34, 0];
    for (const [node, box] of part.boxes) boxes[node] = { ...box, x: box.x + x, y: box.y + y };
    found.push(...part.rings.map((at) => ({ ...at, x: at.x + x, y: at.y + y })));
    x += part.width + 40;
    widest = Math.max(widest, x - 40);
    shelf = Math.max(shelf, part.height);
  }
  return { boxes, width: Math.max(widest, 1), height: y + shelf, rings: found };
}

/** @param {number[]} numbers */
function middle(numbers) {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}

/** Nodes that hang together. @param {number} count @param {{ from: number, to: number }[]} edges */
function components(count, edges) {
  const leader = Array.from({ length: count }, (_, node) => node);
  const find = (/** @type {number} */ node) => {
    while (leader[node] !== node) node = leader[node] = leader[leader[node]];
    return node;
  };
  for (const { from, to } of edges) leader[find(from)] = find(to);
  /** @type {Map<number, number[]>} */
  const parts = new Map();
  for (let node = 0; node < count; node++) {
    const part = parts.get(find(node));
    if (part) part.push(node);
    else parts.set(find(node), [node]);
  }
  return [...parts.values()];
}

/**
 * @param {number[]} nodes @param {{ from: number, to: number }[]} edges @param {number[]} ring @param {number} number
 * @param {any} metrics
 */
function layoutPart(nodes, edges, ring, number, metrics) {
  const { w, h, gapX, gapY, width } = metrics;
  /** @type {Map<number, Box>} */
  const boxes = new Map();
  const rings = [];
  let bottom = 0;
  if (ring.length) {
    const placed = placeRing(ring, metrics);
    placed.boxes.forEach((box, i) => boxes.set(ring[i], box));
    rings.push({ x: placed.x, y: placed.y, ring: number });
    bottom = placed.height + gapY;
  }
  const layers = ring.length ? distances(nodes, edges, ring) : ranks(nodes, edges);
  const perRow = Math.max(1, Math.floor((width + gapX) / (w + gapX)));
  for (const layer of ordered(layers, edges, boxes)) {
    for (let i = 0; i < layer.length; i += perRow) {
      const row = layer.slice(i, i + perRow);
      row.forEach((node, at) => boxes.set(node, { x: at * (w + gapX), y: bottom, w, h }));
      bottom += h + (i + perRow < layer.length ? 18 : gapY);
    }
  }
  const right = Math.max(...[...boxes.values()].map((box) => box.x + box.w));
  // Rows that are shorter than the widest stand in its middle.
  /** @type {Map<number, Box[]>} */
  const rows = new Map();
  for (const [node, box] of boxes) {
    if (!ring.includes(node)) rows.set(box.y, [...(rows.get(box.y) ?? []), box]);
  }
  for (const row of rows.values()) {
    const shift = (right - Math.max(...row.map((box) => box.x + box.w))) / 2;
    for (const box of row) box.x += shift;
  }
  const ringRight = Math.max(0, ...ring.map((node) => (boxes.get(node)?.x ?? 0) + w));
  const shift = (right - ringRight) / 2;
  if (ring.length && shift > 0) {
    for (const node of ring) /** @type {Box} */ (boxes.get(node)).x += shift;
    for (const at of rings) at.x += shift;
  }
  return { boxes, width: right, height: Math.max(...[...boxes.values()].map((box) => box.y + box.h)), rings };
}

/** @param {number[]} ring @param {any} metrics */
function placeRing(ring, { w, h, gapX, gapY, width, narrow }) {
  const n = ring.length;
  const rx = Math.max(w / 2 + 50, n * 52);
  const ry = Math.max(h + 42, n * 31);
  if (!narrow && n > 2 && 2 * rx + w <= width) {
    const boxes = ring.map((_, i) => {
      const angle = (2 * Math.PI * i) / n - Math.PI / 2;
      return { x: rx + rx * Math.cos(angle), y: ry + ry * Math.sin(angle), w, h };
    });
    return { boxes, x: rx + w / 2, y: middle(boxes.map((box) => box.y)) + h / 2, height: Math.max(...boxes.map((box) => box.y)) + h };
  }
  // Two columns: down the right one, up the left one.
  const rows = Math.ceil(n / 2);
  const gap = Math.max(gapY, 64);
  // Of two, one line bends above and one below.
  const above = n === 2 ? 26 : 0;
  const wide = narrow ? gapX : Math.min(190, Math.max(gapX, width - 2 * w));
  const boxes = ring.map((_, i) => {
    const left = i === 0 || i > rows;
    const row = left ? (n - i) % n : i - 1;
    return { x: left ? 0 : w + wide, y: above + row * (h + gap), w, h };
  });
  const height = rows * (h + gap) - gap;
  const y = n === 2 ? above + h + 34 : height / 2;
  return { boxes, x: w + wide / 2, y, height: height + above + (n === 2 ? 44 : 0) };
}

/** Layers by how far nodes are from a ring. @param {number[]} nodes @param {{ from: number, to: number }[]} edges @param {number[]} ring */
function distances(nodes, edges, ring) {
  const distance = new Map(ring.map((node) => [node, 0]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const { from, to } of edges) {
      for (const [a, b] of [[from, to], [to, from]]) {
        const next = (distance.get(a) ?? Infinity) + 1;
        if (next < (distance.get(b) ?? Infinity)) {
          distance.set(b, next);
          changed = true;
        }
      }
    }
  }
  return layered(nodes.filter((node) => distance.get(node)), (node) => (distance.get(node) ?? 1) - 1);
}

/** Layers, each above what it waits for. @param {number[]} nodes @param {{ from: number, to: number }[]} edges */
function ranks(nodes, edges) {
  const rank = new Map(nodes.map((node) => [node, 0]));
  // As many rounds as there are nodes: where they wait for each other, there is no better answer.
  for (let round = 0; round < nodes.length; round++) {
    let changed = false;
    for (const { from, to } of edges) {
      const next = Math.min(nodes.length, (rank.get(from) ?? 0) + 1);
      if (from !== to && next > (rank.get(to) ?? 0)) {
        rank.set(to, next);
        changed = true;
      }
    }
    if (!changed) break;
  }
  return layered(nodes, (node) => rank.get(node) ?? 0);
}

/** @param {number[]} nodes @param {(node: number) => number} of */
function layered(nodes, of) {
  /** @type {number[][]} */
  const layers = [];
  for (const node of nodes) (layers[of(node)] ??= []).push(node);
  return layers.filter(Boolean);
}

/**
 * Puts the nodes of each layer near what they are tied to in the layer before.
 * @param {number[][]} layers @param {{ from: number, to: number }[]} edges @param {Map<number, Box>} placed
 */
function ordered(layers, edges, placed) {
  const centres = new Map([...placed].map(([node, box]) => [node, box.x]));
  return layers.map((layer) => {
    const wish = (/** @type {number} */ node) => {
      const near = edges.flatMap(({ from, to }) => (from === node ? [to] : to === node ? [from] : []));
      const known = near.map((other) => centres.get(other)).filter((x) => x !== undefined);
      return known.length ? middle(/** @type {number[]} */ (known)) : Infinity;
    };
    const wishes = new Map(layer.map((node) => [node, wish(node)]));
    const sorted = [...layer].sort((a, b) => {
      const [x, y] = [wishes.get(a) ?? 0, wishes.get(b) ?? 0];
      return x === y ? a - b : x - y;
    });
    sorted.forEach((node, i) => centres.set(node, i * 250));
    return sorted;
  });
}
