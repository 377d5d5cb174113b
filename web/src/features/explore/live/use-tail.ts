/** The live tail as React state: connection, buffer, rate. Messages are gathered and drawn ten times a second. */
import { type QueryClient, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { searchQuery } from '@/features/explore/api/search';
import { type Arrivals, countArrivals } from '@/features/explore/live/rate';
import {
  addBatch,
  addHistory,
  EMPTY_BUFFER,
  release,
  type TailBuffer,
} from '@/features/explore/live/tail-buffer';
import { TailConnection, type TailStatus, tailUrl } from '@/features/explore/live/tail-connection';
import type { TailMessage } from '@/features/explore/live/tail-protocol';
import { ApiError } from '@/lib/api/api-error';
import type { Project } from '@/lib/api/client';
import { sessionQuery } from '@/lib/api/get-session';
import type { LogRecord } from '@/lib/record';

const DRAW_EVERY_MS = 100;
/** Stored records of the last minutes give the tail a beginning. */
const HISTORY_MS = 15 * 60_000;
/** Clocks of senders may be a little fast. */
const CLOCKS_AHEAD_MS = 60_000;

export interface Tail {
  buffer: TailBuffer;
  status: TailStatus;
  /** How long until the next attempt to connect. */
  retryMs: number | undefined;
  /** Records that the server left out because this browser was too slow. */
  dropped: number;
  arrivals: Arrivals;
  error: ApiError | undefined;
  reconnect: () => void;
}

interface Connection {
  status: TailStatus;
  retryMs?: number;
}

export function useTail(project: Project, query: string, enabled: boolean, held: boolean): Tail {
  const [buffer, setBuffer] = useState<TailBuffer>(EMPTY_BUFFER);
  const [connection, setConnection] = useState<Connection>({ status: 'connecting' });
  const [dropped, setDropped] = useState(0);
  const [arrivals, setArrivals] = useState<Arrivals>(new Map());
  const [error, setError] = useState<ApiError>();
  const client = useQueryClient();
  const live = useRef<TailConnection>(undefined);
  const heldNow = useRef(held);

  useEffect(() => {
    heldNow.current = held;
    if (!held) setBuffer((current) => release(current));
  }, [held]);

  useEffect(() => {
    if (!enabled) return;
    setBuffer(EMPTY_BUFFER);
    setDropped(0);
    setArrivals(new Map());
    setError(undefined);
    const inbox = new Inbox((batch) => {
      setBuffer((current) => addBatch(current, batch, heldNow.current));
      setArrivals((current) => countArrivals(current, batch, Date.now()));
    });
    const onMessage = (message: TailMessage) => {
      if (message.type === 'records') inbox.add(message.records);
      if (message.type === 'dropped') setDropped((count) => count + message.count);
      if (message.type === 'ready') setError(undefined);
      if (message.type === 'error') setError(new ApiError(message.message, { ...message, status: 422 }));
    };
    const onStatus = (status: TailStatus, retryMs?: number) => {
      setConnection({ status, retryMs });
      // A browser is not told why a WebSocket was refused; the session's answer tells whether it is over.
      if (retryMs !== undefined) void client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    };
    const socket = new TailConnection(tailUrl(window.location, project), query, { onMessage, onStatus });
    live.current = socket;
    let stopped = false;
    void loadHistory(client, project, query).then((records) => {
      if (!stopped) setBuffer((current) => addHistory(current, records));
    });
    return () => {
      stopped = true;
      socket.close();
      inbox.close();
    };
  }, [project, query, enabled, client]);

  const reconnect = useCallback(() => live.current?.reconnect(), []);
  return {
    buffer,
    status: connection.status,
    retryMs: connection.retryMs,
    dropped,
    arrivals,
    error,
    reconnect,
  };
}

/** Gathers records and hands them on in batches, so that a busy tail does not draw for each message. */
class Inbox {
  private pending: LogRecord[] = [];
  private readonly timer: number;

  constructor(deliver: (batch: LogRecord[]) => void) {
    this.timer = window.setInterval(() => {
      if (this.pending.length === 0) return;
      const batch = this.pending;
      this.pending = [];
      deliver(batch);
    }, DRAW_EVERY_MS);
  }

  add(records: readonly LogRecord[]): void {
    this.pending.push(...records);
  }

  close(): void {
    window.clearInterval(this.timer);
  }
}

/** The newest stored records; none when the store does not answer, since the tail works without it. */
async function loadHistory(client: QueryClient, project: Project, query: string): Promise<LogRecord[]> {
  const now = Date.now();
  const resolved = { fromMs: now - HISTORY_MS, toMs: now + CLOCKS_AHEAD_MS };
  try {
    const data = await client.fetchInfiniteQuery(searchQuery(project, { query, resolved, order: 'desc' }));
    return data.pages.flatMap((page) => page.records);
  } catch {
    return [];
  }
}
