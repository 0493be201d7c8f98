// What a request may hold, as the service itself says it.
import { fill, number, texts } from './text.js';

export const MOST_BYTES = Number(document.documentElement.dataset.mostBytes);
const FORM = 4096; // bytes of everything else in a request
const MEGABYTE = 2 ** 20;

// The sentence that refuses a file before it is sent in vain; empty where it may be sent.
export function tooLarge(file, name = file.name) {
  if (file.size <= MOST_BYTES - FORM) return '';
  return fill(texts.tooLarge, { file: name, size: number(file.size / MEGABYTE, 1), most: number(MOST_BYTES / MEGABYTE) });
}
