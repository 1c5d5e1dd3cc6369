// The charts of the last quarter of an hour. Each has a table of the same figures.

import { byId, element, clock } from './dom.js';
import * as address from './address.js';

const { uPlot } = window; // uplot.js is no module
const seconds = 15 * 60;
const sum = (list) => list.reduce((a, b) => a + b, 0);

let lanes = [];
let lane = 0;
let points = [];
let charts = [];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// One chart is its series: the name, the colour, and where the value is in a point.
function describe(reasons) {
  return [
    {
      title: 'Throughput', unit: 'requests answered per second',
      series: [['all', '--fg', (p) => sum(p.ended)], ...lanes.map((name, i) => [name, `--lane-${name}`, (p) => p.ended[i]])],
    },
    {
      title: 'Latency', unit: 'ms, with the wait', log: true, choose: true,
      series: [['median', '--short', (p) => p.p50[lane]], ['95 %', '--aged', (p) => p.p95[lane]], ['99 %', '--alarm', (p) => p.p99[lane]]],
    },
    {
      title: 'Refusals', unit: 'per second, by reason',
      series: reasons.map((name, i) => [name, `--reason-${i}`, (p) => p.refused[i]]),
    },
    {
      title: 'Workers in use', unit: 'and who waits',
      series: [
        ['there are', '--muted', (p) => p.capacity], ['in use', '--short', (p) => p.in_use], ['long', '--long', (p) => p.long],
        ['queue', '--alarm', (p) => p.queue], ['parked', '--aged', (p) => p.parked],
      ],
    },
  ];
}

// span is the time that is drawn: what there is, at least two minutes.
function span() {
  const end = points.at(-1)?.t ?? Date.now() / 1000;
  const begin = points[0]?.t ?? end;
  return [Math.max(end - seconds, Math.min(begin, end - 120)), end];
}

const tens = (u, splits) => splits.map((v) => (v > 0 && Math.log10(v) % 1 === 0 ? v : null));

const dashes = [undefined, undefined, [6, 3], [2, 2], [8, 3, 2, 3], [4, 4]];

class Chart {
  constructor(what) {
    this.what = what;
    this.box = element('div', { class: 'plot' });
    this.key = element('ul', { class: 'key' });
    this.box.append(element('h3', {}, what.title, ' ', element('small', {}, what.unit)));
    if (what.choose) this.box.append(chooser());
    this.canvas = element('div', { class: 'canvas', role: 'img', 'aria-label': `${what.title}: the table below has the same figures` });
    this.table = element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${what.title}, as a table` });
    this.details = element('details', {}, element('summary', {}, `${what.title} as a table`), this.table);
    this.details.addEventListener('toggle', () => this.tabulate());
    this.box.append(this.canvas, this.key, this.details);
    this.values = what.series.map(([name]) => {
      const value = element('b');
      this.key.append(element('li', {}, this.swatch(name), ` ${name} `, value));
      return value;
    });
  }

  swatch(name) {
    const [, variable] = this.what.series.find(([n]) => n === name);
    const mark = element('i', { 'aria-hidden': 'true' });
    mark.style.borderTopColor = `var(${variable})`;
    const dash = dashes[this.what.series.findIndex(([n]) => n === name)];
    if (dash) mark.style.borderTopStyle = dash[0] > 3 ? 'dashed' : 'dotted';
    return mark;
  }

  data() {
    return [points.map((p) => p.t), ...this.what.series.map(([, , value]) => points.map((p) => value(p) ?? null))];
  }

  draw() {
    this.plot?.destroy();
    const axis = { stroke: color('--muted'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    const scale = this.what.log
      ? { distr: 3, log: 10, range: (u, min, max) => [min > 0 ? 10 ** Math.floor(Math.log10(min)) : 1, max > 0 ? 10 ** Math.ceil(Math.log10(max * 1.01)) : 100] }
      : { range: (u, min, max) => [0, Math.max(4, (max ?? 0) * 1.1)] };
    this.plot = new uPlot({
      width: Math.max(200, this.canvas.clientWidth), height: 150, legend: { show: false }, cursor: { show: false },
      scales: { x: { range: span }, y: scale },
      axes: [
        { ...axis, size: 22, space: 70, values: (u, ticks) => ticks.map((t) => clock(new Date(t * 1000)).slice(0, u.scales.x.max - u.scales.x.min < 300 ? 8 : 5)) },
        { ...axis, size: 46, ...(this.what.log && { filter: tens, grid: { ...axis.grid, filter: tens } }), values: (u, ticks) => ticks.map((v) => (v === null ? '' : short(v))) },
      ],
      series: [{}, ...this.what.series.map(([, variable], i) => ({ stroke: color(variable), width: 1.5, dash: dashes[i], points: { show: false }, spanGaps: false }))],
    }, this.data(), this.canvas);
  }

  update() {
    this.plot.setData(this.data());
    const last = points.at(-1);
    this.what.series.forEach(([, , value], i) => {
      const v = last ? value(last) : null;
      const text = v === null || v === undefined ? '-' : short(v);
      if (this.values[i].textContent !== text) this.values[i].textContent = text;
    });
  }

  // tabulate writes the table when it is opened. It stays as it is then, so that it can be read.
  tabulate() {
    if (!this.details.open) return this.table.replaceChildren();
    const head = element('tr', {}, element('th', { scope: 'col' }, 'time'), ...this.what.series.map(([name]) => element('th', { scope: 'col' }, name)));
    const body = points.toReversed().map((p) => element('tr', {}, element('th', { scope: 'row' }, clock(new Date(p.t * 1000))),
      ...this.what.series.map(([, , value]) => element('td', {}, text(value(p))))));
    this.table.replaceChildren(element('table', { class: 'points' }, element('caption', {}, `${this.what.title}, ${this.what.unit}; as of ${clock(new Date())}`),
      element('thead', {}, head), element('tbody', {}, ...body)));
  }
}

const text = (v) => (v === null || v === undefined ? '-' : String(v));

function short(v) {
  if (v >= 10000) return `${Math.round(v / 1000)}k`;
  return v >= 10 || Number.isInteger(v) ? String(Math.round(v)) : v.toFixed(1);
}

function chooser() {
  const select = element('select', { 'aria-label': 'Lane of the latencies' }, ...lanes.map((name) => element('option', { value: name }, name)));
  select.value = lanes[lane];
  select.addEventListener('change', () => {
    lane = lanes.indexOf(select.value);
    address.set('lane', lane ? select.value : '');
    for (const c of charts) c.update();
  });
  return select;
}

// makeCharts draws the charts for the first time.
export function makeCharts(view) {
  lanes = view.lanes;
  lane = Math.max(0, lanes.indexOf(address.get('lane')));
  charts = describe(view.reasons).map((what) => new Chart(what));
  byId('plots').replaceChildren(...charts.map((c) => c.box));
  for (const c of charts) c.draw();
}

// redraw draws them again, in another size or other colours.
export function redraw() {
  for (const c of charts) c.draw();
}

export function setHistory(list) {
  points = list ?? [];
  for (const c of charts) c.update();
}

export function addPoint(point) {
  if (!point || (points.length && point.t <= points.at(-1).t)) return;
  points.push(point);
  while (points.length && points[0].t < point.t - seconds) points.shift();
  for (const c of charts) c.update();
}
