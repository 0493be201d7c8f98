// What the model file says of itself: what it is for, what it was trained on, what was measured.
import { english, make } from './dom.js';
import { fill, number, percent, texts } from './text.js';

const interval = (figure) => figure && fill(texts.interval, { value: percent(figure.value), low: percent(figure.low), high: percent(figure.high) });

export function aboutModel({ sha256, description }) {
  const reached = description.calibration?.reached;
  const measured = reached?.decision ?? {};
  const rows = {
    use: description.intended_use,
    classes: description.classes.map((code) => description.class_names[code] ?? code).join(', '),
    training: description.training?.data,
    referred: interval(measured.sensitivity),
    melanomas: interval(measured.melanomas_referred),
    spared: interval(measured.specificity),
    measured: reached && fill(texts.measuredOn, { images: number(reached.images), lesions: number(reached.lesions) }),
    licence: description.licence,
    sha256,
  };
  return make('dl', {}, Object.entries(rows).filter(([, text]) => text).map(([name, text]) =>
    make('div', {}, make('dt', {}, texts.aboutFacts[name]), english('dd', {}, String(text)))));
}
