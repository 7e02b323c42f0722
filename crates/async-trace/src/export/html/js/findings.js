// What is wrong, first.

/** A sign for each severity: its form and the word beside it say what its colour says. */
const SIGNS = { error: "■", warning: "▲" };

/** @param {any} finding @param {number} at */
function findingCard(finding, at) {
  const { severity, certainty } = finding;
  const several = finding.count ? `, ${number(finding.count)} times; the first:` : "";
  const card = el("article", { class: `finding ${severity}`, id: `f${at}`, tabindex: -1, "aria-labelledby": `f${at}-name` },
    el("h3", { id: `f${at}-name` },
      el("span", { class: `severity ${severity}` },
        el("span", { "aria-hidden": "true" }, SIGNS[/** @type {"error"} */ (severity)]), ` ${severity}`),
      el("span", { class: "check" }, finding.check),
      el("span", { class: `certainty ${certainty}` }, `${certainty}${several}`)),
    finding.caused_by !== undefined && el("p", { class: "because" }, "because of ",
      el("a", { href: `#f${finding.caused_by}` }, `${data.findings[finding.caused_by].check} above`)),
    el("p", { class: "summary" }, named(finding.summary)));
  if (finding.evidence.length) {
    card.append(el("ul", { class: "evidence" }, ...finding.evidence.map(evidenceLine)));
  }
  if (finding.consequences.length) {
    card.append(el("h4", {}, `${amount(finding.behind, "more task")} behind it`),
      el("ul", { class: "evidence" }, ...finding.consequences.map((/** @type {number} */ said) => el("li", {}, say(said)))));
  }
  if (finding.doubt) card.append(el("p", { class: "doubt" }, el("b", {}, "Not certain, because "), named(finding.doubt)));
  for (const advice of finding.advice) card.append(el("p", { class: "advice" }, el("b", {}, "Try: "), named(advice)));
  return card;
}

/** @param {any} evidence */
function evidenceLine(evidence) {
  return el("li", {}, say(evidence.said, { jump: evidence.resource }),
    evidence.source && el("code", { class: "code" }, evidence.source));
}

function findings() {
  const all = data.findings;
  const looks = saidText(data.header.looks);
  if (all.length) return section("findings", "Findings", looks, ...all.map(findingCard));
  return section("findings", "Findings", null,
    el("p", { class: "healthy" }, el("span", { class: "tick", "aria-hidden": "true" }, "✓ "), looks));
}
