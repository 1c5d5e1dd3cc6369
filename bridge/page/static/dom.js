// Helpers for the document. Text of the state only ever becomes text nodes, never markup.

export const byId = (id) => document.getElementById(id);

// element makes an element with attributes and children: elements or texts.
export function element(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) e.setAttribute(key, value === true ? '' : value);
  }
  e.append(...children);
  return e;
}

// setText changes a text only where it differs, so that nothing is laid out in vain.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// plural is "1 worker" or "3 workers".
export const plural = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

// duration is a time in seconds, in the unit that people tell it in.
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

// bytes is a size in the unit that people tell it in.
export function bytes(n) {
  if (!n) return '';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return `${n < 10 && i > 0 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

const two = (n) => String(n).padStart(2, '0');

// clock is a time of day.
export function clock(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// day is a date with its time of day.
export function day(date) {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}
