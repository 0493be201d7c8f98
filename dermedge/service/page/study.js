// A study of readers: the first opinion, the answer, the second opinion. The service keeps the same order.
import { english, make } from './dom.js';
import { framed } from './picture.js';
import { ask } from './service.js';
import { fill, sentence, texts } from './text.js';

const KEPT = 'dermedge-reader';
const DO_NOT_KNOW = 'do_not_know';
const LONGEST_NAME = 64;

export class Study {
  #choices;
  #reader = sessionStorage.getItem(KEPT) ?? '';
  #show;
  #next;

  // `about`: what the model file says of itself; `show(picture)`: asks for the answer, `next()`: begins another case.
  constructor(about, { show, next }) {
    const named = about.classes.map((code) => [code, about.class_names[code] ?? code]);
    this.#choices = [...named.sort(([, one], [, other]) => one.localeCompare(other)), [DO_NOT_KNOW, texts.study.doNotKnow]];
    [this.#show, this.#next] = [show, next];
  }

  #name(code) {
    return this.#choices.find(([each]) => each === code)?.[1] ?? code;
  }

  #diagnosis(id, label, draft) {
    const blank = make('option', { value: '', selected: !draft[id] }, texts.study.choose);
    const options = this.#choices.map(([code, name]) => make('option', { value: code, lang: code === DO_NOT_KNOW ? null : 'en', selected: draft[id] === code }, sentence(name)));
    return make('div', { class: 'field' },
      make('label', { for: id }, label),
      make('select', { id, required: true, onchange: ({ target }) => (draft[id] = target.value) }, blank, options));
  }

  // Sends an opinion; what the service says against it stands in the form.
  async #send(form, which, opinion) {
    const [wrong] = form.getElementsByClassName('wrong');
    const buttons = [...form.querySelectorAll('button')];
    wrong.textContent = '';
    for (const button of buttons) button.disabled = true;
    try {
      return await ask(`v1/feedback/${which}`, { body: new Blob([JSON.stringify(opinion)], { type: 'application/json' }) });
    } catch (error) {
      wrong.textContent = error.message;
      return null;
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  // The picture, and the form that asks for the opinion before the answer.
  firstView(picture) {
    const { patient } = picture;
    patient.draft ??= {};
    const { draft } = patient;
    const text = (id, label, value, kept) => make('div', { class: 'field' },
      make('label', { for: id }, label),
      make('input', { id, value, maxlength: LONGEST_NAME, required: true, spellcheck: 'false', oninput: ({ target }) => kept(target.value) }));
    const send = async (event) => {
      event.preventDefault();
      const form = event.currentTarget;
      const [wrong] = form.getElementsByClassName('wrong');
      const opinion = { reader: this.#reader.trim(), case: (draft.case ?? '').trim(), diagnosis: draft.first };
      if (!opinion.reader || !opinion.case || !opinion.diagnosis) {
        wrong.textContent = texts.study.missing;
        return;
      }
      const stored = await this.#send(form, 'first', opinion);
      if (stored?.second) wrong.textContent = fill(texts.study.finished, stored);
      else if (stored) {
        patient.opinion = stored;
        this.#show(picture);
      }
    };
    return make('div', { class: 'columns' },
      make('div', { class: 'panel' }, framed(picture)),
      make('form', { class: 'panel study', onsubmit: send, novalidate: true, autocomplete: 'off', 'aria-labelledby': 'study-title' },
        make('h2', { id: 'study-title' }, texts.study.first),
        text('reader', texts.study.reader, this.#reader, (value) => sessionStorage.setItem(KEPT, (this.#reader = value))),
        text('case', texts.study.case, draft.case ?? '', (value) => (draft.case = value)),
        this.#diagnosis('first', texts.diagnosis, draft),
        make('p', { class: 'wrong', role: 'alert' }),
        make('button', { class: 'main', id: 'store-first' }, texts.study.storeFirst),
        make('p', { class: 'hint' }, texts.study.hint)));
  }

  // What stands over the answer: the question for the second opinion, or both opinions.
  secondView({ patient, asking }) {
    const { opinion } = patient;
    patient.draft ??= {};
    const { draft } = patient;
    const head = make('p', { class: 'hint' }, `${fill(texts.study.which, opinion)} `, texts.study.before, ' ', english('strong', {}, this.#name(opinion.first)),
      opinion.second && ['. ', texts.study.after, ' ', english('strong', {}, this.#name(opinion.second))], '.');
    if (opinion.second) {
      return make('section', { class: 'panel study no-print', 'aria-labelledby': 'study-title' },
        make('h2', { id: 'study-title' }, texts.study.stored), head,
        make('div', { class: 'buttons' }, make('button', { type: 'button', class: 'main', id: 'next-case', onclick: this.#next }, texts.study.next)));
    }
    const send = async (form, diagnosis) => {
      if (!diagnosis) {
        form.getElementsByClassName('wrong')[0].textContent = texts.study.missingSecond;
        return;
      }
      const { reader, case: name } = opinion;
      const stored = await this.#send(form, 'second', { reader, case: name, diagnosis });
      if (!stored) return;
      patient.opinion = stored;
      this.#show(null);
    };
    const stay = (event) => send(event.currentTarget.form, opinion.first);
    const change = (event) => {
      event.preventDefault();
      send(event.currentTarget, draft.second);
    };
    return make('form', { class: 'panel study no-print', onsubmit: change, novalidate: true, autocomplete: 'off', 'aria-labelledby': 'study-title' },
      make('h2', { id: 'study-title' }, texts.study.second), head,
      make('div', { class: 'either' },
        make('button', { type: 'button', id: 'stay', disabled: asking, onclick: stay },
          opinion.first === DO_NOT_KNOW ? texts.study.stillNot : fill(texts.study.stay, { name: this.#name(opinion.first) })),
        this.#diagnosis('second', texts.study.other, draft),
        make('button', { id: 'store-second', disabled: asking }, texts.study.storeSecond)),
      make('p', { class: 'wrong', role: 'alert' }));
  }
}
