// Files as they are dropped, pasted or chosen, folders with all that is below them; each with a path to show.

const named = (file, path) => ({ file, name: path || file.name });

// Browsers give the entries of a folder a hundred at a time.
async function below(entry, path) {
  if (entry.isFile) {
    return [named(await new Promise((resolve, reject) => entry.file(resolve, reject)), path + entry.name)];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    for (const each of some) found.push(...(await below(each, `${path}${entry.name}/`)));
  }
  return found;
}

const byPath = (one, other) => one.name.localeCompare(other.name, undefined, { numeric: true });
const visible = ({ name }) => !name.split('/').at(-1).startsWith('.') && name.split('/').at(-1) !== 'Thumbs.db';

// Gives { files, folder }: `folder` where a whole folder came.
export async function fromTransfer(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { files: [...transfer.files].map((file) => named(file)), folder: false };
  const found = (await Promise.all(entries.map((entry) => below(entry, '')))).flat();
  return { files: found.filter(visible).sort(byPath), folder: true };
}

export function fromInput(input) {
  const files = [...input.files].map((file) => named(file, file.webkitRelativePath));
  const folder = files.some(({ file }) => file.webkitRelativePath);
  input.value = ''; // so that the same file can be chosen again
  return { files: folder ? files.filter(visible).sort(byPath) : files, folder };
}
