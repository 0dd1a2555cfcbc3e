/** One service with everything around it: its folder, upstream, webhook receiver, client, and what it promised. */
import { join } from 'node:path';
import { createClient } from './client.ts';
import type { Client } from './client.ts';
import { createLedger, isTerminal } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { startReceiver, SIGNING_SECRET } from './receiver.ts';
import type { WebhookReceiver } from './receiver.ts';
import type { Scope } from './scope.ts';
import { startServiceProcess } from './service-process.ts';
import type { ServiceOptions, ServiceProcess } from './service-process.ts';
import { startWitness } from './upstream.ts';
import type { WitnessUpstream } from './upstream.ts';
import { waitFor } from './wait.ts';

/** Requests in flight at the most. */
export const MAX_CONCURRENCY = 32;

/** Who stands around a service, or around several nodes of one, and saw what it did. */
export interface Witnesses {
  readonly upstream: WitnessUpstream;
  readonly receiver: WebhookReceiver;
  readonly ledger: Ledger;
  readonly client: Client;
  /** When a process died, by `performance.now()`. */
  readonly crashes: readonly number[];
}

export interface World extends Witnesses {
  readonly dataDir: string;
  /** The one that runs, or that ran last. */
  readonly service: ServiceProcess;
  /** Starts the service, which must not be running. Resolves when it is ready, or has ended before that. */
  start(options?: Partial<ServiceOptions>): Promise<void>;
  /** Ends the service with SIGKILL and waits for its end. */
  kill(): Promise<void>;
  /** Waits for the service's end, however it comes, and notes it as a crash. */
  died(): Promise<void>;
  /** Stops the service with SIGTERM and waits for its end; answers its exit code or signal. */
  stop(): Promise<number | string>;
  /** Waits until every batch that was promised has ended, and every one that is there. */
  settle(timeoutMs?: number): Promise<void>;
}

export interface WorldOptions {
  /** Default: `data` in a new temporary folder. */
  readonly dataDir?: string;
  /** Settings of every start. */
  readonly env?: Readonly<Record<string, string>>;
  /** The key of the administrator, which the client sends. Default: none is asked for. */
  readonly apiKey?: string;
  /** Those of another world, where this one goes on with its data. Default: new ones. */
  readonly upstream?: WitnessUpstream;
  readonly receiver?: WebhookReceiver;
}

/** Everything but the service, which `start` starts; all is closed with the scope. */
export async function createWorld(scope: Scope, options: WorldOptions = {}): Promise<World> {
  const { dataDir, env = {}, apiKey = null } = options;
  const upstream = options.upstream ?? (await startWitness(scope));
  const receiver = options.receiver ?? (await startReceiver(scope));
  const ledger = createLedger();
  const crashes: number[] = [];
  const folder = dataDir ?? join(await scope.folder(), 'data');
  let service: ServiceProcess | null = null;

  scope.defer(async () => {
    service?.kill('SIGKILL');
    await service?.ended;
  });

  const world: World = {
    dataDir: folder,
    upstream,
    receiver,
    ledger,
    client: createClient({ url: () => urlOf(world.service), ledger, apiKey }),
    crashes,
    get service() {
      if (service === null) throw new Error('the service was never started');
      return service;
    },
    async start(options = {}) {
      service = await startServiceProcess({
        dataDir: folder,
        ...options,
        env: {
          ...witnessedBy(world),
          ...(apiKey !== null && { API_KEYS: apiKey }),
          ...env,
          ...options.env,
        },
      });
    },
    async kill() {
      world.service.kill('SIGKILL');
      await world.died();
    },
    async died() {
      await world.service.ended;
      crashes.push(performance.now());
    },
    async stop() {
      world.service.kill('SIGTERM');
      return await world.service.ended;
    },
    settle: (timeoutMs) => settle(world, timeoutMs),
  };
  return world;
}

/** Settings of a service whose upstream and webhook receiver are these. */
export function witnessedBy({ upstream, receiver }: Pick<Witnesses, 'upstream' | 'receiver'>) {
  return {
    UPSTREAM_BASE_URL: upstream.baseUrl,
    MAX_CONCURRENCY: String(MAX_CONCURRENCY),
    WEBHOOK_SIGNING_SECRET: SIGNING_SECRET,
    WEBHOOK_URLS: receiver.url('all'),
    WEBHOOK_ALLOW_PRIVATE: 'true',
  };
}

/** Waits until every batch that was promised has ended, and every one that is there. */
export async function settle({ client, ledger }: Witnesses, timeoutMs?: number): Promise<void> {
  await waitFor(
    'every batch has ended',
    async () => {
      for (const batch of ledger.batches) await client.retrieve(batch);
      return (await client.list()).every((batch) => isTerminal(batch.status));
    },
    timeoutMs,
  );
  for (const batch of ledger.batches) await client.retrieve(batch);
}

/** Throws, with the end of its log, where the service has ended before it was ready. */
function urlOf(service: ServiceProcess): string {
  if (service.url === '') throw new Error(`the service has not started: ${service.output().slice(-500)}`);
  return service.url;
}
