// A table of answers as CSV: the columns of `dermedge infer --csv`, and nothing that a spreadsheet would run.
const FORMULA = /^[=+\-@\t\r]/;
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/gu;

function escaped(character) {
  const code = character.codePointAt(0);
  if (code < 0x100) return { 9: '\\t', 10: '\\n', 13: '\\r' }[code] ?? `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
}

export function cell(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = String(Array.isArray(value) ? value.join('; ') : value).replace(HIDDEN, escaped);
  const plain = FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

// `rows`: { name, answer }, where an answer may be { error }; `classes`: codes in the order of the model file.
export function csvOf(rows, classes) {
  const columns = [
    'file', 'label', ...classes.map((code) => `probability_${code}`), 'decision', 'reasons', 'prediction_set', 'ood_score', 'lesion_ood_score', 'picture_faults', 'unknown', 'model', 'model_sha256', 'device', 'time', 'error',
  ];
  const lines = rows.map(({ name, answer }) => {
    const shares = classes.map((code) => [`probability_${code}`, answer.probabilities?.[code]]);
    const flat = { ...answer, ...Object.fromEntries(shares), file: name };
    return columns.map((column) => cell(flat[column])).join(',');
  });
  // The mark at the front tells Excel that it is UTF-8.
  return `\ufeff${[columns.join(','), ...lines].join('\r\n')}\r\n`;
}
