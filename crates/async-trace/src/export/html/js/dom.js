// Elements are made here and nowhere else: texts become text nodes, so that no name can become markup.

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes
 */

/**
 * Sets attributes; functions are listeners, `class` is a class, and what is false or null is left out.
 * @param {Element} element @param {Attributes} attributes
 */
function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * Makes an element of HTML.
 * @param {string} tag @param {Attributes} [attributes] @param {...Child} children
 * @returns {HTMLElement}
 */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

/**
 * Makes an element of SVG.
 * @param {string} tag @param {Attributes} [attributes] @param {...Child} children
 * @returns {SVGElement}
 */
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

/** `10,000`. @param {number} n */
function number(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1 task`, `2 tasks`. @param {number} n @param {string} noun */
function amount(n, noun) {
  return `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/**
 * A part of the page with its heading.
 * @param {string} id @param {string} title @param {string | null} note @param {...Child} children
 */
function section(id, title, note, ...children) {
  const heading = el("h2", { id: `${id}-heading` }, title, note && el("span", { class: "note" }, note));
  return el("section", { id, "aria-labelledby": `${id}-heading` }, heading, ...children);
}
