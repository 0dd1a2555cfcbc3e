/** A service that cannot start, and says why. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Fault } from '../harness/fault.ts';
import type { Random } from '../harness/random.ts';
import { createRandom } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { startServiceProcess } from '../harness/service-process.ts';
import { createCanaries, findLeaks } from './canaries.ts';
import type { Canaries } from './canaries.ts';
import { secretsOf, settingsOf } from './household.ts';
import { startPeers } from './peers.ts';

interface BadStart {
  readonly name: string;
  /** What is wrong; all other settings are good, and full of secrets. Answers settings besides those. */
  readonly prepare: (canaries: Canaries, place: Place) => Promise<Env> | Env;
  /** What it must say. */
  readonly says: RegExp;
}

type Env = Readonly<Record<string, string>>;

interface Place {
  readonly scope: Scope;
  /** An empty folder. */
  readonly folder: string;
  /** What the service is told to use. */
  readonly dataDir: string;
  /** All settings, as they should be. */
  readonly good: Env;
}

/** Secrets that ended up in other variables than their own, or are none. */
const badSettings: BadStart = {
  name: 'a secret in every setting',
  says: /The settings are not valid:\n.*WEBHOOK_SIGNING_SECRET/s,
  prepare: ({ apiKey, signingSecret, upstreamPassword, configuredUrlToken }) => ({
    ...Object.fromEntries(
      ['PORT', 'MAX_CONCURRENCY', 'MAX_RETRIES', 'RETRY_BASE_MS', 'REQUEST_TIMEOUT_MS', 'MAX_FILE_BYTES']
        .concat(['MAX_BATCH_LINES', 'ENDPOINTS', 'COMPLETION_WINDOWS', 'ONE_MODEL_PER_BATCH', 'LOG_LEVEL'])
        .concat(['ALLOW_UNAUTHENTICATED', 'WEBHOOK_ALLOW_PRIVATE', 'SHUTDOWN_GRACE_MS', 'MAX_RESPONSE_BYTES'])
        .map((name) => [name, `sk-${apiKey.text}`]),
    ),
    UPSTREAM_BASE_URL: `postgres://user:${upstreamPassword.text}@127.0.0.1/`,
    WEBHOOK_URLS: `//${configuredUrlToken.text}`,
    WEBHOOK_SIGNING_SECRET: `whsec_${signingSecret.text}!`,
  }),
};

const badFiles: BadStart = {
  name: 'secrets in place of the names of their files',
  says: /API_KEYS_FILE: the file cannot be read/,
  prepare: ({ apiKey, upstreamKey, signingSecret }, { folder }) => {
    writeFileSync(join(folder, 'signing'), `whsec_${signingSecret.text}\n${signingSecret.text}`);
    return {
      API_KEYS: '',
      UPSTREAM_API_KEY: '',
      WEBHOOK_SIGNING_SECRET: '',
      API_KEYS_FILE: `sk-${apiKey.text}`,
      UPSTREAM_API_KEY_FILE: upstreamKey.text,
      WEBHOOK_SIGNING_SECRET_FILE: join(folder, 'signing'),
    };
  },
};

const bothWays: BadStart = {
  name: 'a secret in its variable and in its file',
  says: /API_KEYS_FILE: set either this or API_KEYS/,
  prepare: ({ secondApiKey }, { folder }) => {
    writeFileSync(join(folder, 'keys'), `sk-${secondApiKey.text}\n`);
    return { API_KEYS_FILE: join(folder, 'keys') };
  },
};

const badKey: BadStart = {
  name: 'an upstream key that no header can hold',
  says: /cannot start: .*header/,
  prepare: ({ upstreamKey }) => ({ UPSTREAM_API_KEY: `${upstreamKey.text}\u0007${upstreamKey.text}` }),
};

const lockedFolder: BadStart = {
  name: 'a folder that another process has',
  says: /cannot start: The data folder .* is in use by another process/,
  async prepare(_canaries, { scope, dataDir, good }) {
    const first = await startServiceProcess({ dataDir, env: good });
    scope.defer(async () => {
      first.kill('SIGKILL');
      await first.ended;
    });
    assert.equal(first.hasEnded, false, first.output());
    return {};
  },
};

const noFolder: BadStart = {
  name: 'a folder that is none',
  says: /cannot start: /,
  prepare(_canaries, { dataDir }) {
    writeFileSync(dataDir, 'a file');
    return {};
  },
};

const badDatabase: BadStart = {
  name: 'a database that is none',
  says: /cannot start: /,
  prepare({ prompt }, { dataDir }) {
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'database.db'), prompt.text.repeat(200));
    return {};
  },
};

const takenPort: BadStart = {
  name: 'a port that is taken',
  says: /cannot start: .*EADDRINUSE/,
  async prepare(_canaries, { scope }) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    scope.defer(() => server.close());
    return { PORT: String((server.address() as { readonly port: number }).port) };
  },
};

export const failingStart: Fault = {
  family: 'secrets',
  name: 'keys, prompts and answers in what a service says that cannot start',
  async run(trials) {
    const all = [badSettings, badFiles, bothWays, badKey, lockedFolder, noFolder, badDatabase, takenPort];
    const starts = trials.quick ? [badSettings, badKey] : all;
    await trials.each(starts, async (start) => {
      await trials.attempt(
        start.name,
        async (scope) => await failToStart(scope, start, createRandom(trials.seed)),
      );
    });
  },
};

async function failToStart(scope: Scope, { prepare, says }: BadStart, random: Random): Promise<void> {
  const canaries = createCanaries(random);
  const folder = await scope.folder();
  const dataDir = join(folder, 'data');
  const good = { ...settingsOf(canaries, await startPeers(scope, canaries)), ...secretsOf(canaries) };
  const env = { ...good, ...(await prepare(canaries, { scope, folder, dataDir, good })) };
  const service = await startServiceProcess({ dataDir, env });
  scope.defer(() => service.kill('SIGKILL'));
  assert.ok(service.hasEnded, 'the service has started');
  assert.equal(await service.ended, 1);
  assert.match(service.output(), says);
  assert.deepEqual(findLeaks(canaries, service.output(), null), [], service.output().slice(0, 1000));
}
