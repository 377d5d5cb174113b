/** Dead letters: records that were accepted but can't be stored. They wait here, none is lost. */
import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { ErrorState } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { MessageState } from '@/components/message-state';
import { Card, Page } from '@/components/page';
import { TableSkeleton } from '@/components/table-skeleton';
import { deadLettersQuery } from '@/features/dead-letters/api/get-dead-letters';
import { DeadLetterItem } from '@/features/dead-letters/components/dead-letter-item';
import { useProject } from '@/lib/project';

export function DeadLettersPage() {
  const query = useInfiniteQuery(deadLettersQuery(useProject()));
  const letters = query.data?.pages.flatMap((page) => page.dead_letters) ?? [];
  return (
    <Page
      title="Dead letters"
      lead="Records that were accepted but could not be stored wait here with the reason. Retry them when the cause is gone, or drop them."
      actions={
        <Button
          variant="default"
          leftSection={<Icon name="refresh" size={14} />}
          loading={query.isRefetching}
          onClick={() => query.refetch()}
        >
          Refresh
        </Button>
      }
    >
      <Card>
        {query.isPending && <TableSkeleton label="Loading dead letters" />}
        {query.isError && letters.length === 0 && (
          <ErrorState
            error={query.error}
            title="The dead letters did not load"
            onRetry={() => query.refetch()}
          />
        )}
        {query.isSuccess && letters.length === 0 && (
          <MessageState icon="circle-check" tone="good" title="No dead letters">
            Every record that was accepted is stored, or on its way.
          </MessageState>
        )}
        {letters.length > 0 && (
          <ul style={{ listStyle: 'none', margin: 0, padding: 0 }} aria-label="Dead letters">
            {letters.map((letter) => (
              <DeadLetterItem key={letter.id} letter={letter} />
            ))}
          </ul>
        )}
      </Card>
      {query.hasNextPage && (
        <Button
          variant="default"
          mt={16}
          loading={query.isFetchingNextPage}
          onClick={() => query.fetchNextPage()}
        >
          Show more
        </Button>
      )}
    </Page>
  );
}
