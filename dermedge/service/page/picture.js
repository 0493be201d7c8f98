// A picture with its heat map over it, and the slider between the two.
import { make } from './dom.js';
import { drawHeat, drawLegend } from './heat.js';
import { fill, percent, texts } from './text.js';

let share = 1; // of the heat map, for all pictures of this tab

export const gridOf = (answer) => answer?.explanation?.heatmap ?? null;

// The picture alone, or with the heat map; a file that the browser cannot show leaves its place empty.
export function framed(shot, { heat = true, small = false } = {}) {
  const { answer } = shot;
  const frame = make('div', { class: small ? 'frame small' : 'frame' });
  const image = make('img', { src: shot.url, alt: fill(texts.pictureAlt, { file: shot.name }), decoding: 'async' });
  image.addEventListener('error', () => {
    frame.classList.add('blank');
    image.replaceWith(make('p', { class: 'hint' }, heat && gridOf(answer) && !small ? texts.noPicture : texts.noPreview));
  });
  frame.append(image);
  if (answer?.size) frame.style.aspectRatio = `${answer.size[0]} / ${answer.size[1]}`;
  const grid = gridOf(answer);
  if (heat && grid) {
    const target = answer.explanation.target;
    const alt = fill(texts.heatAlt, { name: answer.class_names[target] ?? target });
    const canvas = make('canvas', { class: 'heat', role: 'img', 'aria-label': alt });
    drawHeat(canvas, grid, answer.size ?? [grid[0].length * 40, grid.length * 40]);
    canvas.style.opacity = share;
    frame.append(canvas);
  }
  return frame;
}

function moved(event) {
  share = Number(event.target.value) / 100;
  event.target.setAttribute('aria-valuetext', `${texts.heat} ${percent(share)}`);
  for (const canvas of document.querySelectorAll('.heat')) canvas.style.opacity = share;
}

// The whole figure of the answer that is shown large.
export function figure(shot, { explain }) {
  const { answer } = shot;
  const grid = gridOf(answer);
  if (!grid) return make('figure', { class: 'picture' }, framed(shot));
  const legend = make('canvas', { class: 'legend', 'aria-hidden': 'true' });
  drawLegend(legend);
  const target = answer.explanation.target;
  const codes = Object.keys(answer.probabilities).sort((one, other) => answer.probabilities[other] - answer.probabilities[one]);
  return make('figure', { class: 'picture' },
    make('div', { class: 'pair' },
      make('div', { class: 'print-only', 'aria-hidden': 'true' }, framed(shot, { heat: false })),
      framed(shot)),
    make('div', { class: 'between no-print' },
      make('span', { 'aria-hidden': 'true' }, texts.picture),
      make('input', {
        id: 'between', type: 'range', min: 0, max: 100, step: 5, value: Math.round(100 * share), 'aria-label': texts.betweenPictures, 'aria-valuetext': `${texts.heat} ${percent(share)}`, oninput: moved,
      }),
      make('span', { 'aria-hidden': 'true' }, texts.heat)),
    make('figcaption', {},
      make('span', { class: 'target' },
        make('label', { for: 'target' }, texts.heatFor), ' ',
        make('select', { id: 'target', lang: 'en', onchange: (event) => explain(event.target.value) },
          codes.map((code) => make('option', { value: code, selected: code === target }, answer.class_names[code] ?? code)))),
      make('span', { class: 'scale', 'aria-hidden': 'true' }, texts.little, legend, texts.much)));
}
