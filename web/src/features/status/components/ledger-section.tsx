/** The ledger as a table, with the verdict whether it adds up. */
import { useQuery } from '@tanstack/react-query';
import { ErrorState } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { MessageState } from '@/components/message-state';
import { Card, DataTable } from '@/components/page';
import { TableSkeleton } from '@/components/table-skeleton';
import {
  LEDGER_COUNTS,
  type LedgerCount,
  type LedgerEntry,
  ledgerQuery,
} from '@/features/status/api/get-ledger';
import classes from '@/features/status/components/status-page.module.css';
import { formatCount } from '@/lib/format';

const TITLES: Record<LedgerCount, string> = {
  received: 'Received',
  stored: 'Stored',
  dead_lettered: 'Dead letters',
  deduplicated: 'Repeats',
  dropped: 'Dropped by rule',
  waiting: 'Waiting',
  expired: 'Expired',
  deleted: 'Deleted',
};

export function LedgerSection() {
  const ledger = useQuery(ledgerQuery);
  const balanced = ledger.data?.balanced;
  return (
    <section className={classes.section}>
      <h2 className={classes.heading}>
        Ledger
        {balanced !== undefined && (
          <span className={classes.verdict} data-good={balanced} role="status">
            <Icon name={balanced ? 'check' : 'alert-triangle'} size={13} />
            {balanced ? 'adds up' : 'does not add up: run devlogs verify'}
          </span>
        )}
      </h2>
      <p className={classes.text}>
        Every record that was acknowledged is stored, a dead letter, a repeat, dropped by a rule, or still
        waiting. Expired and deleted records were stored before.
      </p>
      <Card>
        {ledger.isPending && <TableSkeleton label="Loading the ledger" />}
        {ledger.isError && ledger.data === undefined && (
          <ErrorState error={ledger.error} title="The ledger did not load" onRetry={() => ledger.refetch()} />
        )}
        {ledger.data?.entries.length === 0 && (
          <MessageState icon="list-details" title="Nothing was received yet">
            The ledger begins with the first record.
          </MessageState>
        )}
        {ledger.data && ledger.data.entries.length > 0 && <LedgerTable entries={ledger.data.entries} />}
      </Card>
    </section>
  );
}

function LedgerTable({ entries }: { entries: LedgerEntry[] }) {
  const head = (
    <>
      <th>Project</th>
      <th data-number>Partition</th>
      {LEDGER_COUNTS.map((name) => (
        <th key={name} data-number>
          {TITLES[name]}
        </th>
      ))}
    </>
  );
  return (
    <DataTable label="Ledger" head={head}>
      {entries.map((entry) => (
        <tr key={`${entry.project}/${entry.incarnation}/${entry.partition}`}>
          <td>{entry.project}</td>
          <td data-number>{entry.partition}</td>
          {LEDGER_COUNTS.map((name) => (
            <td key={name} data-number>
              <span className={entry.counts[name] === 0 ? classes.zero : undefined}>
                {formatCount(entry.counts[name])}
              </span>
            </td>
          ))}
        </tr>
      ))}
    </DataTable>
  );
}
