import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { buildConnector } from 'undici';
import type { Clock } from '../../engine/ports.ts';

/** When the system begins to probe a silent connection: a model may think for longer than a NAT remembers it. */
const TCP_KEEP_ALIVE_MS = 60_000;

/**
 * Opens a connection to `origin` and tells `callback` once how that went; for https only when the certificate is
 * checked. Answers the socket at once, so that whoever asked for it can also give it up while it is being opened
 * (undici's own connector keeps it to itself until then).
 */
export function openConnection(
  options: { readonly origin: URL; readonly connectTimeoutMs: number; readonly clock: Clock },
  callback: buildConnector.Callback,
): Socket {
  const { origin, connectTimeoutMs, clock } = options;
  const socket = openSocket(origin);
  let isDone = false;

  function done(error: Error | null): void {
    if (isDone) return;
    isDone = true;
    cancelTimer();
    if (error === null) callback(null, socket);
    else callback(error, null);
  }

  const cancelTimer = clock.after(connectTimeoutMs, () => {
    socket.destroy(new Error(`no connection within ${connectTimeoutMs} ms`));
  });
  socket.once(origin.protocol === 'https:' ? 'secureConnect' : 'connect', () => done(null));
  socket.on('error', done);
  socket.once('close', () => done(new Error('the connection was closed')));
  return socket;
}

function openSocket(origin: URL): Socket {
  const host = origin.hostname.replace(/^\[|\]$/g, '');
  const isTls = origin.protocol === 'https:';
  const port = origin.port === '' ? (isTls ? 443 : 80) : Number(origin.port);
  const socket = isTls
    ? connectTls({ host, port, ALPNProtocols: ['http/1.1'], ...(isIP(host) === 0 && { servername: host }) })
    : connectTcp({ host, port });
  return socket.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_MS);
}
