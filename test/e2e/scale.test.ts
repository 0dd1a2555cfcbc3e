/** Two API nodes and three workers as processes of their own, over PostgreSQL and S3. */
import OpenAI from 'openai';
import { expect, it, onTestFinished } from 'vitest';
import { usePostgres } from '../helpers/postgres.ts';
import { describeOnS3 } from '../helpers/s3-gateway.ts';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import { listeningUrl, ROOT, startNode } from './node-process.ts';
import type { NodeProcess } from './node-process.ts';
import { chatLines, endOf, resultsOf, submitBatch } from './test-service.ts';

const LINES = 1500;
const BATCHES = 4;

interface StartedNode {
  readonly process: NodeProcess;
  readonly url: string;
}

function startRole(role: 'api' | 'worker', env: Readonly<Record<string, string>>): NodeProcess {
  const keys = role === 'api' ? { API_KEYS: 'key' } : {};
  return startNode(['src/main.ts'], { cwd: ROOT, env: { ...env, ...keys, ROLE: role, PORT: '0' } });
}

async function listening(process: NodeProcess): Promise<StartedNode> {
  return { process, url: await listeningUrl(process) };
}

describeOnS3('processes of both roles', (s3) => {
  const postgres = usePostgres();

  it('end batches with each line once while one worker is killed and another stops', async () => {
    await (await postgres.openStore()).close();
    let calls = 0;
    const upstream = await startUpstreamServer(async () => {
      calls++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { body: { usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } } };
    });
    onTestFinished(() => upstream.close());
    const env = {
      DATABASE_URL: postgres.url,
      ...s3.env(),
      UPSTREAM_BASE_URL: upstream.baseUrl,
      MAX_CONCURRENCY: '16',
    };
    // All at once: one of them brings the database up to date.
    const roles = (['api', 'api', 'worker', 'worker', 'worker'] as const).map((role) => startRole(role, env));
    const nodes = await Promise.all(roles.map(listening));
    const [first, second, killed, stopped] = nodes as [StartedNode, StartedNode, StartedNode, StartedNode];
    expect((await fetch(`${killed.url}/health/ready`)).status).toBe(200);
    expect((await fetch(`${killed.url}/v1/batches`)).status).toBe(404);

    const clients = [first, second].map(
      ({ url }) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'key', maxRetries: 5 }),
    ) as [OpenAI, OpenAI];
    const batches = await Promise.all(
      Array.from({ length: BATCHES }, (_, i) => submitBatch(clients[i % 2 === 0 ? 0 : 1], chatLines(LINES))),
    );
    await expect.poll(() => calls, { timeout: 30_000 }).toBeGreaterThan(LINES);
    killed.process.kill('SIGKILL');
    await killed.process.ended;
    // Its lease must not be waited for here: half a minute.
    const worker = /"worker":"(\w+)"/.exec(killed.process.stdout())?.[1];
    await postgres.query(
      `update workers set alive_until = now() - interval '1 second' where id = '${worker}'`,
    );
    stopped.process.kill('SIGTERM');
    expect((await stopped.process.ended).code).toBe(0);

    for (const { id } of batches) {
      await expect
        .poll(async () => (await clients[0].batches.retrieve(id)).status, { timeout: 90_000, interval: 500 })
        .toBe('completed');
      const batch = await endOf(clients[1], id);
      expect(batch.request_counts).toEqual({ total: LINES, completed: LINES, failed: 0 });
      const ids = (await resultsOf(clients[1], batch.output_file_id)).map(({ custom_id }) => custom_id);
      expect(ids).toEqual(Array.from({ length: LINES }, (_, i) => `line-${i + 1}`));
    }
    const said = nodes.map(({ process }) => process.stdout() + process.stderr()).join('');
    expect(said).not.toContain('postgres:postgres');
    expect(said).not.toContain(s3.env()['AWS_SECRET_ACCESS_KEY']);
  }, 180_000);

  it('do not start with files that are not those of the database', async () => {
    await (await postgres.openStore()).close();
    const env: Readonly<Record<string, string>> = { DATABASE_URL: postgres.url, ...s3.env() };
    await listening(startRole('api', env));
    const other = startRole('worker', { ...env, BLOB_URL: `s3://${s3.bucket}/two` });
    const { code, stdout, stderr } = await other.ended;
    expect(code).toBe(1);
    expect(stdout + stderr).toContain(`The files of this database are in ${env['BLOB_URL']}`);
  });
});
