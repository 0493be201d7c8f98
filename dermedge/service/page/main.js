// The page: what is dropped, pasted or chosen, and what is shown of it.
import { aboutModel } from './about.js';
import { answerView } from './answer.js';
import { ClinicalForm } from './clinical.js';
import { badge, english, find, icon, labelled, make, put, say, tally, verdictOf } from './dom.js';
import { fromInput, fromTransfer } from './files.js';
import { tooLarge } from './limits.js';
import { ManyPictures } from './many.js';
import { framed } from './picture.js';
import { ask, whenTokenIsNeeded } from './service.js';
import { Session } from './session.js';
import { counted, fill, hour, percent, sentence, texts } from './text.js';
import { tokenForm } from './token.js';

const MOST_SIDE_BY_SIDE = 6; // more pictures at once are a table

let about = {}; // what the model file says of itself
let study = null; // where the service keeps one
const session = new Session((picture) => {
  render();
  if (picture) tell(picture);
});
const clinical = new ClinicalForm(find('patient'), () => {
  const { values } = clinical;
  if (JSON.stringify(values) !== JSON.stringify(session.current.values)) session.use(values);
});
const many = new ManyPictures(find('many'), (file, name) => {
  setMode('patient');
  newPatient();
  session.add([{ file, name }]);
  find('answers').focus();
});

const mode = () => document.querySelector('[name=mode]:checked').value;

function setMode(value) {
  document.querySelector(`[name=mode][value=${value}]`).checked = true;
  render();
}

function take({ files, folder }) {
  put(find('trouble'));
  if (!files.length) {
    trouble(texts.noFiles);
    return;
  }
  if (study && !beginsCase(files)) return;
  if (folder || files.length > MOST_SIDE_BY_SIDE) setMode('many');
  if (mode() === 'many') {
    many.add(files);
  } else {
    session.current.values = clinical.values;
    session.add(files);
    // On a phone the answer would be out of sight.
    if (find('answers').getBoundingClientRect().top > window.innerHeight / 2) find('answers').scrollIntoView();
  }
}

// A case of a study is one picture, and is finished or left before the next.
function beginsCase(files) {
  const [{ file, name }] = files;
  const { pictures, opinion } = session.current;
  const reason = files.length > 1 ? texts.study.onePicture : pictures.length && !opinion?.second ? texts.study.unfinished : tooLarge(file, name);
  if (reason) trouble(reason);
  else if (pictures.length) newPatient();
  return !reason;
}

function nextCase() {
  newPatient();
  find('pick').focus();
}

function newPatient() {
  clinical.values = {};
  session.begin();
}

function trouble(text, again) {
  const button = again && make('button', { type: 'button', onclick: again }, texts.again);
  put(find('trouble'), make('div', { class: 'panel problem', role: 'alert' }, icon('error'), make('p', {}, text), button));
}

function tell({ name, answer, problem }) {
  if (problem) {
    say(fill(texts.failed, { file: name, detail: problem }));
    return;
  }
  const [verdict] = texts.verdicts[verdictOf(answer)];
  say(fill(texts.answered, { file: name, verdict, label: sentence(answer.label_name), probability: percent(answer.probabilities[answer.label]) }));
}

// What is shown

function render() {
  const isMany = mode() === 'many';
  const { pictures } = session.current;
  document.body.classList.toggle('many-mode', isMany);
  document.body.classList.toggle('begun', isMany || pictures.length > 0);
  find('drop-title').textContent = isMany ? texts.dropMany : pictures.length ? texts.dropNext : texts.dropFirst;
  find('folder').hidden = !isMany;
  find('photograph').hidden = isMany;
  find('drop').hidden = study && pictures.length > 0; // else values for the next case would count for this one
  find('new-patient').hidden = isMany || !pictures.length || Boolean(session.current.opinion?.second);
  find('many').hidden = !isMany;
  find('shown').hidden = isMany;
  find('patient').hidden = isMany || !find('patient').childElementCount;
  put(find('shown'), pictures.length ? patientView() : emptyView());
  history();
}

function emptyView() {
  return make('section', { class: 'empty' },
    make('h2', {}, texts.emptyTitle),
    make('ul', {}, texts.empty.map(([title, text], at) => make('li', { class: `step-${at}` }, make('h3', {}, title), make('p', {}, text)))));
}

function patientView() {
  const { pictures } = session.current;
  const picture = session.selected;
  return [pictures.length > 1 && cards(pictures), pictureView(picture)];
}

function problemView(picture) {
  // A file such as a DICOM with several frames has several answers, which only the table shows.
  const isSeveral = picture.problem.includes('/v1/predict/batch');
  const toTable = () => {
    session.remove(picture);
    setMode('many');
    many.add([picture]);
  };
  return make('div', { class: 'panel problem' }, icon('error'),
    make('div', {},
      make('h2', {}, picture.name),
      isSeveral ? make('p', {}, texts.severalInside) : english('p', {}, picture.problem),
      make('div', { class: 'buttons' },
        isSeveral
          ? make('button', { type: 'button', id: 'to-table', class: 'main', onclick: toTable }, texts.manyPictures)
          : make('button', { type: 'button', id: 'again', class: 'main', onclick: () => session.ask(picture) }, texts.again),
        make('button', { type: 'button', id: 'drop-it', onclick: () => session.remove(picture) }, fill(texts.remove, { file: picture.name })))));
}

function pictureView(picture) {
  const { answer, problem } = picture;
  if (study && !picture.patient.opinion) return study.firstView(picture);
  if (problem) return problemView(picture);
  if (!answer) return make('div', { class: 'panel waiting' }, framed(picture), make('p', {}, texts.working));
  const explain = (code) => {
    picture.target = code;
    session.ask(picture);
  };
  return [
    study?.secondView(picture),
    answerView(picture, about, { explain }),
    make('div', { class: 'buttons actions no-print' },
      make('button', { type: 'button', id: 'print', class: 'main', onclick: () => window.print() }, texts.print),
      !study && make('button', { type: 'button', id: 'remove', onclick: () => session.remove(picture) }, fill(texts.remove, { file: picture.name }))),
  ];
}

function cards(pictures) {
  const verdicts = pictures.filter(({ asking }) => !asking).map(({ answer }) => (answer ? verdictOf(answer) : 'error'));
  return make('section', { class: 'several no-print', 'aria-labelledby': 'several' },
    make('div', { class: 'told' }, make('h2', { id: 'several' }, counted(texts.pictures, pictures.length)), tally(verdicts)),
    make('ul', { class: 'cards' }, pictures.map((picture, at) => make('li', {}, card(picture, at)))));
}

function card(picture, at) {
  const { answer, problem } = picture;
  const select = () => {
    session.current.selected = at;
    render();
  };
  return make('button', { type: 'button', id: `card-${at}`, class: 'card', 'aria-pressed': String(at === session.current.selected), onclick: select },
    framed(picture, { small: true }),
    answer && badge(verdictOf(answer)),
    problem && badge('error'),
    answer && english('span', { class: 'card-class' }, `${sentence(answer.label_name)}, ${percent(answer.probabilities[answer.label])}`),
    !answer && !problem && make('span', { class: 'card-class' }, texts.working),
    make('span', { class: 'card-name' }, picture.name));
}

function history() {
  const { earlier } = session;
  find('history').hidden = !earlier.length || mode() === 'many';
  put(find('earlier'), earlier.map((patient, at) => {
    const [picture] = patient.pictures;
    const back = () => {
      session.show(patient);
      clinical.values = patient.values;
      find('answers').focus();
    };
    const verdict = picture.problem ? 'error' : picture.answer ? verdictOf(picture.answer) : null;
    return make('li', {},
      make('button', { type: 'button', id: `earlier-${at}`, class: 'earlier', onclick: back },
        make('img', { src: picture.url, alt: '' }),
        make('span', {}, verdict && badge(verdict), make('span', { class: 'card-name' }, `${picture.name}, ${hour(patient.begun)}`),
          patient.pictures.length > 1 && make('span', { class: 'card-name' }, counted(texts.pictures, patient.pictures.length)))));
  }));
}

// What comes in

function listen() {
  find('pick').addEventListener('click', () => find('files').click());
  find('photograph').addEventListener('click', () => find('camera').click());
  find('folder').addEventListener('click', () => find('directory').click());
  for (const id of ['files', 'camera', 'directory']) find(id).addEventListener('change', (event) => take(fromInput(event.target)));
  find('new-patient').addEventListener('click', nextCase);
  find('modes').addEventListener('change', render);
  document.addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    take({ files: files.map((file) => ({ file, name: file.name })), folder: false });
  });
  let within = 0; // elements that a drag has entered and not left
  const over = (change) => {
    within = change ? within + change : 0;
    document.body.classList.toggle('dragging', within > 0);
  };
  document.addEventListener('dragenter', () => over(1));
  document.addEventListener('dragleave', () => over(-1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', async (event) => {
    event.preventDefault();
    over(0);
    take(await fromTransfer(event.dataTransfer));
  });
}

async function open() {
  put(find('trouble'));
  try {
    const model = await ask('v1/model');
    about = model.description;
    clinical.build(about.clinical);
    many.classes = about.classes;
    if (model.feedback) await beginStudy();
    put(find('model'), `${model.name} · ${model.device}`);
    find('about').hidden = false;
    put(find('about-text'), aboutModel(model));
    render();
  } catch (error) {
    trouble(error.message, open);
  }
}

async function beginStudy() {
  const { Study } = await import('./study.js');
  const show = (patient, opinion, picture) => {
    patient.opinion = opinion;
    if (picture) session.ask(picture);
    else render();
    find('answers').focus({ preventScroll: true });
  };
  study = new Study(about, { show, next: nextCase });
  session.study = true;
  find('modes').hidden = true;
  find('files').multiple = false;
  find('pick').textContent = texts.study.pick;
  find('new-patient').textContent = texts.study.leave;
}

labelled();
whenTokenIsNeeded((wrong) => tokenForm(find('asked'), wrong));
listen();
render();
open();
