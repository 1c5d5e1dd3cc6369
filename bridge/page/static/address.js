// What is shown of the state is in the fragment of the address, so that a link to it can be sent:
// #freeze=1&app=...&lane=short&sort.requests=age-&filter.requests=/events

const read = () => new URLSearchParams(location.hash.slice(1));

export const get = (key) => read().get(key);

// set changes one value; an empty one is removed. It makes no entry in the history.
export function set(key, value) {
  const all = read();
  if (value) all.set(key, value);
  else all.delete(key);
  history.replaceState(null, '', `#${all}`);
}

// link is the address with one value changed.
export function link(key, value) {
  const all = read();
  if (value) all.set(key, value);
  else all.delete(key);
  return `#${all}`;
}
