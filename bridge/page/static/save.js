// The page as one HTML file that needs nothing else: with its style, with pictures for the charts,
// with every row, and without a script.

import { byId, element } from './dom.js';
import { withAll } from './tables.js';

const text = async (path) => (await fetch(path)).text();

export async function save(view) {
  const styles = await Promise.all(['static/page.css', 'static/uplot.css'].map(text));
  const body = withAll(() => copy());
  const page = document.implementation.createHTMLDocument(`Sluice at ${location.host}, ${view.time}`);
  page.documentElement.lang = 'en';
  const policy = element('meta', { 'http-equiv': 'Content-Security-Policy', content: "default-src 'none'; style-src 'unsafe-inline'; img-src data:" });
  const width = element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' });
  const charset = element('meta', { charset: 'utf-8' });
  page.head.prepend(charset, policy, width);
  for (const s of styles) page.head.append(element('style', {}, s));
  page.body.append(...body.children);
  const name = `sluice-${view.time.slice(0, 19).replaceAll(':', '')}.html`;
  offer(name, `<!DOCTYPE html>\n${page.documentElement.outerHTML}`);
}

// copy is the body as it is, without what only a living page has.
function copy() {
  const body = document.body.cloneNode(true);
  const canvases = document.querySelectorAll('canvas');
  body.querySelectorAll('canvas').forEach((c, i) => {
    c.replaceWith(element('img', { src: canvases[i].toDataURL(), alt: '' }));
  });
  body.querySelectorAll('script, noscript, input, select, label, .skip, header nav, .more, #announce').forEach((e) => e.remove());
  body.querySelectorAll('th button').forEach((b) => b.replaceWith(b.textContent));
  body.querySelectorAll('details').forEach((d) => d.setAttribute('open', ''));
  return body;
}

function offer(name, text) {
  const link = element('a', { href: URL.createObjectURL(new Blob([text], { type: 'text/html' })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  byId('save').dataset.saved = name;
}
