// The page of sluice demo: what the events say, and what the controls send.

import { set, ms, chart } from "./parts.js";
import * as fleet from "./fleet.js";
import * as twice from "./twice.js";

const connection = document.getElementById("connection");
const knobs = ["polls", "rate", "sessions"].map((id) => document.getElementById(id));
const balance = document.getElementById("balance"); // of a fleet
const toggles = [...document.querySelectorAll("[data-toggle]")];
const leak = document.getElementById("leak");
const isFleet = document.body.classList.contains("fleet");
const scene = isFleet ? fleet : twice;
const told = document.getElementById("told");
let settings = null;
let touched = 0; // when the demonstration has answered a control last: until the events have caught up, it says more than they
let unanswered = 0; // controls
let sent = Promise.resolve(); // the last control

// sectionOf returns the section of a side, which it makes at first.
function sectionOf(side) {
  const known = document.getElementById(side.name);
  if (known) return known;
  const section = document.getElementById("side").content.cloneNode(true).querySelector("section");
  section.id = side.name;
  const title = section.querySelector("[data-title]");
  title.id = `${side.name}-name`;
  title.textContent = side.title;
  section.setAttribute("aria-labelledby", title.id);
  document.getElementById("legend").before(section);
  return section;
}

function show(side, count) {
  const section = sectionOf(side);
  const find = (name) => section.querySelector(`[data-${name}]`);
  const [text, level] = scene.say(side, count);
  set(find("say"), text);
  find("say").className = `verdict ${level}`;
  set(find("answered"), String(Math.round(side.answered)));
  set(find("median"), side.median_ms ? ms(side.median_ms) : "–");
  set(find("failed"), String(side.total_failed));
  scene.show(find, side, count);
  chart(find("chart"), side);
}

// isOn returns whether the settings have what a toggle is for.
function isOn(toggle, now) {
  const value = now.fleet[toggle.dataset.toggle];
  return toggle.dataset.gate ? value[toggle.dataset.gate] : value;
}

function controls(now) {
  settings = now;
  for (const knob of knobs) turn(knob, now[knob.id]);
  leak.setAttribute("aria-pressed", String(now.leak));
  if (!isFleet) return;
  turn(balance, now.fleet.balance);
  for (const toggle of toggles) toggle.setAttribute("aria-pressed", String(isOn(toggle, now)));
}

function turn(knob, value) {
  knob.value = value;
  set(document.querySelector(`output[for="${knob.id}"]`), String(value));
}

// send sends a control when those before it are answered: the last settings that arrive are in force.
function send(what, done) {
  unanswered++;
  sent = sent.then(() => post(what, done)).then(() => {
    unanswered--;
    touched = Date.now();
  });
}

async function post(what, done) {
  try {
    const answer = await fetch("control", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
    set(told, answer.ok ? done : await answer.text());
  } catch {
    set(told, "The demonstration does not answer: has it ended?");
  }
}

function change(part, done) {
  if (!settings) return;
  controls({ ...settings, ...part });
  send({ settings }, done);
}

function changeFleet(part) {
  if (settings) change({ fleet: { ...settings.fleet, ...part } }, "");
}

for (const knob of knobs) knob.addEventListener("input", () => change({ [knob.id]: Number(knob.value) }, ""));
balance.addEventListener("input", () => changeFleet({ balance: Number(balance.value) }));
for (const toggle of toggles) {
  toggle.addEventListener("click", () => {
    if (!settings) return;
    const { toggle: key, gate } = toggle.dataset;
    const on = !isOn(toggle, settings);
    changeFleet({ [key]: gate ? settings.fleet[key].map((was, i) => (i === Number(gate) ? on : was)) : on });
  });
}
leak.addEventListener("click", () => change({ leak: !settings?.leak }, settings?.leak ? "No more memory is leaked." : "Each page leaks half a megabyte now. Sluice replaces the application before it is too large; the other one is killed at its limit."));
document.getElementById("stall").addEventListener("click", () => send({ do: "stall" }, isFleet ? "" : "Both applications do nothing for 5 s."));
document.getElementById("crash").addEventListener("click", () => send({ do: "crash" }, isFleet ? "" : "Both applications have crashed."));

// A paused page stays as it is, and the demonstration goes on.
let paused = false;
const pause = document.getElementById("pause");
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  set(connection, paused ? "Paused" : "Live");
});

const events = new EventSource("events");
events.addEventListener("message", (event) => {
  if (paused) return;
  const view = JSON.parse(event.data);
  connection.className = "";
  set(connection, "Live");
  if (unanswered === 0 && Date.now() - touched > 1500) controls(view.settings);
  for (const side of view.sides) show(side, view.threads);
  if (!isFleet) return;
  fleet.application(view.application, view.threads);
  fleet.news(view.news ?? []);
});
events.addEventListener("error", () => {
  connection.className = "lost";
  set(connection, "The demonstration does not answer: what is shown is old.");
});
