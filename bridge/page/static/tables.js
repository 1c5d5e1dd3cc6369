// The tables: sorted and filtered, their rows reused.

import { byId, element, setText, duration, bytes, clock, day, plural } from './dom.js';
import * as address from './address.js';

// some is how many rows a table has before it is asked for all.
const some = 50;

const queue = (i) => (i.accept < 0 ? '' : `${i.accept} / ${i.backlog}`);
const memory = (i) => (i.memory ? bytes(i.memory) + (i.limit ? ` of ${bytes(i.limit)}` : '') : '');

// A column is its key, its title, its text, and what it is sorted by if that is not the text.
const number = (key, title, show = String) => ({ key, title, text: (r) => show(r[key]), by: (r) => r[key], number: true });
const word = (key, title, text = (r) => r[key] || '') => ({ key, title, text, by: text });
// shortened is the end of a long address, which differs where its beginning does not.
const shortened = (addr) => (addr?.length > 36 ? `\u2026${addr.slice(-34)}` : addr ?? '');
const at = word('instance', 'instance', (r) => shortened(r.instance));

const work = number('work', 'work', (v) => v.toFixed(v < 10 ? 1 : 0));

const tables = [
  {
    id: 'requests', title: 'Requests in flight', of: (a) => a.in_flight, row: (r) => r.n, sort: 'age-',
    note: (a) => (a.running > a.in_flight.length ? `The oldest ${a.in_flight.length} of ${a.running} are listed.` : ''),
    columns: [number('age', 'age', duration), { ...word('state', 'state'), mark: true }, word('lane', 'lane'), word('route', 'route'), word('client', 'client'),
      at, { key: 'pid', title: 'process', text: (r) => (r.pid ? String(r.pid) : ''), by: (r) => r.pid || 0, number: true }],
    empty: 'No request is in flight.',
  },
  {
    id: 'instances', title: 'Instances and processes', of: (a) => a.instances, row: (r) => r.addr, sort: 'addr',
    columns: [word('addr', 'instance'), word('state', 'state', (r) => [r.state, r.process].filter(Boolean).join(', ')),
      { key: 'busy', title: 'busy', text: (r) => `${r.busy} / ${r.workers}`, by: (r) => r.busy, number: true },
      { key: 'idle', title: 'kept', text: (r) => String(r.idle), by: (r) => r.idle, number: true },
      { key: 'accept', title: 'accept queue', text: queue, by: (r) => r.accept, number: true },
      { key: 'pid', title: 'process', text: (r) => (r.pid ? `${r.pid}${r.processes > 1 ? ` (${r.processes})` : ''}` : ''), by: (r) => r.pid || 0, number: true },
      { key: 'memory', title: 'memory', text: memory, by: (r) => r.memory || 0, number: true },
      { key: 'age', title: 'runs for', text: (r) => (r.age ? duration(r.age) : ''), by: (r) => r.age || 0, number: true },
      word('last_error', 'last error')],
    empty: 'There is no instance.',
  },
  {
    id: 'routes', title: 'Routes by work', of: (a) => a.routes, row: (r) => r.route, sort: 'work-',
    note: () => 'Work is worker-seconds in about the last minute.',
    columns: [work, word('route', 'route'), word('lane', 'lane'), number('running', 'in flight'), number('short', 'were short'), number('long', 'were long')],
    empty: 'No route has used a worker lately.',
  },
  {
    id: 'clients', title: 'Clients by work', of: (a) => a.clients, row: (r) => r.client, sort: 'work-',
    note: () => 'Clients are hashes of what they are told apart by.',
    columns: [work, word('client', 'client'), number('running', 'in flight'), number('waiting', 'waiting'),
      word('kind', 'is', (r) => [r.shared ? 'an address' : 'a session', r.spent ? 'budget spent' : ''].filter(Boolean).join(', '))],
    empty: 'No client has used a worker lately.',
  },
  {
    id: 'events', title: 'The last hour', of: (a) => a.events, row: (r) => `${r.kind} ${r.instance} ${r.first}`, sort: 'time-',
    columns: [{ key: 'time', title: 'time', text: (r) => clock(new Date(r.time)), by: (r) => Date.parse(r.time), number: true },
      { key: 'text', title: 'event', text: (r) => r.text + (r.count > 1 ? ` ${r.count} times since ${clock(new Date(r.first))}.` : ''), by: (r) => r.text, lines: (r) => r.lines },
      at, { key: 'pid', title: 'process', text: (r) => (r.pid ? String(r.pid) : ''), by: (r) => r.pid || 0, number: true }],
    empty: 'Nothing has happened.',
  },
  {
    id: 'certificates', title: 'Certificates', of: (a) => a.certificates, row: (r) => `${r.source} ${r.names}`, sort: 'expires', optional: true,
    columns: [word('names', 'names', (r) => r.names.join(', ')), { key: 'expires', title: 'expires', text: (r) => (r.expires ? day(new Date(r.expires)) : 'there is none yet'), by: (r) => Date.parse(r.expires ?? 0) },
      word('source', 'from'), word('error', 'error')],
    empty: 'There is none.',
  },
];

class Table {
  constructor(what) {
    this.what = what;
    this.all = false;
    this.rows = new Map();
    const { id, title, columns } = what;
    this.filter = element('input', { type: 'search', id: `filter-${id}`, autocomplete: 'off', spellcheck: 'false' });
    this.filter.value = address.get(`filter.${id}`) ?? '';
    this.filter.addEventListener('input', () => { address.set(`filter.${id}`, this.filter.value); this.show(); });
    this.note = element('p', { class: 'note' });
    this.heads = columns.map((c) => {
      const button = element('button', { type: 'button' }, c.title);
      button.addEventListener('click', () => this.sortBy(c.key));
      return element('th', { scope: 'col', class: c.number ? 'number' : undefined }, button);
    });
    this.body = element('tbody');
    this.more = element('button', { type: 'button', class: 'more', hidden: true });
    this.more.addEventListener('click', () => { this.all = !this.all; this.show(); });
    const table = element('table', {}, element('caption', { class: 'unseen' }, title), element('thead', {}, element('tr', {}, ...this.heads)), this.body);
    this.section = element('section', { id, 'aria-labelledby': `${id}-title` },
      element('div', { class: 'head' }, element('h2', { id: `${id}-title` }, title),
        element('label', { for: `filter-${id}` }, 'Filter ', element('span', { class: 'unseen' }, title)), this.filter),
      this.note, element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Table: ${title}` }, table), this.more);
  }

  sort() {
    const said = address.get(`sort.${this.what.id}`) || this.what.sort;
    return { key: said.replace(/-$/, ''), down: said.endsWith('-') };
  }

  sortBy(key) {
    const now = this.sort();
    const down = now.key === key ? !now.down : Boolean(this.what.columns.find((c) => c.key === key).number);
    address.set(`sort.${this.what.id}`, key + (down ? '-' : ''));
    this.show();
  }

  set(application) {
    this.application = application;
    this.show();
  }

  wanted() {
    const { columns, of } = this.what;
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { key, down } = this.sort();
    const column = columns.find((c) => c.key === key) ?? columns[0];
    const list = of(this.application).filter((r) => words.length === 0 || words.every((w) => columns.some((c) => c.text(r).toLowerCase().includes(w))));
    const sign = down ? -1 : 1;
    return list.sort((a, b) => {
      const [x, y] = [column.by(a), column.by(b)];
      return x < y ? -sign : x > y ? sign : 0;
    });
  }

  show() {
    if (!this.application) return;
    this.section.hidden = Boolean(this.what.optional) && this.what.of(this.application).length === 0;
    const list = this.wanted();
    const shown = this.all ? list : list.slice(0, some);
    this.showHeads(list);
    setText(this.note, this.what.note?.(this.application) ?? '');
    this.more.hidden = list.length <= some;
    setText(this.more, this.all ? `Show ${some}` : `Show all ${list.length}`);
    this.showRows(shown);
  }

  // showHeads shows the order, and hides columns in which nothing is.
  showHeads(list) {
    this.used = this.what.columns.map((c) => list.length === 0 || list.some((r) => c.text(r) !== ''));
    this.used.forEach((used, i) => { if (this.heads[i].hidden === used) this.heads[i].hidden = !used; });
    const { key, down } = this.sort();
    this.what.columns.forEach((c, i) => {
      const order = c.key === key ? (down ? 'descending' : 'ascending') : 'none';
      if (this.heads[i].getAttribute('aria-sort') !== order) this.heads[i].setAttribute('aria-sort', order);
    });
  }

  showRows(list) {
    const before = this.rows;
    this.rows = new Map();
    list.forEach((r, i) => {
      const key = this.what.row(r);
      const row = before.get(key) ?? this.newRow();
      before.delete(key);
      this.rows.set(key, row);
      this.fill(row, r);
      if (this.body.rows[i] !== row) this.body.insertBefore(row, this.body.rows[i] ?? null);
    });
    for (const row of before.values()) row.remove();
    if (list.length === 0 && !this.nothing?.isConnected) {
      this.nothing = element('tr', {}, element('td', { colspan: this.heads.length, class: 'nothing' }));
      this.body.append(this.nothing);
    }
    if (list.length > 0) this.nothing?.remove();
    else setText(this.nothing.firstChild, this.filter.value ? 'Nothing matches the filter.' : this.what.empty);
  }

  newRow() {
    return element('tr', {}, ...this.what.columns.map((c) => element('td', { class: c.number ? 'number' : c.key })));
  }

  fill(row, r) {
    this.what.columns.forEach((c, i) => {
      const cell = row.cells[i];
      const text = c.text(r);
      if (cell.hidden === this.used[i]) cell.hidden = !this.used[i];
      if (c.lines) {
        fillLines(cell, text, c.lines(r));
        return;
      }
      setText(cell, text);
      if (c.mark) cell.className = `state is-${text}`;
    });
  }
}

// fillLines shows a text with the lines of output that belong to it.
function fillLines(cell, text, lines) {
  const all = `${text}\n${(lines ?? []).join('\n')}`;
  if (cell.dataset.all === all) return;
  cell.dataset.all = all;
  cell.replaceChildren(text);
  if (lines?.length) {
    cell.append(element('details', {}, element('summary', {}, `Its last ${plural(lines.length, 'line')}`), element('pre', {}, lines.join('\n'))));
  }
}

let made = [];

export function makeTables() {
  made = tables.map((what) => new Table(what));
  byId('tables').replaceChildren(...made.map((t) => t.section));
}

export function showTables(application) {
  for (const t of made) t.set(application);
}

// readAddress shows what a changed address says.
export function readAddress() {
  for (const t of made) {
    t.filter.value = address.get(`filter.${t.what.id}`) ?? '';
    t.show();
  }
}

// withAll has every row in the tables while act runs.
export function withAll(act) {
  const before = made.map((t) => t.all);
  for (const t of made) { t.all = true; t.show(); }
  try {
    return act();
  } finally {
    made.forEach((t, i) => { t.all = before[i]; t.show(); });
  }
}
