// What is particular to the same application twice.

import { set, ms, threads } from "./parts.js";

// say returns what is the matter with a side, and how good that is: "ok", "warn" or "bad".
export function say(side, count) {
  if (side.running === 0) return ["The application is down, and is being started again.", "bad"];
  if (side.stalled) return ["Sluice has noticed that the application answers nobody. It asks with one request at a time, and does not pile up more.", "bad"];
  if (side.answered < side.asked * 0.5) {
    const held = [];
    if (side.poll) held.push(`${side.poll} of ${count} threads hold requests that wait`);
    if (side.session) held.push(`${side.session} wait for one session's lock`);
    return [`${Math.round(side.answered)} of ${Math.round(side.asked)} pages a second are answered. ${held.length ? held.join(", ") + "." : "Nothing is done."}`, "bad"];
  }
  if (side.median_ms > 500) return [`Pages are answered, after ${ms(side.median_ms)}.`, "bad"];
  if (side.parked) return [`Pages are answered at once. ${side.parked} requests that wait are parked in Sluice, where they need no thread.`, "ok"];
  return ["Pages are answered at once.", "ok"];
}

// show shows what only a side with an application of its own has.
export function show(find, side, count) {
  threads(find("threads"), side, count);
  const notes = [`${side.queue - side.parked} requests queue`, `${side.parked} are parked`, `started ${side.starts} ${side.starts === 1 ? "time" : "times"}`];
  if (side.memory) notes.push(`has leaked ${Math.round(side.memory / 1048576)} MiB`);
  set(find("note"), notes.join(", ") + ".");
}
