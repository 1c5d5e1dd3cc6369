// The page as one HTML file that needs nothing else: with its style, with pictures for the charts,
// with every row, and without a script.

import { element } from './dom.js';
import { withAll } from './tables.js';

const text = async (path) => (await fetch(path)).text();

// policy is what the file may load: nothing. Its styles and pictures are in itself.
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

export async function save(view) {
  const styles = await Promise.all(['static/page.css', 'static/uplot.css'].map(text));
  const title = element('title', {}, `Sluice at ${location.host}, ${view.time}`);
  const body = withAll(copy);
  offer(`sluice-${view.time.slice(0, 19).replaceAll(':', '')}.html`, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
${title.outerHTML}
<style>${styles.join('\n')}</style>
</head>
${body.outerHTML}
</html>
`);
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
}
