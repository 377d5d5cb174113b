/** The queue's partitions: what each holds, how far it is stored, and what waits. */
import { Card, DataTable } from '@/components/page';
import type { Partition } from '@/features/status/api/get-status';
import classes from '@/features/status/components/status-page.module.css';
import { formatBytes, formatCount } from '@/lib/format';

export function PartitionsSection({ partitions }: { partitions: Partition[] }) {
  const head = (
    <>
      <th>Partition</th>
      <th data-number>Oldest</th>
      <th data-number>Stored up to</th>
      <th data-number>Searchable up to</th>
      <th data-number>Next</th>
      <th data-number>Waiting</th>
      <th data-number>Size</th>
    </>
  );
  return (
    <section className={classes.section}>
      <h2 className={classes.heading}>Queue partitions</h2>
      <p className={classes.text}>Positions of messages; a message holds the records of one request.</p>
      <Card>
        <DataTable label="Queue partitions" head={head}>
          {partitions.map((item) => (
            <tr key={item.partition}>
              <td>{item.partition}</td>
              <td data-number>{formatCount(item.oldest)}</td>
              <td data-number>{formatCount(item.durable)}</td>
              <td data-number>{formatCount(item.written)}</td>
              <td data-number>{formatCount(item.next)}</td>
              <td data-number>{formatCount(item.waiting_messages)}</td>
              <td data-number>{formatBytes(item.bytes)}</td>
            </tr>
          ))}
        </DataTable>
      </Card>
    </section>
  );
}
