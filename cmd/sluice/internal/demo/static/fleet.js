// What is particular to two gates in front of one application.

import { set, ms, cells, fill, threads } from "./parts.js";

// say returns what is the matter with a gate, and how good that is: "ok", "warn" or "bad".
export function say(side) {
  if (!side.up) return ["It has ended. Its visitors ask the other gate, if that runs.", "bad"];
  const workers = `${side.leased} ${side.leased === 1 ? "worker" : "workers"}`;
  switch (side.status) {
    case "": case "waiting": return ["It waits for its first lease, and answers nobody yet.", "bad"];
    case "crowded": return ["There are as many gates as there may be, and it gets no workers.", "bad"];
  }
  if (side.stalled) return ["The application answers nobody. Sluice asks with one request at a time, and does not pile up more.", "bad"];
  const [text, good] = traffic(side);
  if (side.status === "alone") return [`It does not reach the engine, and uses its share at most: ${workers}. ${text}`, good ? "warn" : "bad"];
  return [`It has leased ${workers}. ${text}`, good ? "ok" : "bad"];
}

function traffic(side) {
  if (side.asked === 0) return ["Nobody asks for pages here.", true];
  if (side.answered < side.asked * 0.5) return [`${Math.round(side.answered)} of ${Math.round(side.asked)} pages a second are answered.`, false];
  if (side.median_ms > 500) return [`Pages are answered, after ${ms(side.median_ms)}.`, false];
  return ["Pages are answered at once.", true];
}

// show shows what only a gate of a fleet has.
export function show(find, side, count) {
  set(find("address"), side.address);
  set(find("p99"), side.p99_ms ? ms(side.p99_ms) : "–");
  set(find("leased"), side.up ? String(side.leased) : "–");
  set(find("used"), side.up ? String(side.used) : "–");
  const short = side.used - side.long;
  const idle = Math.max(0, side.leased - side.used);
  const kinds = fill({ short, poll: side.long, "": idle });
  while (kinds.length < count) kinds.push("gone");
  cells(find("threads"), kinds, `${side.leased} of ${count} workers are leased: ${short} have a short request, ${side.long} a long one, ${idle} are free`);
  set(find("note"), `${side.queue - side.parked} requests queue, ${side.parked} are parked. ${side.connections} connections to the application.`);
}

// application shows what both gates share.
export function application(app, count) {
  const section = document.getElementById("application");
  const good = app.turned_away === 0;
  const verdict = section.querySelector("[data-say]");
  set(verdict, app.running === 0 ? "It is down, and is being started again."
    : `${app.open} of its ${count} threads have a connection. At most ${app.most} had one at once: ${good ? "none was too many." : `${app.turned_away} were too many, and closed.`}`);
  verdict.className = `verdict ${good && app.running ? "ok" : "bad"}`;
  threads(section.querySelector("[data-threads]"), app, count);
}

let told = 0; // news

// news adds what has happened since, the latest first.
export function news(list) {
  const box = document.getElementById("news");
  for (const item of list) {
    if (item.number <= told) continue;
    told = item.number;
    const line = document.createElement("li");
    const time = document.createElement("span");
    time.textContent = `${Math.round(item.at)} s`;
    line.append(time, ` ${item.who}: ${item.text}`);
    box.prepend(line);
  }
  while (box.children.length > 30) box.lastChild.remove();
}
