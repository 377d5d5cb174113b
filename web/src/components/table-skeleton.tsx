/** The place of a table's rows while they load. */
import { Skeleton } from '@mantine/core';

export function TableSkeleton({ label }: { label: string }) {
  return (
    <div role="status" aria-label={label} style={{ padding: '10px 16px' }}>
      {[72, 64, 80, 58].map((width) => (
        <Skeleton key={width} height={14} my={16} width={`${width}%`} />
      ))}
    </div>
  );
}
