/** The worker, for programs that embed the engine (`anyllm-batch/worker`). */
export { createWorker } from './worker.ts';
export type { Worker, WorkerOptions } from './worker.ts';
