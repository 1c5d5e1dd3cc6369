// The page: it asks for the state with its history, and then has one state a second streamed to it.

import { byId, element, setText, clock } from './dom.js';
import * as address from './address.js';
import { showWorkers, showWaiting } from './workers.js';
import { makeCharts, redraw, setHistory, addPoint } from './charts.js';
import { makeTables, showTables, readAddress } from './tables.js';
import { save } from './save.js';

let view = null; // the last state
let shown = null; // the application that the charts are of, and of which process
let stream = null;
let attempt = 0; // the last one to connect, or to stay unconnected
let retry = 0;

const frozen = () => address.get('freeze') === '1';

// chosen is the application that the page shows.
const chosen = (v) => v.applications.find((a) => a.name === address.get('app')) ?? v.applications[0];

// connect gets the history, and then the stream. It is called again whenever the stream has ended.
async function connect() {
  clearTimeout(retry);
  disconnect();
  const mine = attempt;
  let state;
  try {
    const answer = await fetch('view.json', { cache: 'no-store' });
    if (!answer.ok) throw new Error(`view.json: ${answer.status}`);
    state = await answer.json();
  } catch {
    if (mine === attempt) lost();
    return;
  }
  if (mine !== attempt) return; // else there would be two streams
  show(state, true);
  if (frozen()) return;
  stream = new EventSource('stream');
  stream.addEventListener('message', (e) => show(JSON.parse(e.data), false));
  stream.addEventListener('error', lost);
}

function disconnect() {
  attempt++;
  stream?.close();
  stream = null;
}

// lost tries again in a second: after a restart of Sluice there is another history.
function lost() {
  disconnect();
  if (!frozen()) {
    say('link-state', 'Not connected. Trying again.');
    document.body.classList.add('lost');
  }
  clearTimeout(retry);
  retry = setTimeout(connect, 1000);
}

function say(id, text) { setText(byId(id), text); }

function show(v, whole) {
  view = v;
  document.body.classList.remove('lost');
  document.body.classList.toggle('frozen', frozen());
  say('link-state', frozen() ? 'Frozen at' : 'Live,');
  say('clock', clock(new Date(v.time)));
  say('version', v.version ?? '');
  showApplications(v);
  const a = chosen(v);
  if (!a) {
    say('say-level', '');
    say('say-text', 'There is no application.');
    return;
  }
  const which = `${v.started} ${a.name}`;
  if (which !== shown) {
    if (!whole) return void connect();
    shown = which;
    makeCharts(v);
  }
  if (whole) setHistory(a.history);
  else addPoint(a.point);
  showFindings(matter(v, a));
  showWorkers(a);
  showWaiting(a.waiting, v.front);
  showTables({ ...a, certificates: v.front?.certificates ?? [] });
}

// matter is what is the matter with an application and the servers in front, the worst first.
function matter(v, a) {
  const levels = Object.keys(names).reverse();
  const front = v.front?.findings ?? [];
  const own = front.length ? a.findings.filter((f) => f.level !== 'ok') : a.findings;
  return [...own, ...front].sort((x, y) => levels.indexOf(x.level) - levels.indexOf(y.level));
}

const names = { ok: 'OK', notice: 'Notice', warning: 'Warning', alarm: 'Alarm' };

function showFindings(findings) {
  const [first, ...others] = findings;
  const line = byId('say');
  if (line.className !== `finding ${first.level}`) line.className = `finding ${first.level}`;
  say('say-level', names[first.level]);
  say('say-text', first.text);
  document.title = first.level === 'ok' ? 'Sluice' : `${names[first.level]}: Sluice`;
  const list = byId('also');
  while (list.childElementCount > others.length) list.lastElementChild.remove();
  while (list.childElementCount < others.length) list.append(element('li', {}, element('strong'), ' ', element('span')));
  others.forEach((f, i) => {
    const item = list.children[i];
    item.className = `finding ${f.level}`;
    setText(item.children[0], names[f.level]);
    setText(item.children[1], f.text);
  });
  announce(first);
}

let announced = '';

// announce tells a screen reader what is the matter when that changes, and not each number.
function announce(finding) {
  const kind = finding.level + finding.text.replace(/[0-9.]+/g, '#');
  if (kind === announced || frozen()) return;
  announced = kind;
  say('announce', `${names[finding.level]}. ${finding.text}`);
}

function showApplications(v) {
  const nav = byId('apps');
  nav.hidden = v.applications.length < 2;
  if (nav.hidden) return;
  while (nav.childElementCount > v.applications.length) nav.lastElementChild.remove();
  while (nav.childElementCount < v.applications.length) nav.append(element('a', {}, element('span'), ' ', element('small')));
  const now = chosen(v).name;
  v.applications.forEach((a, i) => {
    const link = nav.children[i];
    const [first] = a.findings;
    link.href = address.link('app', a.name);
    link.className = first.level;
    if (a.name === now) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
    setText(link.children[0], a.name);
    setText(link.children[1], names[first.level]);
  });
}

function showFreeze() {
  const link = byId('freeze');
  link.href = address.link('freeze', frozen() ? '' : '1');
  setText(link, frozen() ? 'Go on' : 'Freeze');
}

function addressChanged() {
  showFreeze();
  readAddress();
  if (frozen()) {
    disconnect();
    clearTimeout(retry);
    if (view) show(view, false);
    return;
  }
  connect();
}

// A page that nobody sees costs nothing.
document.addEventListener('visibilitychange', () => {
  if (frozen()) return;
  clearTimeout(retry);
  if (document.hidden) disconnect();
  else connect();
});

// A table keeps the address when it is sorted or filtered, which is no event.
document.addEventListener('input', showFreeze);
document.addEventListener('click', showFreeze);
addEventListener('hashchange', (e) => {
  if (new URL(e.newURL).hash !== '#matter') addressChanged();
});
byId('save').addEventListener('click', () => view && save(view));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
let width = 0;
new ResizeObserver(() => {
  const now = byId('plots').clientWidth;
  if (now !== width) { width = now; redraw(); }
}).observe(byId('plots'));

makeTables();
showFreeze();
connect();
