// The page's words in the reader's language, and numbers as that language writes them.
const root = document.documentElement;
const offered = root.dataset.languages.split(' ');
const wanted = navigator.languages.find((each) => offered.includes(each.split('-')[0])) ?? 'en';
root.lang = wanted.split('-')[0];

export const texts = (await import(`./texts.${root.lang}.js`)).default;

export function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

const decimals = (digits, more = {}) =>
  new Intl.NumberFormat(wanted, { minimumFractionDigits: digits, maximumFractionDigits: digits, ...more });
const whole = decimals(0, { style: 'percent' });
const tenths = decimals(1, { style: 'percent' });
const plural = new Intl.PluralRules(wanted);
const clock = new Intl.DateTimeFormat(wanted, { dateStyle: 'medium', timeStyle: 'medium' });
const short = new Intl.DateTimeFormat(wanted, { timeStyle: 'short' });

// Small shares have a digit more, as in the sentences of the answer: 83 %, 4.2 %.
export const percent = (share) => (share >= 0.1 ? whole : tenths).format(share);
export const number = (value, digits = 0) => decimals(digits).format(value);
export const signed = (value, digits) => decimals(digits, { signDisplay: 'exceptZero' }).format(value);
export const moment = (iso) => clock.format(new Date(iso));
export const hour = (date) => short.format(date);
export const counted = (forms, count) => fill(forms[plural.select(count)] ?? forms.other, { count: number(count) });
export const plain = (value) => new Intl.NumberFormat(wanted, { maximumFractionDigits: 6 }).format(value);
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
