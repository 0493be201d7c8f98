// One answer, the decision with its reasons first; on paper it is the report.
import { english, icon, make, verdictOf } from './dom.js';
import { fieldName } from './clinical.js';
import { fill, moment, number, percent, plain, sentence, signed, texts } from './text.js';
import { figure } from './picture.js';

const FAMILIAR = 1;
const COUNTS_FROM = 0.1; // change of a score from which the sentences say that it counts
const named = (answer, code) => answer.class_names[code] ?? code;

// `about`: what the model file says of itself; `explain(code)`: asks for the heat map of another class.
export function answerView(shot, about, { explain }) {
  const { answer } = shot;
  return make('article', { class: 'answer', 'aria-busy': String(shot.asking), 'aria-labelledby': 'verdict' },
    make('header', { class: 'print-only' }, make('h2', {}, `dermedge: ${texts.report}`), make('p', { class: 'blank-line' }, `${texts.patientLine}: `)),
    decision(answer),
    warnings(answer),
    make('div', { class: 'columns' },
      make('div', { class: 'stack' },
        make('div', { class: 'panel' }, figure(shot, { explain })),
        answer.explanation_text && make('section', { class: 'panel words' }, make('h3', {}, texts.words), english('p', {}, answer.explanation_text))),
      make('div', { class: 'panel stack' }, diagnoses(answer, about), clinical(answer))),
    facts(shot));
}

function decision(answer) {
  const verdict = verdictOf(answer);
  const [word, meaning] = texts.verdicts[verdict];
  const reasons = answer.reasons.map((each) => english('li', {}, `${sentence(each)}.`));
  return make('section', { class: `decision ${verdict}` },
    icon(verdict),
    make('div', {},
      make('h2', { id: 'verdict', tabindex: '-1' }, word),
      make('p', { class: 'meaning' }, meaning),
      reasons.length > 0 && make('ul', { 'aria-label': texts.reasons }, reasons)),
    make('p', { class: 'top-class' }, make('span', { class: 'hint' }, texts.likeliest), english('span', {}, sentence(answer.label_name)), make('strong', {}, percent(answer.probabilities[answer.label]))));
}

function warnings(answer) {
  const found = [];
  const add = ([title, text], score) => found.push(make('p', {}, make('strong', {}, title), ' ', fill(text, { times: number(score, 1) })));
  if (answer.ood_score > FAMILIAR) add(texts.unfamiliar, answer.ood_score);
  if (answer.lesion_ood_score > FAMILIAR) add(texts.oddLesion, answer.lesion_ood_score);
  if (!answer.decision) found.push(...answer.picture_faults.map((fault) => english('p', {}, `${sentence(fault)}.`)));
  return found.length > 0 && make('div', { class: 'warning', role: 'note' }, icon('unsure'), make('div', {}, found));
}

function bar(share, kind = '') {
  const filled = make('span', { class: `filled ${kind}` });
  filled.style.inlineSize = `${100 * share}%`;
  return make('span', { class: 'bar', 'aria-hidden': 'true' }, filled);
}

function diagnoses(answer, about) {
  const { probabilities } = answer;
  const rule = about.decision;
  const urgent = rule?.urgent ?? [];
  const possible = answer.prediction_set ?? [];
  const codes = Object.keys(probabilities).sort((one, other) => probabilities[other] - probabilities[one]);
  const rows = codes.map((code) =>
    make('tr', { class: possible.includes(code) ? 'possible' : '' },
      make('th', { scope: 'row' },
        english('span', {}, named(answer, code)), ' ',
        urgent.includes(code) && make('span', { class: 'tag' }, texts.urgent),
        possible.includes(code) && make('span', { class: 'unseen' }, texts.possible)),
      make('td', { class: 'number' }, bar(probabilities[code], code === answer.label ? 'first' : ''), make('span', {}, percent(probabilities[code])))));
  const holds = answer.prediction_set && [
    make('strong', {}, texts.setHolds), ' ', english('span', {}, possible.map((code) => named(answer, code)).join(', ')), '. ', rule && fill(texts.setCoverage, { coverage: percent(rule.coverage) }),
  ];
  const sum = urgent.reduce((total, code) => total + probabilities[code], 0);
  return make('section', {},
    make('h3', { id: 'diagnoses' }, texts.diagnoses),
    make('table', { class: 'classes', 'aria-labelledby': 'diagnoses' },
      make('thead', { class: 'unseen' }, make('tr', {}, make('th', { scope: 'col' }, texts.diagnosis), make('th', { scope: 'col' }, texts.probability))),
      make('tbody', {}, rows)),
    holds && make('p', { class: 'hint set' }, holds),
    urgent.length > 0 && make('p', { class: 'hint' }, fill(texts.urgentSum, { sum: percent(sum), limit: percent(rule.urgent_threshold) })));
}

// What a field was: given, unknown, or unknown and counted as a value.
function value(answer, field) {
  if (field in answer.given) return english('span', {}, typeof answer.given[field] === 'number' ? plain(answer.given[field]) : answer.given[field]);
  if (!(field in answer.imputed)) return make('em', {}, texts.unknown);
  const counted = answer.imputed[field];
  const text = counted === null ? texts.countedSome : fill(texts.countedAs, { value: typeof counted === 'number' ? plain(counted) : counted });
  return make('em', {}, text);
}

function clinical(answer) {
  const attribution = answer.explanation?.attribution;
  if (!attribution || Object.keys(attribution).length === 0) return null;
  const changes = new Map();
  for (const [feature, change] of Object.entries(attribution)) {
    const field = feature.split('=')[0];
    changes.set(field, (changes.get(field) ?? 0) + change);
  }
  const ordered = [...changes].sort(([, one], [, other]) => Math.abs(other) - Math.abs(one));
  const most = Math.max(0.5, ...ordered.map(([, change]) => Math.abs(change)));
  const rows = ordered.map(([field, change]) => {
    const counts = Math.abs(change) >= COUNTS_FROM;
    const word = counts ? (change > 0 ? texts.raised : texts.lowered) : texts.hardly;
    const unknown = !(field in answer.given);
    return make('tr', { class: unknown ? 'unknown' : '' },
      make('th', { scope: 'row' }, `${fieldName(field)} `, value(answer, field)),
      make('td', { class: 'number' }, changeBar(change / most, unknown), make('span', {}, make('span', { class: 'unseen' }, `${word} `), signed(change, counts ? 1 : 2))));
  });
  const target = answer.explanation.target;
  return make('section', {},
    make('h3', { id: 'clinical' }, texts.clinical),
    make('p', { class: 'hint' }, fill(texts.clinicalHint, { name: named(answer, target) })),
    make('table', { class: 'changes', 'aria-labelledby': 'clinical' },
      make('thead', {}, make('tr', {},
        make('th', { scope: 'col' }, make('span', { class: 'unseen' }, texts.field)),
        make('th', { scope: 'col' }, make('span', { class: 'unseen' }, texts.change),
          make('span', { class: 'axis', 'aria-hidden': 'true' }, make('span', {}, texts.lowered), make('span', {}, texts.raised))))),
      make('tbody', {}, rows)));
}

function changeBar(part, unknown) {
  const filled = make('span', { class: `filled ${part < 0 ? 'down' : 'up'} ${unknown ? 'guess' : ''}` });
  filled.style.inlineSize = `${50 * Math.abs(part)}%`;
  filled.style[part < 0 ? 'insetInlineEnd' : 'insetInlineStart'] = '50%';
  return make('span', { class: 'bar middle', 'aria-hidden': 'true' }, filled);
}

function facts(shot) {
  const { answer } = shot;
  const given = Object.entries(answer.given).map(([field, known]) => `${fieldName(field)} ${typeof known === 'number' ? plain(known) : known}`);
  const rows = {
    file: shot.name,
    size: answer.size && fill(texts.pixels, { width: number(answer.size[0]), height: number(answer.size[1]) }),
    given: given.join(', ') || texts.nothingGiven,
    unknown: answer.unknown.map(fieldName).join(', '),
    time: moment(answer.time),
    model: answer.model,
    device: `${answer.device}, ${answer.hardware}`,
    versions: Object.entries(answer.versions).map((each) => each.join(' ')).join(', '),
    sha256: answer.model_sha256,
  };
  return make('footer', { class: 'facts' },
    make('dl', {}, Object.entries(rows).filter(([, text]) => text).map(([name, text]) => make('div', {}, make('dt', {}, texts.facts[name]), make('dd', {}, text)))),
    answer.notice !== texts.notice && english('p', { class: 'print-notice' }, answer.notice));
}
