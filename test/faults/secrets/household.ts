/** The service with secrets in all its settings, and the places where they are looked for. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Scope } from '../harness/scope.ts';
import { startServiceProcess } from '../harness/service-process.ts';
import type { ServiceProcess } from '../harness/service-process.ts';
import { findLeaks } from './canaries.ts';
import type { AllCanaries, Canaries, Place } from './canaries.ts';
import type { Peers } from './peers.ts';
import { startPeers } from './peers.ts';
import { createVisitor } from './wire.ts';
import type { Visitor } from './wire.ts';

const ILL_STORAGE = new URL('ill-storage.ts', import.meta.url);

export interface Household {
  readonly canaries: Canaries;
  readonly peers: Peers;
  readonly visitor: Visitor;
  readonly service: ServiceProcess;
  /** All that any of its processes has logged. */
  log(): string;
  /** Starts the service with all secrets, and with other settings where told. */
  start(env?: Readonly<Record<string, string>>): Promise<ServiceProcess>;
  /** Has one more secret looked for: one that the service has made. */
  learn(name: string, text: string, mayBeIn: readonly Place[]): void;
  /** Throws where a canary is where it does not belong. */
  check(): void;
}

/** With `fromFiles`, the secrets come from files. */
export async function createHousehold(
  scope: Scope,
  canaries: Canaries,
  { fromFiles = false } = {},
): Promise<Household> {
  const peers = await startPeers(scope, canaries);
  const folder = await scope.folder();
  const dataDir = join(folder, 'data');
  const services: ServiceProcess[] = [];
  let all: AllCanaries = canaries;
  scope.defer(async () => {
    for (const service of services) service.kill('SIGKILL');
    await Promise.all(services.map(({ ended }) => ended));
  });
  const settings = settingsOf(canaries, peers);
  const secrets = secretsOf(canaries);
  for (const [name, value] of Object.entries(secrets)) writeFileSync(join(folder, name), `${value}\n`);
  const files = Object.fromEntries(Object.keys(secrets).map((name) => [`${name}_FILE`, join(folder, name)]));

  const household: Household = {
    canaries,
    peers,
    visitor: createVisitor(() => household.service.url),
    get service() {
      return services.at(-1) as ServiceProcess;
    },
    log: () => services.map((service) => service.output()).join(''),
    async start(env = {}) {
      const service = await startServiceProcess({
        dataDir,
        preload: [ILL_STORAGE],
        env: { ...settings, ...(fromFiles ? files : secrets), ...env },
      });
      services.push(service);
      return service;
    },
    learn(name, text, mayBeIn) {
      const unique = `${name} ${Object.keys(all).length}`;
      all = { ...all, [unique]: { name: unique, text, mayBeIn } };
    },
    check() {
      const leaks: string[] = [];
      const look = (where: string, bytes: string | Buffer, place: Place | null): void => {
        for (const name of findLeaks(all, bytes, place)) leaks.push(`${name} in ${where}`);
      };
      for (const line of household.log().split('\n')) look(`the log: ${line.slice(0, 300)}`, line, null);
      for (const { what, status, text, place } of household.visitor.answers) {
        look(`the answer ${status} to ${what.slice(0, 100)}`, text, place);
      }
      for (const { raw } of peers.upstream.requests) look('a request to the upstream', raw, 'upstream');
      for (const { raw } of peers.receiver.requests) look('a webhook', raw, 'receiver');
      for (const [path, bytes] of filesIn(dataDir)) {
        const isDatabase = /^database\.db(-wal)?$/.test(basename(path));
        look(`the file ${path}`, bytes, isDatabase ? 'database' : 'folder');
      }
      if (!household.service.hasEnded)
        look('the arguments of the process', argumentsOf(household.service.pid), null);
      assert.deepEqual([...new Set(leaks)].slice(0, 12), [], 'leaks');
    },
  };
  return household;
}

/** What can also come from files. */
export function secretsOf(canaries: Canaries): Readonly<Record<string, string>> {
  return {
    API_KEYS: `sk-${canaries.apiKey.text},sk-${canaries.secondApiKey.text}`,
    UPSTREAM_API_KEY: canaries.upstreamKey.text,
    WEBHOOK_SIGNING_SECRET: `whsec_${Buffer.from(canaries.signingSecret.text).toString('base64')}`,
  };
}

/** Limits are low, so that they are met soon. */
export function settingsOf(
  canaries: Canaries,
  { upstream, receiver }: Peers,
): Readonly<Record<string, string>> {
  const { upstreamPassword, upstreamUrlToken, configuredUrlToken } = canaries;
  const configured = ['good', 'fail'].map(
    (name) => `${receiver.origin}/${name}?token=${configuredUrlToken.text}`,
  );
  return {
    LOG_LEVEL: 'trace',
    UPSTREAM_BASE_URL: `http://service:${upstreamPassword.text}@127.0.0.1:${upstream.port}/v1?token=${upstreamUrlToken.text}`,
    WEBHOOK_URLS: configured.join(),
    WEBHOOK_ALLOW_PRIVATE: 'true',
    MAX_CONCURRENCY: '8',
    MAX_RETRIES: '1',
    RETRY_BASE_MS: '20',
    REQUEST_TIMEOUT_MS: '600',
    MAX_RESPONSE_BYTES: '64KiB',
    MAX_FILE_BYTES: '512KiB',
    MAX_LINE_BYTES: '16KiB',
    SHUTDOWN_GRACE_MS: '300',
  };
}

function filesIn(folder: string): (readonly [path: string, bytes: Buffer])[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const path = join(entry.parentPath, entry.name);
      try {
        return [[path, readFileSync(path)] as const];
      } catch {
        // The service has removed it in the meantime.
        return [];
      }
    });
}

/** As any user of the machine may see them. */
function argumentsOf(pid: number): string {
  const { stdout } = spawnSync('ps', ['-ww', '-o', 'comm=,args=', '-p', String(pid)], { encoding: 'utf8' });
  assert.match(stdout, /main\.ts/, 'the arguments of the process are not known');
  return stdout;
}
