/** The servers around the service: an upstream and a receiver whose every answer holds something that must not be told. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRawServer } from '../../helpers/upstream-server.ts';
import type { ReceivedRequest, TestServer } from '../../helpers/upstream-server.ts';
import type { Scope } from '../harness/scope.ts';
import type { Canaries } from './canaries.ts';

/** What the upstream does with a line; the line's model has its name. */
export const MANNERS = [
  'answers',
  'refuses',
  'fails',
  'limits',
  'answers HTML',
  'answers half',
  'answers no HTTP',
  'answers no JSON',
  'answers encoded',
  'answers too much',
  'answers twice',
  'redirects',
  'resets',
  'hangs',
] as const;

export interface Peers {
  readonly upstream: TestServer;
  readonly receiver: TestServer;
}

export async function startPeers(scope: Scope, canaries: Canaries): Promise<Peers> {
  const upstream = await startRawServer((request, socket) => answerLine(request, socket, canaries));
  scope.defer(() => upstream.close());
  const receiver = await startRawServer((request, socket) => answerWebhook(request, socket, canaries));
  scope.defer(() => receiver.close());
  return { upstream, receiver };
}

function http(status: string, headers: string, body: string): string {
  return `HTTP/1.1 ${status}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function answerLine(request: ReceivedRequest, socket: Socket, canaries: Canaries): void {
  const { model, messages } = request.json() as { readonly model: string; readonly messages: unknown };
  const answer = canaries.answer.text;
  const header = canaries.answerHeader.text;
  const headers = `content-type: application/json\r\nx-request-id: ${header}\r\nset-cookie: s=${header}\r\n`;
  // As many servers do: what was sent is quoted in the error, the key too.
  const echo = JSON.stringify({
    error: { message: `${answer}: ${JSON.stringify(messages)}`, param: answer },
  });
  const body = JSON.stringify({ choices: [{ message: { content: answer } }], usage: { total_tokens: 3 } });
  const serve: Readonly<Record<string, () => unknown>> = {
    answers: () => socket.write(http('200 OK', headers, body)),
    refuses: () => socket.write(http(`400 ${header}`, headers, echo)),
    fails: () => socket.write(http(`500 ${header}`, `${headers}retry-after-ms: 5${header}\r\n`, echo)),
    limits: () => socket.write(http('429 Slow', `${headers}retry-after: ${header}\r\n`, echo)),
    'answers HTML': () => socket.write(http('502 Bad', 'content-type: text/html\r\n', `<h1>${answer}</h1>`)),
    'answers half': () => socket.end(`HTTP/1.1 200 OK\r\n${headers}content-length: 9999\r\n\r\n${body}`),
    'answers no HTTP': () => socket.end(`${answer} ${JSON.stringify(messages)}\r\n\r\n`),
    'answers no JSON': () => socket.write(http('200 OK', headers, `{"content": ${answer}`)),
    'answers encoded': () =>
      socket.write(http('200 OK', `${headers}content-encoding: x-${header}\r\n`, body)),
    'answers too much': () => socket.write(http('200 OK', headers, body.padEnd(70_000))),
    'answers twice': () => socket.write(http('200 OK', headers, body).repeat(2)),
    redirects: () =>
      socket.write(http('307 Go', `${headers}location: http://127.0.0.1:1/${header}\r\n`, echo)),
    resets: () => socket.write('HTTP/1.1 200 OK\r\n', () => socket.resetAndDestroy()),
    hangs: () => {},
  };
  serve[model]?.();
}

/** The path says how it answers. */
function answerWebhook(request: ReceivedRequest, socket: Socket, canaries: Canaries): void {
  const secret = canaries.receiverAnswer.text;
  const body = request.path.includes('/endpoint') ? canaries.endpointAnswer.text : secret;
  const headers = `x-secret: ${secret}\r\nset-cookie: ${secret}\r\nretry-after: ${secret}\r\n`;
  const kind = /^\/(\w+)/.exec(request.path)?.[1];
  if (kind === 'fail') socket.end(http(`500 ${secret}`, headers, body));
  else if (kind === 'gone') socket.end(http(`410 ${secret}`, headers, body));
  else if (kind === 'redirect')
    socket.end(http('302 Go', `${headers}location: http://127.0.0.1:1/${secret}\r\n`, ''));
  else if (kind === 'noise') socket.end(`${secret}\r\n\r\n`);
  else if (kind === 'overflow') socket.end(`HTTP/1.1 200 OK\r\nx-secret: ${secret.repeat(2000)}\r\n\r\n`);
  else if (kind === 'reset') socket.resetAndDestroy();
  else if (kind === 'slow') void sleep(300).then(() => socket.end(http('200 OK', headers, secret)));
  else socket.end(http(`200 ${secret}`, headers, body));
}
