/** The ledger as a table: what came in, and where it went; with an alarm when something is lost. */

import { useQuery } from '@tanstack/react-query';
import { Alarm } from '@/components/alarm';
import { ErrorState } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { MessageState } from '@/components/message-state';
import { Card, DataTable } from '@/components/page';
import { TableSkeleton } from '@/components/table-skeleton';
import { type LedgerRow, ledgerQuery } from '@/features/status/api/get-ledger';
import classes from '@/features/status/components/status-page.module.css';
import { formatCount, plural } from '@/lib/format';

const COLUMNS = [
  { name: 'received', title: 'Received' },
  { name: 'stored', title: 'Stored' },
  { name: 'dead_lettered', title: 'Dead letters' },
  { name: 'deduplicated', title: 'Repeats' },
  { name: 'dropped', title: 'Dropped by rule' },
  { name: 'expired', title: 'Expired' },
] as const;

export function LedgerSection() {
  const { data, error, isPending, refetch } = useQuery(ledgerQuery);
  const lost = data?.ledger.reduce((sum, row) => sum + row.lost, 0) ?? 0;
  return (
    <section className={classes.section}>
      <h2 className={classes.heading}>
        Ledger
        {data && <Verdict balanced={data.balanced} lost={lost} />}
      </h2>
      <p className={classes.text}>
        Every record that was received is stored, a dead letter, a repeat, or dropped by a rule. Expired
        records were stored before retention removed them. What still waits is counted once it is processed.
      </p>
      {lost > 0 && <Loss messages={lost} />}
      <Card>
        {isPending && <TableSkeleton label="Loading the ledger" />}
        {error !== null && data === undefined && (
          <ErrorState error={error} title="The ledger did not load" onRetry={() => refetch()} />
        )}
        {data?.ledger.length === 0 && (
          <MessageState icon="list-details" title="Nothing was received yet">
            The ledger begins with the first record.
          </MessageState>
        )}
        {data && data.ledger.length > 0 && <LedgerTable rows={data.ledger} />}
      </Card>
    </section>
  );
}

function Verdict({ balanced, lost }: { balanced: boolean; lost: number }) {
  const good = balanced && lost === 0;
  const text = !balanced
    ? 'does not add up: run devlogs verify'
    : lost > 0
      ? 'messages were lost'
      : 'adds up';
  return (
    <span className={classes.verdict} data-good={good} role="status">
      <Icon name={good ? 'check' : 'alert-triangle'} size={13} />
      {text}
    </span>
  );
}

function Loss({ messages }: { messages: number }) {
  return (
    <div className={classes.alarms}>
      <Alarm>
        <strong>{plural(messages, 'message')} lost.</strong> The queue dropped them before they were stored,
        or they are damaged on its disk. Give the queue more room or retention, look at the server’s log, and
        run <code>devlogs verify</code>.
      </Alarm>
    </div>
  );
}

function LedgerTable({ rows }: { rows: LedgerRow[] }) {
  const severalQueues = new Set(rows.map((row) => row.incarnation)).size > 1;
  const showLost = rows.some((row) => row.lost > 0);
  const head = (
    <>
      <th>Project</th>
      {severalQueues && <th>Queue</th>}
      <th data-number>Partition</th>
      {COLUMNS.map(({ name, title }) => (
        <th key={name} data-number>
          {title}
        </th>
      ))}
      {showLost && <th data-number>Lost messages</th>}
    </>
  );
  return (
    <DataTable label="Ledger" head={head}>
      {rows.map((row) => (
        <tr key={`${row.project}/${row.incarnation}/${row.partition}`}>
          <td>{row.project || <span className={classes.zero}>unknown</span>}</td>
          {severalQueues && <td className="mono">{row.incarnation.slice(0, 8)}</td>}
          <td data-number>{row.partition}</td>
          {COLUMNS.map(({ name }) => (
            <Count key={name} value={row[name]} />
          ))}
          {showLost && <Count value={row.lost} bad />}
        </tr>
      ))}
    </DataTable>
  );
}

function Count({ value, bad = false }: { value: number; bad?: boolean }) {
  const look = value === 0 ? classes.zero : bad ? classes.bad : undefined;
  return (
    <td data-number>
      <span className={look}>{formatCount(value)}</span>
    </td>
  );
}
