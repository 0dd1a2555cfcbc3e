/** The service with its files in S3. */
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { usePostgres } from '../helpers/postgres.ts';
import { describeOnS3 } from '../helpers/s3-gateway.ts';
import type { TestS3 } from '../helpers/s3-gateway.ts';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import { listeningUrl, ROOT, startNode } from './node-process.ts';
import { chatLines, createClient, endOf, resultsOf, submitBatch, temporaryFolder } from './test-service.ts';

const LINES = 2000;

/** A process of the service; `more` says what differs from one with SQLite and S3. */
async function startService(s3: TestS3, more: Readonly<Record<string, string>>) {
  const upstream = await startUpstreamServer(async () => ({
    body: { usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
  }));
  onTestFinished(() => upstream.close());
  const env: Readonly<Record<string, string>> = {
    PORT: '0',
    DATA_DIR: await temporaryFolder(),
    UPSTREAM_BASE_URL: upstream.baseUrl,
    ...s3.env(),
    ...more,
  };
  const start = async () => {
    const service = startNode(['src/main.ts'], { cwd: ROOT, env });
    return { service, client: createClient(await listeningUrl(service)) };
  };
  return { start, env };
}

async function runsABatch(s3: TestS3, more: Readonly<Record<string, string>>): Promise<void> {
  const { start, env } = await startService(s3, more);
  const first = await start();
  const { id } = await submitBatch(first.client, chatLines(LINES));
  const batch = await endOf(first.client, id);
  expect(batch.request_counts).toEqual({ total: LINES, completed: LINES, failed: 0 });
  first.service.kill('SIGTERM');
  expect((await first.service.ended).code).toBe(0);

  // Nothing but the bucket has the bytes of files.
  const second = await start();
  const ids = (await resultsOf(second.client, batch.output_file_id)).map((line) => line.custom_id);
  expect(ids).toEqual(Array.from({ length: LINES }, (_, i) => `line-${i + 1}`));
  const output = second.client.files.content(batch.output_file_id ?? '', {
    headers: { range: 'bytes=1-11' },
  });
  expect(await (await output).text()).toBe('"id":"batch');
  const bucket = await s3.open({ prefix: env['BLOB_URL']?.split('/').at(-1) ?? '' });
  const stored = async () => (await Array.fromAsync(bucket.list('blobs/'))).length;
  expect(await stored()).toBe(2);
  await second.client.files.delete(batch.input_file_id);
  expect(await stored()).toBe(1);
  second.service.kill('SIGTERM');
  expect((await second.service.ended).code).toBe(0);
  const told = first.service.stdout() + second.service.stdout();
  expect(told).not.toContain(env['AWS_SECRET_ACCESS_KEY']);
}

describeOnS3('a service with BLOB_URL', (s3) => {
  it('runs a batch with SQLite', () => runsABatch(s3, {}));

  describe('and DATABASE_URL', () => {
    const postgres = usePostgres();
    it('runs a batch with PostgreSQL', () => runsABatch(s3, { DATABASE_URL: postgres.url }));

    it('needs no data folder', async () => {
      await (await postgres.openStore()).close();
      const folder = join(await temporaryFolder(), 'never made');
      const { start } = await startService(s3, { DATABASE_URL: postgres.url, DATA_DIR: folder });
      const { service } = await start();
      service.kill('SIGTERM');
      expect((await service.ended).code).toBe(0);
      await expect(access(folder)).rejects.toMatchObject({ code: 'ENOENT' });
    });

    it('does not start over the bucket of another database', async () => {
      await (await postgres.openStore()).close();
      const { start, env } = await startService(s3, { DATABASE_URL: postgres.url });
      const { service: first } = await start();
      first.kill('SIGTERM');
      await first.ended;
      await (await postgres.openStore()).close();
      const { code, stdout } = await startNode(['src/main.ts'], { cwd: ROOT, env }).ended;
      expect(code).toBe(1);
      expect(stdout).toContain(`cannot start: The files in ${env['BLOB_URL']} belong to another database`);
    });
  });

  it('does not start over the bucket of another database, whose files would be removed', async () => {
    const { start, env } = await startService(s3, {});
    const { service: first } = await start();
    first.kill('SIGTERM');
    await first.ended;
    const other = startNode(['src/main.ts'], {
      cwd: ROOT,
      env: { ...env, DATA_DIR: await temporaryFolder() },
    });
    const { code, stdout } = await other.ended;
    expect(code).toBe(1);
    expect(stdout).toContain(`cannot start: The files in ${env['BLOB_URL']} belong to another database`);
  });

  it('takes the AWS settings from .env too', async () => {
    const folder = await temporaryFolder();
    const env = Object.entries(s3.env()).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(join(folder, '.env'), `${env.join('')}AWS_PROFILE=\n`);
    const service = startNode([join(ROOT, 'src/main.ts')], { cwd: folder, env: { PORT: '0' } });
    expect(await listeningUrl(service)).toMatch(/^http/);
  });

  it.each([
    ['the bucket is missing', { BLOB_URL: 's3://missing/x' }, 'NoSuchBucket'],
    ['the secret is wrong', { AWS_SECRET_ACCESS_KEY: 'verysecret' }, 'SignatureDoesNotMatch'],
    ['nobody listens', { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }, 'ECONNREFUSED'],
    [
      'there are no credentials',
      { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_EC2_METADATA_DISABLED: 'true' },
      'Could not load credentials',
    ],
  ])('does not start where %s, and says so', async (_case, more: Record<string, string>, message) => {
    const { env } = await startService(s3, more);
    const service = startNode(['src/main.ts'], { cwd: ROOT, env });
    const { code, stdout, stderr } = await service.ended;
    expect(code).toBe(1);
    expect(stdout).toContain('cannot start: BLOB_URL: the bucket cannot be used: ');
    expect(stdout).toContain(message);
    expect(stdout + stderr).not.toContain('verysecret');
    expect(stdout + stderr).not.toContain(s3.env()['AWS_SECRET_ACCESS_KEY']);
  });
});
