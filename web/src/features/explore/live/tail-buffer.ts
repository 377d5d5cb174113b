/**
 * The records of a live tail, newest first, as an immutable value. While it is held (paused, or scrolled away from
 * the newest) arrivals wait and are counted; both lists are bounded, and what falls out is counted as skipped.
 */
import type { LogRecord } from '@/lib/record';
import { compareTimes } from '@/lib/time/timestamp';

export const BUFFER_RECORDS_MAX = 10_000;

export interface TailBuffer {
  /** Newest first. */
  shown: readonly LogRecord[];
  /** Newest first; arrived while held. */
  waiting: readonly LogRecord[];
  /** Waiting records that were let go because too many came while held. */
  skipped: number;
  /** Every record that arrived, repeats not counted. */
  received: number;
}

export const EMPTY_BUFFER: TailBuffer = { shown: [], waiting: [], skipped: 0, received: 0 };

/** Adds a batch as the server sent it (oldest first). The tail is at least once, so known ids are left out. */
export function addBatch(
  buffer: TailBuffer,
  batch: readonly LogRecord[],
  held: boolean,
  recordsMax = BUFFER_RECORDS_MAX,
): TailBuffer {
  const fresh = unseen(buffer, batch).sort(newestFirst);
  if (fresh.length === 0) return buffer;
  const received = buffer.received + fresh.length;
  if (!held) return { ...buffer, received, shown: [...fresh, ...buffer.shown].slice(0, recordsMax) };
  const waiting = [...fresh, ...buffer.waiting];
  const skipped = buffer.skipped + Math.max(0, waiting.length - recordsMax);
  return { ...buffer, received, skipped, waiting: waiting.slice(0, recordsMax) };
}

/** Lets what waits in. */
export function release(buffer: TailBuffer, recordsMax = BUFFER_RECORDS_MAX): TailBuffer {
  if (buffer.waiting.length === 0 && buffer.skipped === 0) return buffer;
  return {
    ...buffer,
    shown: [...buffer.waiting, ...buffer.shown].slice(0, recordsMax),
    waiting: [],
    skipped: 0,
  };
}

/** Puts records that were stored before the tail began behind what has arrived. */
export function addHistory(buffer: TailBuffer, history: readonly LogRecord[]): TailBuffer {
  const older = unseen(buffer, history).sort(newestFirst);
  return { ...buffer, shown: [...buffer.shown, ...older].slice(0, BUFFER_RECORDS_MAX) };
}

function unseen(buffer: TailBuffer, batch: readonly LogRecord[]): LogRecord[] {
  const known = new Set<string>();
  for (const record of buffer.shown) known.add(record.id);
  for (const record of buffer.waiting) known.add(record.id);
  return batch.filter((record) => {
    if (known.has(record.id)) return false;
    known.add(record.id);
    return true;
  });
}

/** Of equal times the later sent, by id, is the newer. */
function newestFirst(a: LogRecord, b: LogRecord): number {
  const order = compareTimes(b.timestamp, a.timestamp);
  if (order !== 0) return order;
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1;
}
