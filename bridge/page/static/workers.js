// The workers as cells: long requests come from the left and stop at the reserve, short ones are at
// the right.

import { byId, element, setText, plural } from './dom.js';

const states = [
  ['long', 'long', 'started as long or mixed'],
  ['aged', 'aged', 'started as short, and has become long'],
  ['abandoned', 'abandoned', 'works for nobody: the client has left'],
  ['idle', 'idle', 'free'],
  ['closing', 'closing', 'its connection is being closed, or it works on after an answer'],
  ['short', 'short', 'works on a short request'],
  ['elsewhere', 'elsewhere', 'others have it: another gate of the fleet, or the process before this one after an upgrade'],
  ['missing', 'not there', 'in the settings, but the application has not so many'],
];

// mostCells is how many cells are drawn; more workers are a bar with the same parts.
const mostCells = 512;

let drawn = '';

export function showWorkers({ workers: w, fleet }) {
  const key = JSON.stringify([w, fleet]);
  if (key === drawn) return;
  drawn = key;
  const parts = states.filter(([name]) => w[name] > 0);
  const cells = byId('cells');
  cells.className = w.all > mostCells ? 'bar' : w.all > 48 ? 'cells' : 'cells few';
  if (w.all > mostCells) drawBar(cells, w, parts);
  else drawCells(cells, w, parts);
  const said = parts.map(([name, text]) => `${w[name]} ${text}`).join(', ');
  cells.setAttribute('aria-label', `${plural(w.all, 'worker')}: ${said}. The table beside has the same figures.`);
  showLegend(w, fleet);
  setText(byId('fleet'), fleet ? `This gate has leased ${fleet.leased} of ${plural(w.all, 'worker')}, and gets more when it needs them, as far as others do not. The fleet has ${plural(fleet.gates, 'gate')}.` : '');
  setText(byId('reserve'), w.reserve > 0
    ? `Long requests stop at the line: ${w.reserve === 1 ? 'the last worker is' : `the last ${w.reserve} workers are`} kept from them. They start while there are fewer than ${w.long_cap}.`
    : `No reserve. Long requests start while there are fewer than ${w.long_cap}.`);
}

// line is before which worker the reserve begins.
const line = (w) => Math.max(0, w.all - w.missing - w.elsewhere - w.reserve);

function drawCells(cells, w, parts) {
  const wanted = [];
  for (const [name] of parts) for (let i = 0; i < w[name]; i++) wanted.push(name);
  if (w.reserve > 0) wanted.splice(line(w), 0, 'reserve');
  while (cells.childElementCount > wanted.length) cells.lastElementChild.remove();
  while (cells.childElementCount < wanted.length) cells.append(element('i'));
  wanted.forEach((name, i) => {
    const cell = cells.children[i];
    if (cell.className !== name) cell.className = name;
  });
}

function drawBar(cells, w, parts) {
  cells.replaceChildren(...parts.map(([name]) => {
    const part = element('i', { class: name });
    part.style.flexGrow = w[name];
    return part;
  }));
  if (w.reserve > 0) {
    const mark = element('i', { class: 'reserve' });
    mark.style.left = `${(100 * line(w)) / w.all}%`;
    cells.append(mark);
  }
}

function rows(table, list) {
  const body = table.tBodies[0];
  while (body.rows.length > list.length) body.deleteRow(-1);
  while (body.rows.length < list.length) {
    body.append(element('tr', {}, element('td', { class: 'key', 'aria-hidden': 'true' }, element('i')), element('th', { scope: 'row' }), element('td')));
  }
  list.forEach(([key, name, value, title], i) => {
    const row = body.rows[i];
    const mark = row.cells[0].firstElementChild;
    if (mark.className !== key) mark.className = key;
    if (title) row.title = title;
    setText(row.cells[1], name);
    setText(row.cells[2], String(value));
    row.classList.toggle('zero', value === 0);
  });
}

function showLegend(w, fleet) {
  rows(byId('legend'), states.filter(([name]) => fleet || w.elsewhere > 0 || name !== 'elsewhere').map(([name, text, title]) => [name, text, w[name], title]));
}

export function showWaiting(q, front) {
  const list = [
    ['', 'in the queue', q.queue, 'short and unknown requests that wait for a worker'],
    ['', 'parked', q.parked, 'long and mixed requests that wait in Sluice'],
    ['', 'held', q.held, 'clients that wait for a message, without a worker'],
    ['', 'for a connection', q.connection, 'requests that have a worker, and wait for a connection to it'],
    ['', 'not accepted yet', q.accept < 0 ? 'not known' : `${q.accept} of ${q.backlog}`, 'connections in the accept queue of the application'],
  ];
  if (front) list.push(['', 'connections', `${front.connections} of ${front.max}`, `connections of clients; ${front.idle} of them have no request`]);
  rows(byId('waiting'), list);
}
