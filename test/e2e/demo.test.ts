import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT, startNode } from './node-process.ts';
import type { NodeProcess } from './node-process.ts';

let temp: string;
beforeEach(() => {
  temp = mkdtempSync(join(tmpdir(), 'demo-test-'));
});
afterEach(() => rmSync(temp, { recursive: true }));

const DEMO = ['-r', './scripts/check-node.cjs', 'examples/demo.ts'];

function startDemo(env: Readonly<Record<string, string>> = {}, options: readonly string[] = []): NodeProcess {
  return startNode([...options, ...DEMO], { cwd: ROOT, env: { TMPDIR: temp, ...env } });
}

/** Options of node that make a process signal itself as it prints `text`: from outside it would be a matter of luck. */
function signalItself(signal: NodeJS.Signals, text: string): string[] {
  const code = `
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (line, ...rest) => {
      if (line.includes('${text}')) process.kill(process.pid, '${signal}');
      return write(line, ...rest);
    };`;
  return ['--import', `data:text/javascript,${encodeURIComponent(code)}`];
}

describe('the demonstration', () => {
  it('runs 200 requests as a batch, verifies the webhooks, prints answers, and leaves nothing behind', async () => {
    const { code, stdout: output, stderr } = await startDemo().ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(output).toContain('completed: 200 of 200 requests answered, 0 failed');
    expect(output).toMatch(/batch\.queued.*batch\.completed/);
    expect(output).toMatch(/200 lines; [1-9][\d,]* tokens in, [1-9][\d,]* out/);
    expect(output).toMatch(/request-001: \S.*\n +request-002: \S.*\n +request-003: \S/);
    expect(readdirSync(temp)).toEqual([]);
  });

  it('prints plain lines where stdout is no terminal', async () => {
    const { stdout } = await startDemo().ended;
    expect(stdout).toContain('All done');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).not.toContain('\r');
  });

  it('needs no settings, and those that are there do not disturb it', async () => {
    const demo = startDemo({
      API_KEYS: 'key',
      PORT: '1',
      UPSTREAM_BASE_URL: 'http://127.0.0.1:9',
      HOST: '0.0.0.0',
    });
    expect(await demo.ended).toMatchObject({ code: 0, stderr: '' });
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'stopped by %s ends with 1, and leaves nothing behind',
    async (signal) => {
      const demo = startDemo({}, signalItself(signal, 'listening on'));
      expect(await demo.ended).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(`The demonstration did not end well: stopped by ${signal}`),
      });
      expect(readdirSync(temp)).toEqual([]);
    },
  );
});

interface Line {
  readonly custom_id: string;
  readonly method: string;
  readonly url: string;
  readonly body: { readonly model: string; readonly messages: readonly { readonly content: string }[] };
}

describe('examples/chat.jsonl', () => {
  const lines = readFileSync(join(ROOT, 'examples/chat.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

  it('holds 200 different chat requests for the model echo, numbered through', () => {
    expect(lines.map((line) => line.custom_id)).toEqual(
      Array.from({ length: 200 }, (_, i) => `request-${String(i + 1).padStart(3, '0')}`),
    );
    for (const line of lines) {
      expect(line).toMatchObject({ method: 'POST', url: '/v1/chat/completions', body: { model: 'echo' } });
    }
    expect(new Set(lines.map((line) => JSON.stringify(line.body.messages))).size).toBe(200);
  });
});
