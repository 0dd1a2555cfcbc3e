import { afterEach } from 'vitest';

const opened: { close(): Promise<void> }[] = [];

/** Has `resource` closed after the test, the last one first. Answers it. */
export function closeAfterTest<T extends { close(): Promise<void> }>(resource: T): T {
  opened.push(resource);
  return resource;
}

afterEach(async () => {
  for (const resource of opened.splice(0).toReversed()) await resource.close();
});
