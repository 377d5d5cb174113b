/** The live tail as React state: connection, buffer, rate. Messages are gathered and drawn ten times a second. */
import { useQueryClient } from '@tanstack/react-query';
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
import { sessionQuery } from '@/lib/api/get-session';
import type { LogRecord } from '@/lib/record';

const DRAW_EVERY_MS = 100;
/** Stored records of the last minutes give the tail a beginning. */
const HISTORY_MS = 15 * 60_000;

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

export function useTail(query: string, enabled: boolean, held: boolean): Tail {
  const [buffer, setBuffer] = useState<TailBuffer>(EMPTY_BUFFER);
  const [connection, setConnection] = useState<{ status: TailStatus; retryMs?: number }>({
    status: 'connecting',
  });
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
    let pending: LogRecord[] = [];
    let stopped = false;
    const onMessage = (message: TailMessage) => {
      if (message.type === 'records') pending.push(...message.records);
      if (message.type === 'dropped') setDropped((count) => count + message.count);
      if (message.type === 'ready') setError(undefined);
      if (message.type === 'error') {
        const { position, hint } = message;
        setError(new ApiError(message.message, { status: 422, position, hint }));
      }
    };
    const draw = () => {
      if (pending.length === 0) return;
      const batch = pending;
      pending = [];
      setBuffer((current) => addBatch(current, batch, heldNow.current));
      setArrivals((current) => countArrivals(current, batch, Date.now()));
    };
    const onStatus = (status: TailStatus, retryMs?: number) => {
      setConnection({ status, retryMs });
      // A browser is not told why a WebSocket was refused; the session's answer tells whether it is over.
      if (retryMs !== undefined) void client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    };
    const socket = new TailConnection(tailUrl(window.location), query, { onMessage, onStatus });
    live.current = socket;
    const timer = window.setInterval(draw, DRAW_EVERY_MS);
    const now = Date.now();
    const history = searchQuery({
      query,
      resolved: { fromMs: now - HISTORY_MS, toMs: now + 60_000 },
      order: 'desc',
    });
    client.fetchInfiniteQuery(history).then(
      (data) => {
        const records = data.pages.flatMap((page) => page.records);
        if (!stopped) setBuffer((current) => addHistory(current, records));
      },
      // The tail works without a beginning, also while the store is down.
      () => undefined,
    );
    return () => {
      stopped = true;
      socket.close();
      window.clearInterval(timer);
    };
  }, [query, enabled, client]);

  const reconnect = useCallback(() => live.current?.reconnect(), []);
  return { buffer, ...connection, retryMs: connection.retryMs, dropped, arrivals, error, reconnect };
}
