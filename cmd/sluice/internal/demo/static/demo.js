// The page of sluice demo: what the events say, and what the controls send.

const history = { gate: [], queue: [] };
const kept = 120; // points of the charts: a minute
const connection = document.getElementById("connection");
const knobs = ["polls", "rate", "sessions"].map((id) => document.getElementById(id));
const leak = document.getElementById("leak");
const told = document.getElementById("told");
let settings = null;
let touched = 0; // when a control was used last: until the events have caught up, it says more than they

const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const ms = (n) => (n >= 1000 ? `${(n / 1000).toFixed(1)} s` : `${Math.round(n)} ms`);

// say returns what is the matter with a side, and whether that is good.
function say(side, threads) {
  if (side.running === 0) return ["The application is down, and is being started again.", false];
  if (side.stalled) return ["Sluice has noticed that the application answers nobody. It asks with one request at a time, and does not pile up more.", false];
  if (side.answered < side.asked * 0.5) {
    const held = [];
    if (side.poll) held.push(`${side.poll} of ${threads} threads hold requests that wait`);
    if (side.session) held.push(`${side.session} wait for one session's lock`);
    return [`${Math.round(side.answered)} of ${Math.round(side.asked)} pages a second are answered. ${held.length ? held.join(", ") + "." : "Nothing is done."}`, false];
  }
  if (side.median_ms > 500) return [`Pages are answered, after ${ms(side.median_ms)}.`, false];
  if (side.parked) return [`Pages are answered at once. ${side.parked} requests that wait are parked in Sluice, where they need no thread.`, true];
  return ["Pages are answered at once.", true];
}

function show(side, threads) {
  const section = document.getElementById(side.name);
  const find = (name) => section.querySelector(`[data-${name}]`);
  const [text, good] = say(side, threads);
  set(find("say"), text);
  find("say").className = `verdict ${good ? "ok" : "bad"}`;
  set(find("answered"), String(Math.round(side.answered)));
  set(find("median"), side.median_ms ? ms(side.median_ms) : "–");
  set(find("failed"), String(side.total_failed));
  cells(find("threads"), side, threads);
  const notes = [`${side.queue - side.parked} requests queue`, `${side.parked} are parked`, `started ${side.starts} ${side.starts === 1 ? "time" : "times"}`];
  if (side.memory) notes.push(`has leaked ${Math.round(side.memory / 1048576)} MiB`);
  set(find("note"), notes.join(", ") + ".");
  chart(find("chart"), history[side.name], side);
}

function cells(box, side, threads) {
  const kinds = [];
  for (const kind of ["short", "session", "poll"]) for (let i = 0; i < side[kind]; i++) kinds.push(kind);
  const n = Math.max(threads, kinds.length);
  while (box.children.length < n) box.append(document.createElement("span"));
  while (box.children.length > n) box.lastChild.remove();
  [...box.children].forEach((cell, i) => { cell.className = `cell ${kinds[i] ?? (side.running ? "" : "gone")}`; });
  box.setAttribute("aria-label", `${n} threads: ${side.short} serve a page, ${side.poll} hold a request that waits, ${side.session} wait for one session's lock`);
}

function chart(svg, points, side) {
  points.push([side.asked, side.answered]);
  if (points.length > kept) points.shift();
  const most = Math.max(10, ...points.flat()) * 1.1;
  const path = (k) => points.map((p, i) => `${i ? "L" : "M"}${kept - points.length + i} ${(40 - (p[k] / most) * 38).toFixed(1)}`).join("");
  svg.querySelector(".asked").setAttribute("d", path(0));
  svg.querySelector(".answered").setAttribute("d", path(1));
}

function controls(now) {
  settings = now;
  for (const knob of knobs) {
    knob.value = now[knob.id];
    set(document.querySelector(`output[for="${knob.id}"]`), String(now[knob.id]));
  }
  leak.setAttribute("aria-pressed", String(now.leak));
}

async function send(what, done) {
  try {
    const answer = await fetch("control", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
    set(told, answer.ok ? done : await answer.text());
  } catch {
    set(told, "The demonstration does not answer: has it ended?");
  }
}

function change(part, done) {
  if (!settings) return;
  touched = Date.now();
  controls({ ...settings, ...part });
  send({ settings }, done);
}

for (const knob of knobs) knob.addEventListener("input", () => change({ [knob.id]: Number(knob.value) }, ""));
leak.addEventListener("click", () => change({ leak: !settings?.leak }, settings?.leak ? "No more memory is leaked." : "Each page leaks half a megabyte now. Sluice replaces the application before it is too large; the other one is killed at its limit."));
document.getElementById("stall").addEventListener("click", () => send({ do: "stall" }, "Both applications do nothing for 5 s."));
document.getElementById("crash").addEventListener("click", () => send({ do: "crash" }, "Both applications have crashed."));

const events = new EventSource("events");
events.addEventListener("message", (event) => {
  const view = JSON.parse(event.data);
  connection.className = "";
  set(connection, "Live");
  if (Date.now() - touched > 1500) controls(view.settings);
  for (const side of view.sides) show(side, view.threads);
});
events.addEventListener("error", () => {
  connection.className = "lost";
  set(connection, "The demonstration does not answer: what is shown is old.");
});
