/** Two API nodes and three workers over one database and one object store, each behind a network that can fail. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { startWire } from '../../helpers/wire.ts';
import type { Wire } from '../../helpers/wire.ts';
import { createClient } from '../harness/client.ts';
import { createLedger } from '../harness/ledger.ts';
import { startReceiver } from '../harness/receiver.ts';
import type { Scope } from '../harness/scope.ts';
import { startServiceProcess } from '../harness/service-process.ts';
import type { ServiceProcess } from '../harness/service-process.ts';
import { startWitness } from '../harness/upstream.ts';
import { witnessedBy } from '../harness/world.ts';
import type { Witnesses } from '../harness/world.ts';
import type { Servers } from './servers.ts';

const API_NODES = 2;
const WORKERS = 3;
/** An answer takes this long, so that ten batches are under way for some seconds. Milliseconds. */
const LATENCY_MS = 25;

/** No fault ends more than one of them at a time. */
export class NoNodeError extends Error {
  constructor(nodes: readonly ClusterNode[]) {
    const last = nodes.map(({ role, process }) => `${role}: ${process.output().slice(-300)}`);
    super(`no API node runs any more; the last that was logged:\n${last.join('\n')}`);
    this.name = 'NoNodeError';
  }
}

export interface ClusterNode {
  readonly role: 'api' | 'worker';
  /** The process that runs, or that ran last. */
  readonly process: ServiceProcess;
  /** As the database knows it; null for an API node. */
  readonly worker: string | null;
}

export interface Cluster extends Witnesses {
  readonly nodes: readonly ClusterNode[];
  readonly workers: readonly ClusterNode[];
  readonly database: Wire;
  readonly objects: Wire;
  /** A statement as the administrator, past the wire. */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Ends the node's process with SIGKILL. */
  kill(node: ClusterNode): Promise<void>;
  /** Starts another process in the place of one that has ended. */
  restart(node: ClusterNode): Promise<void>;
  /** Notes that what the process had in flight may be done again. */
  noteCrash(): void;
  /** Ends the lease of a worker now, in place of the half minute that it would take. */
  expireLease(node: ClusterNode): Promise<void>;
  /** Chunks that the worker holds. */
  countHeld(node: ClusterNode): Promise<number>;
}

interface MutableNode extends ClusterNode {
  process: ServiceProcess;
  worker: string | null;
}

/** Starts all of them over an empty database; everything is closed with the scope. */
export async function startCluster(scope: Scope, servers: Servers): Promise<Cluster> {
  const upstream = await startWitness(scope, { latencyMs: LATENCY_MS });
  const receiver = await startReceiver(scope);
  const ledger = createLedger();
  const crashes: number[] = [];
  const name = await servers.createDatabase();
  const direct = new URL(servers.postgres.url);
  direct.pathname = `/${name}`;
  const database = await startWire(Number(direct.port));
  scope.defer(() => database.close());
  const objects = await startWire(servers.s3.port);
  scope.defer(() => objects.close());
  const wired = new URL(direct);
  wired.port = String(database.port);
  const env = {
    ...witnessedBy({ upstream, receiver }),
    ...servers.s3.env,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${objects.port}`,
    BLOB_URL: `s3://${servers.bucket}/${randomUUID()}`,
    DATABASE_URL: wired.href,
  };
  const nodes: MutableNode[] = [];
  scope.defer(async () => {
    for (const { process } of nodes) {
      process.kill('SIGCONT');
      process.kill('SIGKILL');
      await process.ended;
    }
  });

  const query: Cluster['query'] = async <Row extends object>(
    text: string,
    values: readonly unknown[] = [],
  ) => {
    const admin = new pg.Client({ connectionString: direct.href });
    // The server may be restarted meanwhile.
    admin.on('error', () => {});
    await admin.connect();
    try {
      return (await admin.query<Row>(text, [...values])).rows;
    } finally {
      await admin.end();
    }
  };

  async function startProcess(role: ClusterNode['role']): Promise<ServiceProcess> {
    const dataDir = join(await scope.folder(), 'data');
    const process = await startServiceProcess({ dataDir, env: { ...env, ROLE: role } });
    if (process.url === '') throw new Error(`a node has not started: ${process.output().slice(-500)}`);
    return process;
  }

  async function startNode(role: ClusterNode['role']): Promise<MutableNode> {
    const process = await startProcess(role);
    return { role, process, worker: /"worker":"(\w+)"/.exec(process.output())?.[1] ?? null };
  }

  let turn = 0;
  /** Of the API nodes in turn, those that run. */
  function urlOfNext(): string {
    const apis = nodes.filter(({ role, process }) => role === 'api' && !process.hasEnded);
    const next = apis[turn++ % apis.length];
    if (next === undefined) throw new NoNodeError(nodes);
    return next.process.url;
  }

  const cluster: Cluster = {
    upstream,
    receiver,
    ledger,
    crashes,
    client: createClient({ url: urlOfNext, ledger, apiKey: null }),
    nodes,
    get workers() {
      return nodes.filter(({ role }) => role === 'worker');
    },
    database,
    objects,
    query,
    async kill({ process }) {
      process.kill('SIGKILL');
      await process.ended;
      crashes.push(performance.now());
    },
    async restart(node) {
      Object.assign(node, await startNode(node.role));
    },
    noteCrash: () => void crashes.push(performance.now()),
    async expireLease({ worker }) {
      await query(`update workers set alive_until = now() - interval '1 second' where id = $1`, [worker]);
    },
    async countHeld({ worker }) {
      const [row] = await query<{ count: string }>(
        "select count(*) from chunks where worker = $1 and state = 'claimed'",
        [worker],
      );
      return Number(row?.count);
    },
  };
  // All at once: one of them makes the tables.
  const roles = [...Array<'api'>(API_NODES).fill('api'), ...Array<'worker'>(WORKERS).fill('worker')];
  nodes.push(...(await Promise.all(roles.map(startNode))));
  return cluster;
}
