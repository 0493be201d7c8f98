// A study of readers: the first opinion, the answer, the second opinion. The service keeps the same order.
import { english, make } from './dom.js';
import { framed } from './picture.js';
import { ask } from './service.js';
import { fill, sentence, texts } from './text.js';

const KEPT = 'dermedge-reader';
const DO_NOT_KNOW = 'do_not_know';
const words = texts.study;

export class Study {
  #names;
  #show;
  #next;

  // `show(patient, opinion, picture)`: takes what is stored, and asks for the answer; `next()`: begins another case.
  constructor(about, { show, next }) {
    const named = about.classes.map((code) => [code, about.class_names[code] ?? code]);
    this.#names = new Map([...named.sort(([, one], [, other]) => one.localeCompare(other)), [DO_NOT_KNOW, words.doNotKnow]]);
    [this.#show, this.#next] = [show, next];
  }

  // The form of an opinion; what was begun in it outlives that it is made anew.
  #form(title, patient, send, ...children) {
    const draft = (patient.draft ??= { reader: sessionStorage.getItem(KEPT) ?? '' });
    const form = make('form', {
      class: 'panel study no-print', novalidate: true, autocomplete: 'off', 'aria-labelledby': 'study-title', oninput: ({ target }) => (draft[target.id] = target.value), onsubmit: (event) => {
        event.preventDefault();
        send(form, draft);
      },
    }, make('h2', { id: 'study-title' }, title), children, make('p', { class: 'wrong', role: 'alert' }));
    for (const each of form.querySelectorAll('input, select')) each.value = draft[each.id] ?? '';
    return form;
  }

  #field = (id, label, input) => make('div', { class: 'field' }, make('label', { for: id }, label), input);

  #text = (id, label) => this.#field(id, label, make('input', { id, maxlength: 64, required: true, spellcheck: 'false' }));

  #diagnosis = (id, label) => this.#field(id, label, make('select', { id, required: true }, make('option', { value: '' }, words.choose),
    [...this.#names].map(([code, name]) => make('option', { value: code, lang: code === DO_NOT_KNOW ? null : 'en' }, sentence(name)))));

  // Sends an opinion; what speaks against it stands in the form.
  async #send(form, which, opinion, missing) {
    const wrong = form.querySelector('.wrong');
    const buttons = form.querySelectorAll('button');
    if (Object.values(opinion).some((each) => !each?.trim())) {
      wrong.textContent = missing;
      return null;
    }
    wrong.textContent = '';
    for (const each of buttons) each.disabled = true;
    try {
      return await ask(`v1/feedback/${which}`, { body: new Blob([JSON.stringify(opinion)], { type: 'application/json' }) });
    } catch (error) {
      wrong.textContent = error.message;
      return null;
    } finally {
      for (const each of buttons) each.disabled = false;
    }
  }

  // The picture, and the form that asks for the opinion before the answer.
  firstView(picture) {
    const { patient } = picture;
    const send = async (form, { reader, case: name, first }) => {
      const stored = await this.#send(form, 'first', { reader, case: name, diagnosis: first }, words.missing);
      if (!stored) return;
      sessionStorage.setItem(KEPT, stored.reader);
      if (stored.second) form.querySelector('.wrong').textContent = fill(words.finished, stored);
      else this.#show(patient, stored, picture);
    };
    return make('div', { class: 'columns' },
      make('div', { class: 'panel' }, framed(picture)),
      this.#form(words.first, patient, send,
        this.#text('reader', words.reader),
        this.#text('case', words.case),
        this.#diagnosis('first', texts.diagnosis),
        make('p', { class: 'hint' }, words.hint),
        make('button', { class: 'main', id: 'store-first' }, words.storeFirst)));
  }

  // What stands over the answer: the question for the second opinion, or both opinions.
  secondView({ patient, asking }) {
    const { reader, case: name, first, second } = patient.opinion;
    const said = (word, code) => [' ', word, ' ', english('strong', {}, this.#names.get(code)), '.'];
    const head = make('p', { class: 'hint' }, fill(words.which, patient.opinion), said(words.before, first), second && said(words.after, second));
    if (second) {
      return make('section', { class: 'panel study no-print', 'aria-labelledby': 'study-title' },
        make('h2', { id: 'study-title' }, words.stored), head,
        make('button', { type: 'button', class: 'main', id: 'next-case', onclick: this.#next }, words.next));
    }
    const send = async (form, diagnosis) => {
      const stored = await this.#send(form, 'second', { reader, case: name, diagnosis }, words.missingSecond);
      if (stored) this.#show(patient, stored);
    };
    return this.#form(words.second, patient, (form, draft) => send(form, draft.second), head,
      make('div', { class: 'either' },
        make('button', { type: 'button', id: 'stay', disabled: asking, onclick: ({ target }) => send(target.form, first) },
          first === DO_NOT_KNOW ? words.stillNot : fill(words.stay, { name: this.#names.get(first) })),
        this.#diagnosis('second', words.other),
        make('button', { id: 'store-second', disabled: asking }, words.storeSecond)));
  }
}
