// Many pictures as one table: asked in small pieces, so that progress shows and cancelling helps at once.
import { badge, english, find, make, put, say, tally, VERDICTS, verdictOf } from './dom.js';
import { ask, Problem } from './service.js';
import { fill, number, percent, sentence, texts } from './text.js';
import { csvOf } from './csv.js';
import { tooLarge, MOST_BYTES } from './limits.js';

const MOST_FILES = 8;
const PIECE_BYTES = 0.8 * MOST_BYTES;
const AT_ONCE = 2; // pieces: one is sent and decoded while the network is at work on another
const SOON = 200; // milliseconds: a long table is not made again for every piece

function* pieces(waiting) {
  let piece = [];
  let bytes = 0;
  for (const one of waiting) {
    if (piece.length === MOST_FILES || (piece.length && bytes + one.file.size > PIECE_BYTES)) {
      yield piece;
      [piece, bytes] = [[], 0];
    }
    piece.push(one);
    bytes += one.file.size;
  }
  if (piece.length) yield piece;
}

export class ManyPictures {
  #place;
  #open;
  #classes = [];
  #rows = []; // { name, answer, file }, in the order of the files
  #slots = []; // of each file its rows: a file may hold several pictures
  #count = 0;
  #done = 0;
  #running = null; // the AbortController of a run
  #stopped = ''; // what is said of a run that was cancelled
  #trouble = '';
  #waitingFor = 0; // calls of `add` that go on
  #timer = 0;
  #sorted = { column: '', down: false };

  // `open(file, name)`: shows one as one patient's.
  constructor(place, open) {
    this.#place = place;
    this.#open = open;
  }

  set classes(codes) {
    this.#classes = codes;
    this.render();
  }

  async add(files) {
    const start = this.#slots.length;
    const waiting = [];
    files.forEach(({ file, name }, at) => {
      this.#slots.push([]);
      if (tooLarge(file)) this.#take(start + at, [{ name, file, answer: { error: tooLarge(file, name) } }]);
      else waiting.push({ file, name, slot: start + at });
    });
    this.#count += files.length;
    await this.#run(waiting);
  }

  #take(slot, rows) {
    this.#slots[slot] = rows;
    this.#done += 1;
    this.#rows = this.#slots.flat();
  }

  async #run(waiting) {
    const before = this.#running;
    const stop = before ?? new AbortController();
    this.#running = stop;
    [this.#stopped, this.#trouble] = ['', ''];
    this.#waitingFor += 1;
    this.render();
    const line = pieces(waiting);
    const worker = async () => {
      for (const piece of line) {
        await this.#ask(piece, stop.signal);
        this.#renderSoon();
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    } catch (error) {
      stop.abort(); // one piece that failed, or was cancelled, ends the run
      this.#stopped ||= this.#told;
      if (error instanceof Problem) this.#trouble = error.message;
    }
    this.#waitingFor -= 1;
    if (this.#waitingFor === 0) {
      this.#running = null;
      this.#count = this.#done; // what was cancelled is no longer waited for
    }
    this.render();
    say(this.#trouble || this.#told);
  }

  async #ask(piece, signal) {
    const body = new FormData();
    for (const { file, name } of piece) body.append('images', file, name);
    body.append('explain', 'false');
    const { results } = await ask('v1/predict/batch', { body, signal });
    if (results.length === piece.length) {
      results.forEach((answer, at) => this.#take(piece[at].slot, [{ ...piece[at], answer }]));
      return;
    }
    // A file with several pictures gives several answers, all by its name.
    const rest = [...results];
    piece.forEach((one, at) => {
      const own = rest.filter((answer) => answer.file.startsWith(one.name));
      const taken = at === piece.length - 1 ? [...rest] : own;
      for (const answer of taken) rest.splice(rest.indexOf(answer), 1);
      this.#take(one.slot, taken.map((answer) => ({ ...one, name: answer.file, answer })));
    });
  }

  get #told() {
    const so = { done: number(this.#done), count: number(this.#count) };
    if (this.#running?.signal.aborted) return fill(texts.runStopped, so);
    if (this.#running) return fill(texts.run, so);
    return this.#stopped || fill(texts.runDone, so);
  }

  #clear = () => {
    [this.#rows, this.#slots, this.#count, this.#done, this.#stopped, this.#trouble] = [[], [], 0, 0, '', ''];
    this.render();
    find('pick').focus();
  };

  #download = () => {
    const url = URL.createObjectURL(new Blob([csvOf(this.#rows, this.#classes)], { type: 'text/csv;charset=utf-8' }));
    make('a', { href: url, download: `dermedge-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };

  #renderSoon() {
    this.#timer ||= setTimeout(() => this.render(), SOON);
  }

  render() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#slots.length) {
      put(this.#place, make('p', { class: 'panel quiet' }, texts.manyEmpty));
      return;
    }
    put(this.#place, this.#head(), this.#table());
  }

  #head() {
    return make('div', { class: 'panel run' },
      make('p', { class: 'told' }, this.#told),
      this.#running && make('progress', { max: this.#count, value: this.#done, 'aria-label': texts.progress }),
      tally(this.#rows.map(({ answer }) => verdictOf(answer))),
      this.#trouble && make('p', { class: 'wrong' }, this.#trouble),
      make('div', { class: 'buttons no-print' },
        this.#running
          ? make('button', { type: 'button', id: 'cancel', onclick: () => this.#running?.abort() }, texts.cancel)
          : [
            make('button', { type: 'button', id: 'download', class: 'main', onclick: this.#download }, texts.download),
            make('button', { type: 'button', id: 'print-table', onclick: () => window.print() }, texts.printTable),
            make('button', { type: 'button', id: 'clear', onclick: this.#clear }, texts.clear),
          ]));
  }

  get #ordered() {
    const { column, down } = this.#sorted;
    if (!column) return this.#rows;
    const keys = {
      file: ({ name }) => name,
      decision: ({ answer }) => VERDICTS.indexOf(verdictOf(answer)),
      label: ({ answer }) => answer.label_name ?? '',
      probability: ({ answer }) => answer.probabilities?.[answer.label] ?? -1,
    };
    const key = keys[column];
    const compare = (one, other) => (typeof one === 'string' ? one.localeCompare(other, undefined, { numeric: true }) : one - other);
    return [...this.#rows].sort((one, other) => (down ? -1 : 1) * compare(key(one), key(other)));
  }

  #sortBy(column) {
    this.#sorted = { column, down: this.#sorted.column === column && !this.#sorted.down };
    this.render();
  }

  #table() {
    const { column: by, down } = this.#sorted;
    const heads = Object.entries(texts.columns).map(([column, name]) =>
      make('th', { scope: 'col', class: column === 'probability' ? 'number' : '', 'aria-sort': column === by ? (down ? 'descending' : 'ascending') : null },
        make('button', { type: 'button', id: `by-${column}`, class: 'plain', onclick: () => this.#sortBy(column) }, name)));
    return make('div', { class: 'panel scroll', tabindex: '0', role: 'region', 'aria-label': texts.tableName },
      make('table', { class: 'many', 'aria-label': texts.tableName },
        make('thead', {}, make('tr', {}, heads)),
        make('tbody', {}, this.#ordered.map((row) => this.#row(row)))));
  }

  #row({ name, answer, file }) {
    const link = make('button', { type: 'button', class: 'plain', title: fill(texts.open, { file: name }), onclick: () => this.#open(file, file.name) }, name);
    if (answer.error) {
      return make('tr', {}, make('th', { scope: 'row' }, name), make('td', {}, badge('error')), english('td', { colspan: 2, class: 'why' }, answer.error));
    }
    return make('tr', {},
      make('th', { scope: 'row' }, link),
      make('td', {}, badge(verdictOf(answer))),
      english('td', {}, sentence(answer.label_name)),
      make('td', { class: 'number' }, percent(answer.probabilities[answer.label])));
  }
}

