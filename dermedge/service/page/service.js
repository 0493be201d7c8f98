// The only module that speaks to the service, by its HTTP interface alone.
import { fill, texts } from './text.js';

export const BASE = new URL('../../', import.meta.url); // the files of the page lie at page/VERSION/
const KEPT = 'dermedge-token';
const TRIES_WHEN_BUSY = 4;
const LONGEST_WAIT = 5;

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let token = sessionStorage.getItem(KEPT) ?? '';
let asking = null;
let askForToken = () => Promise.reject(new Problem(401, texts.tokenTitle));

// `asker(wrong)` gives a promise of the token; however many requests wait, it is asked once.
export function whenTokenIsNeeded(asker) {
  askForToken = asker;
}

async function newToken(refused) {
  if (token !== refused) return; // another request has got it meanwhile
  asking ??= askForToken(refused !== '').finally(() => (asking = null));
  token = await asking;
  sessionStorage.setItem(KEPT, token);
}

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

const pause = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

async function problemOf(response) {
  const record = await response.json().catch(() => null);
  return new Problem(response.status, record?.detail ?? fill(texts.status, { status: response.status }));
}

// Asks, again while the service is busy, and with a token once it wants one.
export async function ask(path, { body, signal } = {}) {
  for (let tries = 1; ; tries += 1) {
    const sent = token;
    const response = await send(path, body, signal);
    if (response.ok) {
      return response.json().catch((error) => {
        throw error.name === 'AbortError' ? error : new Problem(0, texts.noJson);
      });
    }
    if (response.status === 401) {
      await newToken(sent);
    } else if (response.status === 503 && tries < TRIES_WHEN_BUSY) {
      await pause(Math.min(Number(response.headers.get('Retry-After')) || 1, LONGEST_WAIT), signal);
    } else {
      throw await problemOf(response);
    }
  }
}

async function send(path, body, signal) {
  try {
    return await fetch(new URL(path, BASE), {
      method: body ? 'POST' : 'GET', body, signal, headers: authorization(), cache: 'no-store',
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, texts.gone);
  }
}
