// The clinical values, by the fields that the open model has: another model has another form.
import { find, make, put } from './dom.js';
import { fill, plain, sentence, texts } from './text.js';

const WAIT = 350; // milliseconds after the last key, before the answer follows

export const fieldName = (name) => texts.fields[name] ?? sentence(name.replaceAll('_', ' '));

export class ClinicalForm {
  #place;
  #schema = { numeric: [], categorical: [] };
  #timer = 0;
  #changed;

  constructor(place, changed) {
    this.#place = place;
    this.#changed = changed;
    place.addEventListener('submit', (event) => event.preventDefault());
    place.addEventListener('input', () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.check() && this.#changed(), WAIT);
    });
  }

  build(schema) {
    this.#schema = schema;
    const { numeric, categorical } = schema;
    // By number, not by name: a model may call a field anything.
    const fields = [
      ...numeric.map((field, at) => this.#number(field, `field-${at}`)),
      ...categorical.map((field, at) => this.#words(field, `field-${numeric.length + at}`)),
    ];
    this.#place.hidden = fields.length === 0;
    put(
      this.#place,
      make('h2', { id: 'patient-title' }, texts.patient),
      make('div', { class: 'fields', role: 'group', 'aria-labelledby': 'patient-title', 'aria-describedby': 'patient-hint' }, fields),
      make('p', { class: 'hint', id: 'patient-hint' }, texts.optional),
    );
  }

  #number({ name, unit, minimum, maximum }, id) {
    const label = unit ? `${fieldName(name)} (${unit})` : fieldName(name);
    return make('div', { class: 'field' },
      make('label', { for: id }, label),
      make('input', {
        id, 'data-field': name, type: 'number', min: minimum, max: maximum, step: 'any', inputmode: 'decimal', placeholder: texts.unknown, 'aria-describedby': `${id}-wrong`,
      }),
      make('p', { class: 'wrong', id: `${id}-wrong`, 'aria-live': 'polite' }));
  }

  #words({ name, vocabulary }, id) {
    return make('div', { class: 'field' },
      make('label', { for: id }, fieldName(name)),
      make('select', { id, 'data-field': name },
        make('option', { value: '' }, texts.unknown),
        vocabulary.map((word) => make('option', { value: word, lang: 'en' }, word))));
  }

  // Says beside a number what is wrong with it.
  check() {
    let right = true;
    for (const [at, { minimum, maximum }] of this.#schema.numeric.entries()) {
      const input = find(`field-${at}`);
      const fine = input.validity.valid;
      input.setAttribute('aria-invalid', String(!fine));
      find(`field-${at}-wrong`).textContent = fine ? '' : fill(texts.between, { low: plain(minimum), high: plain(maximum) });
      right &&= fine;
    }
    return right;
  }

  get #inputs() {
    return [...this.#place.querySelectorAll('[data-field]')];
  }

  // The values that are known and valid, by field, as they are sent.
  get values() {
    const known = this.#inputs.filter((each) => each.value && each.validity.valid);
    return Object.fromEntries(known.map((each) => [each.dataset.field, each.value]));
  }

  set values(values) {
    clearTimeout(this.#timer);
    for (const each of this.#inputs) each.value = values[each.dataset.field] ?? '';
    this.check();
  }
}
