// Exit code 0: the service on this machine answers that it is ready; 1: it does not. For the image's HEALTHCHECK,
// because the image has no curl. Reads HOST and PORT as the service does.
const http = require('node:http');

const TIMEOUT_MS = 2000;

// An address to listen on is not always one to connect to.
const listens = (process.env.HOST || '').trim();
const host = { '': '127.0.0.1', '0.0.0.0': '127.0.0.1', '::': '::1' }[listens] || listens;
const port = Number((process.env.PORT || '').trim() || 8080);

function end(code, message) {
  process.stdout.write(`${message}\n`);
  process.exit(code);
}

// Not the request's own timeout: that one starts anew with every byte.
setTimeout(() => end(1, `no answer within ${TIMEOUT_MS} ms`), TIMEOUT_MS);
http
  .get({ host, port, path: '/health/ready' }, ({ statusCode }) => {
    end(statusCode === 200 ? 0 : 1, `answered ${statusCode}`);
  })
  .on('error', (error) => end(1, error.message));
