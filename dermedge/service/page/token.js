// The form that asks for the token, where the answers stand.
import { make, put } from './dom.js';
import { texts } from './text.js';

const SENDABLE = /^[\x21-\x7e]+$/;

export function tokenForm(place, wrong) {
  return new Promise((resolve) => {
    const input = make('input', {
      id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': 'token-hint',
    });
    const trouble = make('p', { class: 'wrong', role: 'alert' }, wrong ? texts.tokenWrong : '');
    const taken = (event) => {
      event.preventDefault();
      const token = input.value.trim();
      if (!SENDABLE.test(token)) {
        trouble.textContent = texts.tokenWrong;
        return;
      }
      put(place);
      resolve(token);
    };
    put(
      place,
      make('form', { class: 'panel token', onsubmit: taken, novalidate: true },
        make('h2', {}, texts.tokenTitle),
        make('label', { for: 'token' }, texts.token),
        make('div', { class: 'buttons' }, input, make('button', { class: 'main' }, texts.tokenSend)),
        trouble,
        make('p', { class: 'hint', id: 'token-hint' }, texts.tokenHint)),
    );
    input.focus();
  });
}
