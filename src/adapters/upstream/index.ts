export { createEchoUpstream } from './echo.ts';
export { createHttpUpstream } from './http.ts';
export type { HttpUpstreamOptions } from './http.ts';
