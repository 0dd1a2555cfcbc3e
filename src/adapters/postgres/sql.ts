/** What a statement may be given. */
export type SqlValue =
  | string
  | number
  | boolean
  | null
  | Uint8Array
  | readonly string[]
  | readonly boolean[]
  | readonly (number | null)[]
  | readonly Uint8Array[];

/** Runs statements, each prepared once a connection. Values are `$1`, `$2` … */
export interface Sql {
  /** All rows. */
  all<Row extends object>(text: string, ...values: readonly SqlValue[]): Promise<Row[]>;
  /** The first row, or undefined. */
  get<Row extends object>(text: string, ...values: readonly SqlValue[]): Promise<Row | undefined>;
  /** How many rows it changed. */
  run(text: string, ...values: readonly SqlValue[]): Promise<number>;
  /** Runs several statements that take no values. */
  exec(text: string): Promise<void>;
}
