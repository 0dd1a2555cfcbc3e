/** A real S3 server on this machine: the one that the environment names, or one that is started (`scripts/s3-gateway.sh`). */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { createS3Client } from '../../src/adapters/s3/client.ts';

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
  return (process.env['TEST_S3_ENDPOINT'] ?? '') !== '' || spawnSync('radosgw', ['--version']).status === 0;
}

export async function startS3Server(): Promise<S3Server> {
  if ((process.env['TEST_S3_ENDPOINT'] ?? '') !== '') return describeServer(process.env, async () => {});
  const folder = await mkdtemp(join(tmpdir(), 'anyllm-s3-'));
  await run(SCRIPT, ['start', folder]);
  const exported = await readFile(join(folder, 'env'), 'utf8');
  const settings = Object.fromEntries(
    [...exported.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
  return describeServer(settings, async () => {
    await run(SCRIPT, ['stop', folder]);
    await rm(folder, { recursive: true, force: true });
  });
}

function describeServer(settings: NodeJS.Dict<string>, stop: () => Promise<void>): S3Server {
  const endpoint = settings['TEST_S3_ENDPOINT'] ?? '';
  const credentials = {
    accessKeyId: settings['TEST_S3_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: settings['TEST_S3_SECRET_ACCESS_KEY'] ?? '',
  };
  return {
    port: Number(new URL(endpoint).port),
    env: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
    async createBucket(name) {
      const client = await createS3Client({ endpoint, region: 'us-east-1', credentials });
      try {
        await client.send(new CreateBucketCommand({ Bucket: name }));
      } finally {
        client.destroy();
      }
    },
    stop,
  };
}
