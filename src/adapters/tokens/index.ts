export { createTokenCounter } from './counter.ts';
export type { TokenCounterOptions } from './counter.ts';
