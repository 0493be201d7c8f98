// Elements without markup in strings: whatever a file or a field is called, it stays text.
import { fill, number, texts } from './text.js';

export const find = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// Written by the service, in English whatever the page's language is.
export const english = (tag, properties, ...children) => make(tag, { lang: 'en', ...properties }, ...children);

export function labelled() {
  for (const each of document.querySelectorAll('[data-text]')) each.textContent = texts[each.dataset.text];
  for (const each of document.querySelectorAll('[data-label]')) each.setAttribute('aria-label', texts[each.dataset.label]);
}

export function say(text) {
  find('said').textContent = text;
}

// Puts new content in place, and the focus back on what had it.
export function put(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.id : '';
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focused) find(focused)?.focus({ preventScroll: true });
}

const SHAPES = {
  refer: 'M12 2.5 22 12 12 21.5 2 12zM12 7v6M12 16.2v.3',
  unsure: 'M12 2.8a9.2 9.2 0 1 0 0 18.4 9.2 9.2 0 0 0 0-18.4M9.3 9.6c0-3.7 5.5-3.5 5.5-.2 0 2.2-2.8 2.2-2.8 4.4M12 16.6v.3',
  routine: 'M4 4h16v16H4zM8 12h8',
  none: 'M4 12h16',
  error: 'M5 5l14 14M19 5 5 19',
};

// A shape of its own for each verdict, so that it can be told without its colour.
export function icon(verdict) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', SHAPES[verdict]);
  svg.append(path);
  return svg;
}

// The most urgent first.
export const VERDICTS = ['refer', 'unsure', 'routine', 'none', 'error'];
export const verdictOf = (answer) => (answer.error ? 'error' : answer.decision ?? 'none');

export function badge(verdict) {
  const word = verdict === 'error' ? texts.notRead : texts.verdicts[verdict][0];
  return make('span', { class: `badge ${verdict}` }, icon(verdict), word);
}

// How many there are of each verdict.
export function tally(verdicts) {
  const counts = VERDICTS.map((verdict) => [verdict, verdicts.filter((each) => each === verdict).length]);
  return make('ul', { class: 'tally' }, counts.filter(([, count]) => count).map(([verdict, count]) =>
    make('li', { class: `badge ${verdict}` }, icon(verdict), fill(texts.tally[verdict], { count: number(count) }))));
}
