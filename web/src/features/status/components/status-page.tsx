/** How the server is doing: queue, store, and the ledger that proves that nothing was lost. */
import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { ErrorState } from '@/components/error-state';
import { Card, DataTable, Page } from '@/components/page';
import { type Partition, type Status, statusQuery } from '@/features/status/api/get-status';
import { LedgerSection } from '@/features/status/components/ledger-section';
import classes from '@/features/status/components/status-page.module.css';
import { formatBytes, formatCompact, formatCount, formatDuration, plural } from '@/lib/format';
import { asObject, type JsonObject } from '@/lib/narrow';

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
          {status.isError && <p role="alert">The server does not answer; these are its last figures.</p>}
          <Tiles status={status.data} />
          <Partitions status={status.data} />
        </>
      )}
      <LedgerSection />
      {status.data?.others.map((section) => (
        <section key={section.title} className={classes.section}>
          <h2 className={classes.heading}>{section.title}</h2>
          <Card>
            <Members members={section.members} />
          </Card>
        </section>
      ))}
    </Page>
  );
}

function Tiles({ status }: { status: Status }) {
  const waiting = status.partitions.reduce((sum, item) => sum + (item.waitingMessages ?? 0), 0);
  const { storeRows, storeBytes, storeSegments, uptimeSeconds, deadLetters } = status;
  const uptime = uptimeSeconds === undefined ? undefined : `running for ${formatDuration(uptimeSeconds)}`;
  const segments = storeSegments === undefined ? '' : `, ${plural(storeSegments, 'segment')}`;
  return (
    <div className={classes.tiles}>
      <Tile
        label="Server"
        value={status.ready === undefined ? 'running' : status.ready ? 'ready' : 'not ready'}
        detail={[`version ${status.version}`, uptime].filter(Boolean).join(', ')}
      />
      <Tile
        label="Queue"
        value={waiting === 0 ? 'drained' : `${plural(waiting, 'message')} behind`}
        detail={plural(status.partitions.length, 'partition')}
      />
      <Tile
        label="Stored records"
        value={storeRows === undefined ? '–' : formatCompact(storeRows)}
        detail={`${status.storeBackend}${segments}`}
      />
      <Tile
        label="Store size"
        value={storeBytes === undefined ? '–' : formatBytes(storeBytes)}
        detail={storeBytes && storeRows ? `${formatBytes(storeBytes / storeRows)} a record` : undefined}
      />
      {deadLetters !== undefined && (
        <Tile
          label="Dead letters"
          value={formatCompact(deadLetters)}
          detail={deadLetters === 0 ? 'nothing was put aside' : 'waiting for you'}
        />
      )}
    </div>
  );
}

function Tile({ label, value, detail }: { label: string; value: ReactNode; detail?: ReactNode }) {
  return (
    <div className={classes.tile}>
      <div className={classes.label}>{label}</div>
      <div className={classes.value}>{value}</div>
      {detail && <div className={classes.detail}>{detail}</div>}
    </div>
  );
}

function Partitions({ status }: { status: Status }) {
  if (status.partitions.length === 0) return null;
  const head = (
    <>
      <th>Partition</th>
      <th data-number>Oldest</th>
      <th data-number>Stored up to</th>
      <th data-number>Next</th>
      <th data-number>Waiting</th>
      <th data-number>Size</th>
    </>
  );
  return (
    <section className={classes.section}>
      <h2 className={classes.heading}>Queue partitions</h2>
      <Card>
        <DataTable label="Queue partitions" head={head}>
          {status.partitions.map((item) => (
            <PartitionRow key={item.id} item={item} />
          ))}
        </DataTable>
      </Card>
    </section>
  );
}

function PartitionRow({ item }: { item: Partition }) {
  const count = (value: number | undefined) => (value === undefined ? '–' : formatCount(value));
  return (
    <tr>
      <td>{item.id}</td>
      <td data-number>{count(item.oldest)}</td>
      <td data-number>{count(item.written)}</td>
      <td data-number>{count(item.next)}</td>
      <td data-number>{count(item.waitingMessages)}</td>
      <td data-number>{item.bytes === undefined ? '–' : formatBytes(item.bytes)}</td>
    </tr>
  );
}

/** Members by name; one level of nesting is flattened with dots, deeper values are JSON. */
function Members({ members }: { members: JsonObject }) {
  const flat = Object.entries(members).flatMap(([name, value]) => {
    const inner = Object.entries(asObject(value));
    return inner.length === 0
      ? [[name, value] as const]
      : inner.map(([key, item]) => [`${name}.${key}`, item] as const);
  });
  return (
    <dl className={classes.members}>
      {flat.map(([name, value]) => (
        <Member key={name} name={name} value={value} />
      ))}
    </dl>
  );
}

function Member({ name, value }: { name: string; value: unknown }) {
  const text =
    typeof value === 'string'
      ? value
      : typeof value === 'number'
        ? formatCount(value)
        : JSON.stringify(value);
  return (
    <>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </>
  );
}
