/** The state of the live tail: connection, rate, what waits, what was dropped, pause. */
import { Button, Tooltip } from '@mantine/core';
import { Icon } from '@/components/icon';
import classes from '@/features/explore/components/live-bar.module.css';
import { arrivalRate } from '@/features/explore/live/rate';
import type { TailStatus } from '@/features/explore/live/tail-connection';
import type { Tail } from '@/features/explore/live/use-tail';
import { formatCount, plural } from '@/lib/format';

interface LiveBarProps {
  tail: Tail;
  paused: boolean;
  nowMs: number;
  onPause: () => void;
}

export function LiveBar({ tail, paused, nowMs, onPause }: LiveBarProps) {
  const { buffer, status, dropped } = tail;
  const waiting = buffer.waiting.length + buffer.skipped;
  const shownStatus = paused && status === 'live' ? 'paused' : status;
  return (
    <div className={classes.bar}>
      <span className={classes.state} data-status={shownStatus} role="status" data-testid="tail-status">
        <span className={classes.dot} aria-hidden="true" />
        {statusText(shownStatus, tail.retryMs)}
      </span>
      {status === 'reconnecting' && tail.retryMs !== undefined && (
        <Button variant="default" size="compact-xs" onClick={tail.reconnect}>
          Connect now
        </Button>
      )}
      <span>{formatRate(arrivalRate(tail.arrivals, nowMs))} records/s</span>
      <span>{plural(buffer.received, 'record')} received</span>
      {dropped > 0 && (
        <Tooltip label="The server left these out because they came faster than this browser takes them. They are stored: search finds them.">
          <span className={classes.dropped}>{formatCount(dropped)} dropped</span>
        </Tooltip>
      )}
      {buffer.skipped > 0 && (
        <Tooltip label="More came while paused than the browser keeps. They are stored: search finds them.">
          <span className={classes.dropped}>{formatCount(buffer.skipped)} not kept</span>
        </Tooltip>
      )}
      <div className={classes.actions}>
        <Button
          variant={paused ? 'filled' : 'default'}
          leftSection={<Icon name={paused ? 'player-play' : 'player-pause'} size={14} />}
          onClick={onPause}
        >
          {paused ? `Resume${waiting > 0 ? ` (${formatCount(waiting)} waiting)` : ''}` : 'Pause'}
        </Button>
      </div>
    </div>
  );
}

function statusText(status: TailStatus | 'paused', retryMs: number | undefined): string {
  switch (status) {
    case 'live':
      return 'Live';
    case 'paused':
      return 'Paused';
    case 'connecting':
      return 'Connecting…';
    case 'refused':
      return 'Not in force';
    case 'reconnecting':
      return retryMs === undefined
        ? 'Connecting again…'
        : `Connection lost; next try in ${Math.ceil(retryMs / 1000)} s`;
  }
}

function formatRate(rate: number): string {
  return rate < 10 ? rate.toFixed(1) : formatCount(rate);
}
