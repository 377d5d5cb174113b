/** How the server is doing: queue, store, and the ledger that proves that nothing was lost. */

import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Alarm } from '@/components/alarm';
import { ErrorState } from '@/components/error-state';
import { Card, Page } from '@/components/page';
import { type Status, statusQuery } from '@/features/status/api/get-status';
import { LedgerSection } from '@/features/status/components/ledger-section';
import { PartitionsSection } from '@/features/status/components/partitions-section';
import classes from '@/features/status/components/status-page.module.css';
import { formatBytes, formatCompact, formatCount, formatDuration, plural } from '@/lib/format';
import { fullTime } from '@/lib/time/timestamp';

export function StatusPage() {
  const status = useQuery(statusQuery);
  return (
    <Page title="Status" lead="The state of the queue and the store, counted anew every five seconds.">
      {status.isPending && <Skeleton height={84} mb={28} aria-label="Loading the status" />}
      {status.isError && status.data === undefined && (
        <Card>
          <ErrorState error={status.error} title="The status did not load" onRetry={() => status.refetch()} />
        </Card>
      )}
      {status.data && (
        <>
          <Alarms checks={status.data.checks} stale={status.isError} />
          <Tiles status={status.data} />
          <PartitionsSection partitions={status.data.queue.partitions} />
        </>
      )}
      {/* Without the status, its error stands for both. */}
      {!(status.isError && status.data === undefined) && <LedgerSection />}
      {status.data && <Details status={status.data} />}
    </Page>
  );
}

function Alarms({ checks, stale }: { checks: Status['checks']; stale: boolean }) {
  const failed = Object.entries(checks).filter(([, says]) => says !== 'ok');
  if (!stale && failed.length === 0) return null;
  return (
    <div className={classes.alarms}>
      {stale && <Alarm>The server does not answer; these are its last figures.</Alarm>}
      {failed.map(([name, says]) => (
        <Alarm key={name}>
          <strong>{name}:</strong> {says}
        </Alarm>
      ))}
    </div>
  );
}

function Tiles({ status: { queue, store, ...node } }: { status: Status }) {
  const waiting = queue.partitions.reduce((sum, item) => sum + item.waiting_messages, 0);
  return (
    <div className={classes.tiles}>
      <Tile
        label="Server"
        value={node.ready ? 'ready' : 'not ready'}
        detail={`version ${node.version}, up ${formatDuration(node.uptime_seconds)}`}
      />
      <Tile
        label="Queue"
        value={waiting === 0 ? 'drained' : `${plural(waiting, 'message')} behind`}
        detail={plural(queue.partitions.length, 'partition')}
      />
      <Tile
        label="Stored records"
        value={formatCompact(store.rows)}
        detail={`${store.backend}, ${plural(store.segments, 'segment')}`}
      />
      <Tile label="Store size" value={formatBytes(store.bytes)} detail={sizeDetail(store)} />
      <Tile
        label="Dead letters"
        value={formatCompact(node.dead_letters)}
        detail={node.dead_letters === 0 ? 'nothing was put aside' : 'of all projects; waiting for you'}
      />
    </div>
  );
}

function Tile({ label, value, detail }: { label: string; value: string; detail: string | undefined }) {
  return (
    <div className={classes.tile}>
      <div className={classes.label}>{label}</div>
      <div className={classes.value}>{value}</div>
      {detail !== undefined && <div className={classes.detail}>{detail}</div>}
    </div>
  );
}

/** Bytes are those of segments, so rows that are in none must not thin them out. */
function sizeDetail({ rows, bytes, buffered_rows }: Status['store']): string | undefined {
  const written = rows - buffered_rows;
  if (rows === 0) return undefined;
  return written > 0 && bytes > 0
    ? `${formatBytes(bytes / written)} a record`
    : 'all records are still in memory, and safe in the queue';
}

function Details({ status: { store, queue, addresses } }: { status: Status }) {
  const members = [
    ...Object.entries(addresses).map(([name, address]) => [`${name} address`, address] as const),
    ['oldest record', store.oldest ? fullTime(store.oldest) : 'none'] as const,
    ['newest record', store.newest ? fullTime(store.newest) : 'none'] as const,
    ['records not yet in a segment', formatCount(store.buffered_rows)] as const,
    ['queue', queue.incarnation] as const,
  ];
  return (
    <section className={classes.section}>
      <h2 className={classes.heading}>Details</h2>
      <Card>
        <dl className={classes.members}>
          {members.map(([name, value]) => (
            <div key={name} className={classes.member}>
              <dt>{name}</dt>
              <dd className="mono">{value}</dd>
            </div>
          ))}
        </dl>
      </Card>
    </section>
  );
}
