// Puts the page together, and leads from one part of it to another.

function header() {
  const { header: head } = data;
  const [first, ...rest] = head.lines;
  const time = head.time_s > 0 ? new Date(head.time_s * 1000) : null;
  const problems = head.problems.length + Number(!head.consistent);
  return el("header", {},
    el("h1", {}, say(first)),
    el("p", { class: "read" }, ...rest.flatMap((/** @type {number} */ said, /** @type {number} */ i) => [i ? "; " : "", say(said)]),
      time && "; read ", time && el("time", { datetime: time.toISOString() }, `${time.toLocaleString()} (${time.toISOString().slice(0, 19).replace("T", " ")} UTC)`)),
    problems > 0 && el("div", { class: "problems", role: "note" },
      el("h2", {}, el("span", { "aria-hidden": "true" }, "▲ "), head.problems.length ? "What could not be read" : "Not of one moment"),
      !head.consistent && !head.problems.length && el("p", {}, "The process ran on while it was read: what changes quickly may not fit together."),
      head.problems.length > 0 && el("ul", {}, ...head.problems.map((/** @type {number} */ said) => el("li", {}, say(said))))));
}

/** Links to the parts of the page. @param {[string, string, number | null][]} parts */
function navigation(parts) {
  return el("nav", { "aria-label": "parts of this page" },
    ...parts.map(([id, name, count]) => el("a", { href: `#${id}` }, name, count !== null && el("span", { class: "number" }, number(count)))));
}

const taskView = new TaskView();
const graphView = new GraphView();
const resourceView = new ResourceView();
const threadView = new ThreadView();
const timelineView = data.timeline && new TimelineView(data.timeline);
const neverStarted = data.never_started.length > 0 && section("never-started", "Never started", "coroutines that were created and never awaited",
  el("ul", { class: "facts" }, ...data.never_started.map((/** @type {number} */ said) => el("li", {}, say(said)))));

/** Goes to what an anchor names; returns whether there is such a thing. @param {string} anchor */
function go(anchor) {
  const [kind, at] = [anchor[0], Number(anchor.slice(1))];
  const isNumber = anchor.length > 1 && Number.isInteger(at);
  if (kind === "t" && isNumber && at < tasks.name.length) taskView.go(at);
  else if (kind === "r" && isNumber && at < data.resources.length) resourceView.go(at);
  else {
    const element = document.getElementById(anchor);
    if (!element) return;
    element.closest("details")?.setAttribute("open", "");
    element.scrollIntoView({ block: "start" });
    element.focus({ preventScroll: true });
  }
}

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("a");
  const anchor = link?.getAttribute("href");
  if (!anchor?.startsWith("#") || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (location.hash !== anchor) history.pushState(null, "", anchor);
  go(anchor.slice(1));
});
addEventListener("popstate", () => location.hash && go(location.hash.slice(1)));

document.addEventListener("keydown", (event) => {
  const typing = /** @type {Element} */ (event.target).closest("input:not([type=checkbox]), select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    taskView.search.focus();
    taskView.search.select();
  } else if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    taskView.tree.focus();
  }
});

addEventListener("beforeprint", () => {
  taskView.list.print(true);
  resourceView.list.print(true);
});
addEventListener("afterprint", () => {
  taskView.list.print(false);
  resourceView.list.print(false);
});

/** @type {[string, string, number | null][]} */
const parts = [
  ["findings", "Findings", data.findings.length],
  ["graph", "Graph", null],
  ["tasks", "Tasks", tasks.name.length],
  ["resources", "Resources", data.resources.reduce((/** @type {number} */ sum, /** @type {any} */ each) => sum + each.count, 0)],
  ["threads", "Threads", data.threads.length],
];
if (timelineView) parts.splice(2, 0, ["timeline", "Timeline", null]);
document.getElementById("page")?.replaceChildren(
  el("a", { class: "skip", href: "#tasks" }, "skip to the tasks"),
  header(),
  navigation(parts),
  el("main", {}, ...[findings(), graphView.element, timelineView?.element, taskView.element, neverStarted, resourceView.element, threadView.element].filter(Boolean)),
  el("footer", {}, `async-trace ${data.version}`),
);
taskView.update();
if (location.hash) go(location.hash.slice(1));
document.documentElement.dataset.ready = "true";
