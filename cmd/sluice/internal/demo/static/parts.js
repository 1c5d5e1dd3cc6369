// What all scenes show things with.

export const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
export const ms = (n) => (n >= 1000 ? `${(n / 1000).toFixed(1)} s` : `${Math.round(n)} ms`);

// fill returns each kind as often as it says.
export const fill = (counts) => Object.entries(counts).flatMap(([kind, n]) => Array(Math.max(0, n)).fill(kind));

// cells shows a cell of each kind.
export function cells(box, kinds, label) {
  while (box.children.length < kinds.length) box.append(document.createElement("span"));
  while (box.children.length > kinds.length) box.lastChild.remove();
  [...box.children].forEach((cell, i) => { cell.className = `cell ${kinds[i]}`; });
  box.setAttribute("aria-label", label);
}

// threads shows the threads of an application.
export function threads(box, app, count) {
  const kinds = fill({ short: app.short, session: app.session, poll: app.poll });
  while (kinds.length < count) kinds.push(app.running ? "" : "gone");
  cells(box, kinds, `${kinds.length} threads: ${app.short} serve a page, ${app.poll} hold a request that waits, ${app.session} wait for one session's lock`);
}

const kept = 120; // points of the charts: a minute
const history = new Map();

export function chart(svg, side) {
  const points = history.get(side.name) ?? [];
  history.set(side.name, points);
  points.push([side.asked, side.answered]);
  if (points.length > kept) points.shift();
  const most = Math.max(10, ...points.flat()) * 1.1;
  const path = (k) => points.map((p, i) => `${i ? "L" : "M"}${kept - points.length + i} ${(40 - (p[k] / most) * 38).toFixed(1)}`).join("");
  svg.querySelector(".asked").setAttribute("d", path(0));
  svg.querySelector(".answered").setAttribute("d", path(1));
}
