/** A real S3 server on this machine: the one that the environment names, or one that is started (`scripts/s3-gateway.sh`). */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { createS3Client } from '../../src/adapters/s3/client.ts';
import { awsVariables, readS3Settings } from './s3-settings.ts';
import type { S3Settings } from './s3-settings.ts';

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('../../scripts/s3-gateway.sh', import.meta.url));

export interface S3Server {
  readonly port: number;
  /** What a service needs to use it, but for BLOB_URL: the usual AWS settings. */
  readonly env: Readonly<Record<string, string>>;
  createBucket(name: string): Promise<void>;
  /** Does nothing where others have started it. */
  stop(): Promise<void>;
}

/** True where the environment names one, or one can be started. */
export function hasS3Server(): boolean {
  return readS3Settings() !== null || spawnSync('radosgw', ['--version']).status === 0;
}

export async function startS3Server(): Promise<S3Server> {
  const given = readS3Settings();
  if (given !== null) return describeServer(given, async () => {});
  const folder = await mkdtemp(join(tmpdir(), 'anyllm-s3-'));
  await run(SCRIPT, ['start', folder]);
  const exported = await readFile(join(folder, 'env'), 'utf8');
  const settings = readS3Settings(
    Object.fromEntries(
      [...exported.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
    ),
  );
  if (settings === null) throw new Error(`${SCRIPT} names no server`);
  return describeServer(settings, async () => {
    await run(SCRIPT, ['stop', folder]);
    await rm(folder, { recursive: true, force: true });
  });
}

function describeServer(settings: S3Settings, stop: () => Promise<void>): S3Server {
  return {
    port: Number(new URL(settings.endpoint).port),
    env: awsVariables(settings),
    async createBucket(name) {
      const client = await createS3Client(settings);
      try {
        await client.send(new CreateBucketCommand({ Bucket: name }));
      } finally {
        client.destroy();
      }
    },
    stop,
  };
}
