// The patients of this tab and the pictures of each, in memory alone: a reload forgets them.
import { ask } from './service.js';
import { tooLarge } from './limits.js';

const MOST_KEPT = 40; // patients: older ones are forgotten, and their pictures' memory is free again

export class Session {
  #patients = [];
  #changed;
  study = false; // whether an answer waits for the first opinion on its case
  current = { pictures: [], values: {}, selected: 0, begun: new Date() };

  // `changed(picture)`: something is to be shown anew; of `picture` there is a new answer or problem.
  constructor(changed) {
    this.#changed = changed;
  }

  get earlier() {
    return this.#patients.filter((each) => each !== this.current);
  }

  get selected() {
    return this.current.pictures[this.current.selected];
  }

  begin() {
    this.current = { pictures: [], values: {}, selected: 0, begun: new Date() };
    this.#changed();
  }

  show(patient) {
    this.current = patient;
    this.#changed();
  }

  add(files) {
    const patient = this.current;
    if (!patient.pictures.length) this.#keep(patient);
    const added = files.map(({ file, name }) => ({ file, name, url: URL.createObjectURL(file), patient, answer: null, problem: null, target: '', asking: false, stop: null }));
    patient.selected = patient.pictures.length;
    patient.pictures.push(...added);
    this.#changed();
    return Promise.all(added.map((picture) => this.ask(picture)));
  }

  #keep(patient) {
    this.#patients.unshift(patient);
    for (const old of this.#patients.splice(MOST_KEPT)) for (const { url } of old.pictures) URL.revokeObjectURL(url);
  }

  remove(picture) {
    const { pictures } = this.current;
    picture.stop?.abort();
    pictures.splice(pictures.indexOf(picture), 1);
    URL.revokeObjectURL(picture.url);
    this.current.selected = Math.max(0, Math.min(this.current.selected, pictures.length - 1));
    if (!pictures.length) this.#patients = this.#patients.filter((each) => each !== this.current);
    this.#changed();
  }

  // Takes new clinical values: all pictures of the patient are asked about again.
  use(values) {
    this.current.values = values;
    return Promise.all(this.current.pictures.map((picture) => this.ask(picture)));
  }

  async ask(picture) {
    if (this.study && !picture.patient.opinion) return;
    picture.stop?.abort();
    const stop = new AbortController();
    Object.assign(picture, { stop, asking: true, problem: null });
    this.#changed();
    try {
      const answer = await this.#answer(picture, stop.signal);
      Object.assign(picture, { answer, asking: false });
    } catch (error) {
      if (stop.signal.aborted) return;
      Object.assign(picture, { problem: error.message, answer: null, asking: false });
    }
    this.#changed(picture);
  }

  async #answer({ file, name, patient, target }, signal) {
    if (tooLarge(file, name)) throw new Error(tooLarge(file, name));
    const body = new FormData();
    body.append('image', file, name);
    if (this.study) for (const each of ['reader', 'case']) body.append(each, patient.opinion[each]);
    for (const [field, value] of Object.entries(patient.values)) body.append(field, value);
    if (target) body.append('target', target);
    return ask('v1/predict', { body, signal });
  }
}
