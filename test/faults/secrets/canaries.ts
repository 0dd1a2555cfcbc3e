/** Unmistakable values, and how to find them again, whole, in part or encoded. */
import type { Random } from '../harness/random.ts';

/** A place where something may be found. */
export type Place =
  /** The data folder. */
  | 'folder'
  /** The files of the database in it. */
  | 'database'
  /** Downloads of files. */
  | 'content'
  /** File and batch objects, in answers to their owner. */
  | 'objects'
  /** The deliveries to an endpoint, in answers to its owner. */
  | 'deliveries'
  /** The answer to the very call that brought it or made it. */
  | 'own answer'
  /** What the upstream receives. */
  | 'upstream'
  /** What receivers of webhooks receive. */
  | 'receiver';

export interface Canary {
  /** What it stands for. */
  readonly name: string;
  /** Such that it looks the same in JSON, in URLs and in headers. */
  readonly text: string;
  /** Where it may be found. It may never be found in a log, in an error's answer or in the process's arguments. */
  readonly mayBeIn: readonly Place[];
}

const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'.split('');
const LENGTH = 32;
/** Parts of this length are looked for. Keys may be shown masked: three characters at their start, four at their end. */
const PART = 8;
/** From part to part: whatever is 12 characters long or longer holds one of them. */
const STRIDE = 5;

/** What each canary stands for, and where it belongs. */
const PLACES = {
  // Keys and passwords are kept in memory only.
  apiKey: [],
  secondApiKey: [],
  wrongKey: [],
  upstreamKey: ['upstream'],
  upstreamPassword: [],
  upstreamUrlToken: ['upstream'],
  signingSecret: [],
  // Refused at create.
  webhookPassword: [],
  // Only its status is of interest.
  receiverAnswer: [],
  // What the receiver behind a webhook endpoint answers is shown to its owner.
  endpointAnswer: ['database', 'deliveries'],
  // Remembered, and quoted where it is used for something else.
  idempotencyKey: ['database', 'own answer'],
  // Prompts and answers are what batches are about: they are stored, and downloaded by their owner.
  prompt: ['folder', 'content', 'upstream'],
  answer: ['folder', 'content'],
  // As `request_id` of a result line.
  answerHeader: ['folder', 'content'],
  // Deliveries are stored with the URL that they go to. The operator's URLs concern no client.
  configuredUrlToken: ['folder', 'receiver'],
  // What a client calls its things by, it is told again: in objects, and in the `errors` of its batches.
  customId: ['folder', 'content', 'objects'],
  filename: ['folder', 'content', 'objects'],
  metadata: ['folder', 'objects'],
  webhookUrlToken: ['folder', 'objects', 'own answer', 'receiver'],
} as const satisfies Readonly<Record<string, readonly Place[]>>;

export type Canaries = Readonly<Record<keyof typeof PLACES, Canary>>;

/** Those canaries, and others by names of their own. */
export type AllCanaries = Readonly<Record<string, Canary>>;

export function createCanaries(random: Random): Canaries {
  const text = (): string => Array.from({ length: LENGTH }, () => random.pick(ALPHABET)).join('');
  const entries = Object.entries(PLACES).map(([name, mayBeIn]) => [name, { name, text: text(), mayBeIn }]);
  return Object.fromEntries(entries) as Canaries;
}

/** The names of those canaries that are in `bytes` and do not belong into `place` (null: a place for none). */
export function findLeaks(canaries: AllCanaries, bytes: string | Buffer, place: Place | null): string[] {
  const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1');
  return Object.values(canaries)
    .filter(({ mayBeIn }) => place === null || !mayBeIn.some((allowed) => isWithin(place, allowed)))
    .filter(({ text: secret }) => formsOf(secret).some((form) => text.includes(form)))
    .map(({ name }) => name);
}

function isWithin(place: Place, allowed: Place): boolean {
  return place === allowed || (place === 'database' && allowed === 'folder');
}

const known = new Map<string, readonly string[]>();

function formsOf(secret: string): readonly string[] {
  const forms = known.get(secret) ?? [...partsOf(secret), ...encodingsOf(secret)];
  known.set(secret, forms);
  return forms;
}

function partsOf(secret: string): string[] {
  const last = secret.length - PART;
  const starts = Array.from({ length: Math.floor(last / STRIDE) + 1 }, (_, at) => at * STRIDE);
  return [...starts, last].map((at) => secret.slice(at, at + PART));
}

/** Base64 looks different for each of the three ways in which text can lie in it. */
function encodingsOf(secret: string): string[] {
  const hex = Buffer.from(secret).toString('hex');
  const base64 = [0, 1, 2].map((at) => {
    const encoded = Buffer.from(' '.repeat(at) + secret).toString('base64url');
    return encoded.slice(4, 24);
  });
  return [hex, hex.toUpperCase(), ...base64];
}
